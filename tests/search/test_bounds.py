"""What cuts the search short: no bound is ever below what a design of its block truly has."""

from dataclasses import dataclass

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offramp.core.costs import Costs
from offramp.metrics.trace import Trace
from offramp.search import bounds, kernel
from offramp.search.arrays import Block, Marks, Tables
from offramp.search.goal import Goal
from offramp.search.space import Space, build_space
from tests.search import brute, spaces
from tests.search.spaces import Shape

EPS = 1e-9


@dataclass(frozen=True)
class Drawn:
    """A block at some positions, and one way through it.

    Attributes:
        chain: an exit at each place, then the network's end.
        stop: N, the place at which each image stops.
        taken: N, its exit.
        spent: MACs of each image.
    """

    trace: Trace
    costs: Costs
    space: Space
    tables: Tables
    block: Block
    chain: tuple[int, ...]
    stop: np.ndarray
    taken: np.ndarray
    spent: np.ndarray

    @property
    def quality(self) -> float:
        """Σ y: the IoU of the classes that an exit hits, summed."""
        images = np.arange(len(self.taken))
        hits = self.trace.intersections[self.taken, images].sum(axis=0)
        unions = self.trace.unions[self.taken, images].sum(axis=0)
        return float((hits / np.maximum(unions, 1)).sum())

    def prefix(self, place: int) -> np.ndarray:
        """Bound what the stops up to a place bring, if all others go to the end; shape J."""
        rows = np.where(self.stop <= place, self.taken, len(self.trace.exits) - 1)
        sums = self.space.counts[rows, np.arange(len(rows))].sum(axis=0)
        bounds = np.zeros(len(self.block.price))
        kernel.prefix_bounds(self.tables, self.block, sums, bounds)
        return bounds

    def gains(self, place: int) -> np.ndarray:
        """Sum ω over images that stop at an early exit after a place; shape J."""
        later = (self.stop > place) & (self.stop < len(self.chain) - 1)
        images = np.flatnonzero(later)
        summed: np.ndarray = self.block.gains[:, self.taken[images], images].sum(axis=1)
        return summed


def draw(seed: int, images: int, places: int) -> Drawn:
    """Draw a space, a block of it, references and prices, and a way through the block."""
    rng = np.random.default_rng(seed)
    shape = Shape(seed, heads=(1, 2, 1, 2, 1), images=images, classes=3, blank=True, grades=4,
                  pixels=int(rng.choice([3, 20, 1000])), untrue=bool(rng.integers(2)))  # fmt: skip
    trace, costs = spaces.make(shape)
    space = build_space(trace, costs, Goal(min_miou=-1.0))
    assume(space.truth > 0)
    positions = np.sort(rng.permutation(5)[:places])
    rows = [np.flatnonzero(space.positions == position) for position in positions]
    tables = tables_of(space)
    block = block_of(rng, tables, rows)
    chain = (*(int(rng.choice(each)) for each in rows), len(trace.exits) - 1)
    stop = rng.integers(0, places + 1, images)
    paid = [brute.price(trace, costs, chain[: i + 1])["macs"] for i in range(len(chain))]
    taken, spent = np.array(chain)[stop], np.array(paid)[stop]
    return Drawn(trace, costs, space, tables, block, chain, stop, taken, spent)


def tables_of(space: Space) -> Tables:
    """Lay a space out for the kernel, without bounds on costs."""
    return Tables(
        counts=space.counts,
        bins=space.bins,
        levels=np.array([len(each) for each in space.thresholds]),
        rows=space.rows,
        leads=space.leads,
        steps=space.steps,
        limits=np.full(3, np.inf),
        positions=space.positions,
        own=space.own,
        path=space.path,
        bounds=np.full(4, np.inf),
        static=-1,
        truth=space.truth,
        present=space.present,
    )


def block_of(rng: np.random.Generator, tables: Tables, rows: list[np.ndarray]) -> Block:
    """Bound the designs at some places, with any references and prices."""
    flat, starts = np.concatenate(rows), np.cumsum([0, *(len(each) for each in rows)])
    iou, price = rng.random((2, tables.truth)), rng.random(2) / 100
    least, most = bounds.union_range(tables, flat, starts)
    gains = bounds.gains_of(tables, iou, least, most, flat)
    hopes = bounds.hopes_of(tables, gains, price, flat, starts)
    deciders = [np.flatnonzero(np.isin(tables.rows, each)) for each in rows]
    padded = np.full((len(rows), max(map(len, deciders))), -1)
    for place, each in enumerate(deciders):
        padded[place, : len(each)] = each
    numbers = np.array([len(each) for each in deciders])
    return Block(int(deciders[0][0]), padded, numbers, iou, price, least, most, gains, hopes)


blocks = st.builds(draw, st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 5))
many = settings(max_examples=150, deadline=None)


@many
@given(blocks)
def test_unions_lie_within_their_range(drawn: Drawn) -> None:
    space, images = drawn.space, np.arange(len(drawn.taken))
    width = space.counts.shape[2] // 2
    unions = space.counts[drawn.taken, images].sum(axis=0)[width : width + space.truth]
    assert np.all(drawn.block.least <= unions)
    assert np.all(unions <= drawn.block.most)


@many
@given(blocks)
def test_what_a_prefix_and_later_stops_bring_is_bounded(drawn: Drawn) -> None:
    for place in range(-1, len(drawn.chain) - 1):
        bound = drawn.prefix(place) + drawn.gains(place)
        assert np.all(drawn.quality <= bound + EPS)


@many
@given(blocks)
def test_what_images_that_go_on_may_bring_is_bounded(drawn: Drawn) -> None:
    """At a price for each unit of cost, whichever exits they take."""
    price = drawn.block.price
    worth = drawn.quality - price * drawn.spent.sum()
    for place in range(len(drawn.chain) - 2):
        running = drawn.stop > place
        bound = drawn.prefix(place) + drawn.block.hopes[place][:, running].sum(axis=1)
        passed = [
            brute.price(drawn.trace, drawn.costs, drawn.chain[: min(stop, place) + 1])["macs"]
            for stop in drawn.stop
        ]
        decode = drawn.costs.decode.macs  # once an image, from the start
        assert decode <= min(passed)
        assert np.all(worth <= bound - price * sum(passed) + EPS)


@many
@given(blocks)
def test_what_was_not_searched_is_bounded(drawn: Drawn) -> None:
    """A row stands for a level of the first decider; all that follows is free to choose."""
    marks = Marks(np.full(4097, -1.0), 0.0, 4096 / 1e5)
    rows = kernel.open_bounds(drawn.tables, marks, drawn.block)
    first = drawn.block.first
    levels = len(drawn.space.thresholds[first])
    assert len(rows) == levels
    for level in range(1, levels + 1):
        stops = drawn.space.bins[first] >= level
        stop = np.where(stops, 0, np.maximum(drawn.stop, 1))
        chain = (int(drawn.space.rows[first]), *drawn.chain[1:])
        paid = [brute.price(drawn.trace, drawn.costs, chain[: i + 1])["macs"] for i in stop]
        taken = np.array(chain)[stop]
        there = Drawn(**{**vars(drawn), "chain": chain, "stop": stop, "taken": taken})
        bound = rows[level - 1] + drawn.block.price * sum(paid)
        assert np.all(there.quality <= bound + EPS)


@many
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 1)), max_size=30), st.floats(0, 60))
def test_marks_promise_no_more_than_was_found(
    found: list[tuple[float, float]], cost: float
) -> None:
    marks = Marks(np.full(33, -1.0), 0.0, 32 / 60)
    for spent, miou in found:
        kernel.mark(marks, spent, miou)
    had = max((miou for spent, miou in found if spent <= cost), default=-1.0)
    assert kernel.beaten(marks, cost) <= had


@many
@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 1)), max_size=20),
    st.lists(st.tuples(st.floats(-1, 3), st.floats(0, 0.2)), min_size=1, max_size=3),
    st.floats(0, 60),
    st.floats(0, 60),
)
def test_what_may_beat_the_marks_is_kept(
    found: list[tuple[float, float]], lines: list[tuple[float, float]], low: float, more: float
) -> None:
    """A design of Σ y at all its bounds, somewhere from the least cost on."""
    marks = Marks(np.full(129, -1.0), 0.0, 128 / 60)
    for spent, miou in found:
        kernel.mark(marks, spent, miou)
    cost, present = min(low + more, 60.0), 2
    bounds, price = (np.array(column) for column in zip(*lines, strict=True))
    highest = float((bounds + price * cost).min())
    beats = highest / present > max([-1.0, *(m for spent, m in found if spent <= cost)])
    if beats and highest >= 0:
        assert kernel.may_beat(marks, bounds, price, present, min(low, cost))
