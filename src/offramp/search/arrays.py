"""What the exact search works on, as records of arrays that compiled code takes apart."""

from typing import Any, NamedTuple

Array = Any


class Tables(NamedTuple):
    """What is the same for all blocks; arrays as `space.Space` describes them.

    Attributes:
        counts: E×N×2C, intersections then unions, whole numbers.
        bins: D×N; an image stops at level t where its bin is at least t.
        levels: D, how many levels; level 0 lets all images stop.
        rows: D, the decider's exit.
        leads: D, whether it is the first of its exit, and so stands for it at level 0.
        steps: 3×(P+1)×E, mean costs of going to an exit from one position before it.
        limits: 3, most of each mean cost, summed over images.
        positions: E.
        own: 4×E, static costs of heads; the last combines by maximum.
        path: 4×P, static costs of the segments up to a position; the last by maximum.
        bounds: 4, most of each static cost.
        static: which static cost is sought; -1 for a mean one.
        truth: how many classes have truth; these come first.
        present: how many classes are in the answer or truth whatever the design.
    """

    counts: Array
    bins: Array
    levels: Array
    rows: Array
    leads: Array
    steps: Array
    limits: Array
    positions: Array
    own: Array
    path: Array
    bounds: Array
    static: int
    truth: int
    present: int


class Marks(NamedTuple):
    """The best mIoU so far by cost: `miou[k]` is had for at most `low + k / scale`."""

    miou: Array
    low: float
    scale: float


class Block(NamedTuple):
    """One block: who may decide at each place, and what bounds its designs.

    Attributes:
        first: the decider at the first place.
        deciders: K×D, padded.
        numbers: K, how many of them.
        iou: J×G, ŷ of the reference designs, classes with truth only.
        price: J, λ.
        least, most: G, l and h, in pixels.
        gains: J×E×N, ω.
        hopes: K×J×N, the most of Σ y − λ·cost that an image going on from a place still brings.
    """

    first: int
    deciders: Array
    numbers: Array
    iou: Array
    price: Array
    least: Array
    most: Array
    gains: Array
    hopes: Array


class Walk(NamedTuple):
    """Where the solver stands in a block; a row for each place where nothing else is said.

    Attributes:
        chain: the decider tried at each place.
        chosen: its level.
        tried: how many deciders of each place were tried.
        running: K×N, images that arrive; the first `count` of a row.
        count: K.
        sums: K×2C, over stopped images and, as if all went on to the end, the running ones.
        spent: K×3, mean costs summed over images, before this place.
        here: K×3, the same after its head was read.
        prefix: K×J, `prefix_bounds` of the sums.
        wanted: K×T, the levels worth a look.
        line: T×2C, room for sums by level.
        out: the designs noted, rows of `COLUMNS`.
        noted: 1, how many these are.
    """

    chain: Array
    chosen: Array
    tried: Array
    running: Array
    count: Array
    sums: Array
    spent: Array
    here: Array
    prefix: Array
    wanted: Array
    line: Array
    out: Array
    noted: Array


class Plate(NamedTuple):
    """The last places but one of a block, at all their levels at once.

    A point of a plate is a level of its first decider (`top`) and one of its second; where a
    block has two places only, there is no first, and `top` is 1.

    Attributes:
        place: of the first decider, or of the second where there is no first.
        two: whether there is a first.
        tops: 1, how many levels it has.
        order: N, the running images, by the level at which they pass the first decider.
        passed: T, how many do at each.
        sums: T×T×2C, over stopped images and, as if all went on to the end, the others.
        left: T×T, how many go on.
        best: T×T, the reference whose bound is the least.
        prefix: T×T, that bound (`prefix_bounds`).
        gains: T×J×T, by bin at the second decider: what stops at each level of the last brings.
        gain: J×T, the same of those that go on from a point.
        stops, stop: how many these are.
        changes, change: T×2C×T and 2C×T, the same of intersections and unions.
        need: K×K×J, by tile (some levels of the first by some of the second decider) what the
            last decider must bring there, so that a leaf may be worth counting.
        hold: K×K×J×T, by tile what it brings at most at each of its levels.
    """

    place: int
    two: bool
    tops: Array
    order: Array
    passed: Array
    sums: Array
    left: Array
    best: Array
    prefix: Array
    gains: Array
    gain: Array
    stops: Array
    stop: Array
    changes: Array
    change: Array
    need: Array
    hold: Array
