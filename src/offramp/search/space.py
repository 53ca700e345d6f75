"""The space that is searched, as arrays: who may decide where, and what each step costs.

A *decider* is an exit's head together with the score that it decides by. It has up to `most`
levels; an image stops at level t where its *bin* is at least t, so level 1 stops most images,
and level 0 stops all of them. Exits of one design decide by scores of one family: the same score,
or coverage (or edge-aware coverage) at pixel thresholds that may differ from exit to exit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Costs
from offramp.core.score import ScoreSpec
from offramp.metrics.trace import Trace
from offramp.search.design import Design
from offramp.search.goal import MEAN_COSTS, CostName, Goal
from offramp.search.levels import deciding, levels

DEPTH = 5
"""Most early exits of a design."""

MEANS = 3
"""Mean costs: the one that is sought, work, latency."""

STATICS: tuple[CostName, ...] = ("worst-latency", "parameters", "bytes", "memory")
"""Costs that do not depend on how often an exit is taken; the last combines by maximum."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Space:
    """What the solver searches; E exits, N images, C classes, P positions, D deciders.

    Attributes:
        counts: E×N×2C, intersections then unions in pixels; classes with truth come first.
        truth: how many classes have truth.
        present: how many classes are in truth or answer whatever exits are taken; 1 at least.
        positions: E, of each exit; the last exit is the network's own end.
        bins: D×N.
        thresholds: by decider; level t has threshold t − 1.
        rows: D, the decider's exit.
        scores: D, names.
        families: D; deciders of one family go together.
        leads: D, whether the decider stands for its exit where all images stop.
        steps: 3×(P+1)×E: mean costs of going on to an exit and reading it, from the image
            (index 0) or from position p (index p + 1); from its own position, of its head alone;
            0 where there is no such way.
        own: 4×E, static costs of heads.
        path: 4×P, static costs of the segments up to a position, with the decoder's.
    """

    counts: Floats
    truth: int
    present: int
    positions: Ints
    bins: Ints
    thresholds: tuple[Floats, ...]
    rows: Ints
    scores: tuple[str, ...]
    families: tuple[str, ...]
    leads: NDArray[np.bool_]
    steps: Floats
    own: Floats
    path: Floats

    @property
    def images(self) -> int:
        """How many images N."""
        return int(self.counts.shape[1])

    def deciders(self, family: str, position: int) -> Ints:
        """List the deciders of a family at a position."""
        here = self.positions[self.rows] == position
        return np.flatnonzero(here & (np.array(self.families) == family))

    def design(self, deciders: Sequence[int], levels: Sequence[int]) -> Design:
        """Write deciders and their levels as a design."""
        rows = [int(self.rows[decider]) for decider in deciders]
        going_on = [(d, t) for d, t in zip(deciders, levels, strict=True) if t > 0]
        if len(going_on) == len(rows):
            rows.append(len(self.positions) - 1)
        return Design(
            tuple(rows),
            tuple(self.scores[decider] for decider, _ in going_on),
            tuple(float(self.thresholds[decider][level - 1]) for decider, level in going_on),
        )

    def count(self, most: int) -> int:
        """Count the designs of up to `most` early exits, the network alone among them."""
        total = len(self.positions)  # each exit alone
        last = int(self.positions[-1])
        for family in dict.fromkeys(self.families):
            ways = [1] + [0] * most  # chains that go on, by length
            for position in range(last):
                here = self.deciders(family, position)
                grids = sum(len(self.thresholds[d]) for d in here)
                alone = len(set(self.rows[here].tolist()))
                for length in range(most, 0, -1):
                    total += ways[length - 1] * grids  # the rest goes to the end
                    total += ways[length - 1] * alone if length > 1 else 0  # none goes on
                    ways[length] += ways[length - 1] * grids
        return total


def build_space(
    trace: Trace, costs: Costs, goal: Goal, scores: Sequence[str] = (), most: int = 20
) -> Space:
    """Lay a trace and its costs out for the solver.

    Args:
        trace: what was recorded.
        costs: what each piece costs.
        goal: whose cost is sought.
        scores: names of those to decide by; none: all that one threshold can decide by.
        most: levels of a decider at most.
    """
    unions = trace.unions.sum(axis=1)  # E×C
    truth = _with_truth(trace)
    order = np.concatenate([np.flatnonzero(truth), np.flatnonzero(~truth & (unions > 0).any(0))])
    counts = np.concatenate([trace.intersections[..., order], trace.unions[..., order]], axis=2)
    surely = trace.unions[..., order].min(axis=0).sum(axis=0) > 0  # whichever exit each image takes
    points = list(dict.fromkeys(point for point, _ in trace.exits))
    positions = np.array([points.index(point) for point, _ in trace.exits])
    found = _Deciders(trace, scores or deciding(trace), most)
    return Space(
        counts=np.ascontiguousarray(counts, dtype=np.float64),
        truth=int(truth.sum()),
        present=max(int(surely.sum()), 1),
        positions=positions,
        bins=np.array(found.bins, dtype=np.int64).reshape(-1, len(trace.images)),
        thresholds=tuple(found.thresholds),
        rows=np.array(found.rows, dtype=np.int64),
        scores=tuple(found.scores),
        families=tuple(found.families),
        leads=np.array(found.leads, dtype=np.bool_),
        steps=_steps(trace, costs, goal, points, positions),
        own=_own(trace, costs),
        path=_path(trace, costs, points),
    )


def family(name: str) -> str:
    """Name the family of a score: its name without the pixel threshold."""
    stem, _, rest = name.partition("@")
    return stem + ("-full" if rest.endswith("-full") else "")


def _with_truth(trace: Trace) -> NDArray[np.bool_]:
    """Tell which classes have truth: an exit that answers right, or a union whatever is said.

    The trace does not hold the truth; a class that no exit ever hits has IoU 0 in any design and
    may be treated as one without.
    """
    return np.asarray(trace.intersections.any(axis=(0, 1)))


class _Deciders:
    """Collects the deciders of a trace, exit by exit and score by score."""

    def __init__(self, trace: Trace, names: Sequence[str], most: int) -> None:
        self.bins: list[Ints] = []
        self.thresholds: list[Floats] = []
        self.rows: list[int] = []
        self.scores: list[str] = []
        self.families: list[str] = []
        self.leads: list[bool] = []
        for row, (point, _) in enumerate(trace.exits):
            if point == trace.exits[-1][0]:
                break
            seen = set[str]()
            for name in names:
                values = trace.score(row, name)
                chosen = levels(values, most)
                leads = family(name) not in seen
                if not len(chosen) and not leads:  # a leader may let all images stop
                    continue
                if ScoreSpec.parse(name).more_is_surer:
                    bins = (values[None] >= chosen[:, None]).sum(axis=0)
                else:
                    chosen = chosen[::-1]
                    bins = (values[None] <= chosen[:, None]).sum(axis=0)
                self.bins.append(bins.astype(np.int64))
                self.thresholds.append(chosen)
                self.rows.append(row)
                self.scores.append(name)
                self.families.append(family(name))
                self.leads.append(leads)
                seen.add(family(name))


def _steps(
    trace: Trace, costs: Costs, goal: Goal, points: Sequence[str], positions: Ints
) -> Floats:
    """Compute mean costs of going from before to each exit and reading it."""
    steps = np.zeros((MEANS, len(points) + 1, len(positions)))
    for start in range(len(points) + 1):
        for row, (point, head) in enumerate(trace.exits):
            if positions[row] < start - 1:
                continue
            first = costs.points.index(points[start - 1]) + 1 if start else 0
            end = costs.points.index(point) + 1
            pieces = [*costs.segments[first:end], costs.heads[point][head]]
            steps[1, start, row] = sum(piece.macs for piece in pieces)
            steps[2, start, row] = sum(piece.latency_ms for piece in pieces)
    steps[2, 0] += costs.decode.latency_ms  # once an image, whatever exit answers
    steps[1, 0] += costs.decode.macs
    if goal.cost in MEAN_COSTS:
        steps[0] = steps[1 + MEAN_COSTS.index(goal.cost)]
    return steps


def _own(trace: Trace, costs: Costs) -> Floats:
    """Look up the static costs of heads; a bundle always carries the last one."""
    rows = []
    for point, head in trace.exits:
        cost = costs.heads[point][head]
        rows.append([cost.latency_ms, cost.parameters, cost.bytes, cost.memory])
    rows[-1][STATICS.index("bytes")] = 0
    return np.array(rows, dtype=np.float64).T.copy()


def _path(trace: Trace, costs: Costs, points: Sequence[str]) -> Floats:
    """Sum the static costs of segments; a bundle carries all of them, and the decoder."""
    whole = costs.bundle_bytes([trace.exits[-1]]) if costs.knows("bytes") else 0
    rows = []
    for point in points:
        cost = costs.segment_path(point) + costs.decode
        rows.append((cost.latency_ms, cost.parameters, whole, cost.memory))
    return np.array(rows, dtype=np.float64).T.copy()
