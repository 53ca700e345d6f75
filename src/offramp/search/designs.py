"""Every design of the space with what it does, chain of exits by chain of exits.

A chain is a choice of exits in the order of the path, one head each (MESS eq. 4). An
input-dependent chain has a grid of thresholds on all but its last exit; all points of the grid
are judged at once, by sums over images of the trace's intersections and unions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Costs
from offramp.core.score import ScoreSpec
from offramp.metrics.confusion import mean_iou
from offramp.metrics.trace import Trace
from offramp.search.goal import Goal

LEVELS = 20
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """One choice of exits and heads, with what it does at each point of its threshold grid.

    Attributes:
        exits: rows of the trace, in the order of the path.
        score: name of the deciding score.
        levels: thresholds of each exit but the last; empty where no score decides.
        miou: dataset mIoU by grid point; G values, the first exit's threshold varying slowest.
        macs: mean multiply-accumulates an image; G values.
        latency_ms: mean milliseconds an image; G values.
        first: work and milliseconds until the first answer.
    """

    exits: tuple[int, ...]
    score: str
    levels: tuple[Floats, ...]
    miou: Floats
    macs: Floats
    latency_ms: Floats
    first: tuple[float, float]

    def thresholds(self, grid: int) -> tuple[float, ...]:
        """Read the thresholds of one grid point."""
        shape = tuple(len(level) for level in self.levels)
        return tuple(
            float(level[i])
            for level, i in zip(self.levels, np.unravel_index(grid, shape), strict=True)
        )


def chains(trace: Trace, costs: Costs, goal: Goal) -> Iterator[Chain]:
    """Yield every chain that the goal's setting allows."""
    if goal.setting == "budgeted":
        for row in range(len(trace.exits)):
            yield _fixed(trace, costs, (row,))
        return
    last = len(trace.exits) - 1
    if goal.setting == "anytime":
        for exits in _choices(trace, goal.most_early_exits + 1):
            if exits[-1] == last:
                yield _fixed(trace, costs, exits)
        return
    table = _Table(trace, costs, range(last), deciding(trace))
    for length in range(1, goal.most_early_exits + 2):
        for exits in _choices(trace, length):
            if length == 1:
                yield _fixed(trace, costs, exits)
                continue
            for score in deciding(trace):
                chain = table.judged(exits, score)
                if chain is not None:
                    yield chain


def judged(trace: Trace, costs: Costs, exits: tuple[int, ...], score: str) -> Chain | None:
    """Judge one chain with all thresholds of one score; nothing if it tells no images apart."""
    return _Table(trace, costs, exits[:-1], (score,)).judged(exits, score)


def deciding(trace: Trace) -> tuple[str, ...]:
    """List the recorded scores that one threshold an exit can decide by."""
    return tuple(name for name in trace.score_names if decides_alone(ScoreSpec.parse(name)))


def decides_alone(spec: ScoreSpec) -> bool:
    """Tell whether one threshold on a score is a strategy of its own."""
    return spec.direction != "range" and spec.reduce != "class"


def levels(scores: Floats, most: int = LEVELS) -> Floats:
    """Choose up to `most` thresholds that part the images differently.

    They lie midway between neighbouring scores, so that a score which an engine computes a hair
    differently still falls on its side.

    Args:
        scores: one score per image, shape N; those that are no finite number part nothing.
        most: how many thresholds at the most.
    """
    scores = scores[np.isfinite(scores)]
    distinct = np.unique(scores)
    middles = (distinct[1:] + distinct[:-1]) / 2
    if len(middles) <= most:
        return middles
    # Equal shares of the images between thresholds; of the gaps around each place the widest.
    ranks = np.quantile(scores, (np.arange(most) + 0.5) / most)
    reach = max(len(middles) // (4 * most), 1)
    gaps = np.diff(distinct)
    chosen = []
    for rank in ranks:
        centre = int(np.searchsorted(middles, rank))
        low, high = max(centre - reach, 0), min(centre + reach + 1, len(middles))
        chosen.append(middles[low + int(np.argmax(gaps[low:high]))])
    return np.unique(chosen)


def _choices(trace: Trace, length: int) -> Iterator[tuple[int, ...]]:
    """Yield rows of `length` exits at different positions, in the order of the path."""
    positions: dict[str, list[int]] = {}
    for row, (point, _) in enumerate(trace.exits):
        positions.setdefault(point, []).append(row)
    for points in combinations(positions, length):
        yield from product(*(positions[point] for point in points))


def _fixed(trace: Trace, costs: Costs, exits: tuple[int, ...]) -> Chain:
    """Judge a chain in which every image reads every exit.

    Its accuracy is that of its weakest early exit: the answer that a deadline may force.
    """
    cost = costs.of([trace.exits[row] for row in exits])
    first = costs.of([trace.exits[exits[0]]])
    weakest = min(trace.exit_miou(row) for row in exits[:-1] or exits)
    return Chain(
        exits=exits,
        score=trace.score_names[0],
        levels=(),
        miou=np.array([weakest]),
        macs=np.array([float(cost.macs)]),
        latency_ms=np.array([cost.latency_ms]),
        first=(float(first.macs), first.latency_ms),
    )


class _Table:
    """The trace and costs as arrays, for judging input-dependent chains."""

    def __init__(
        self, trace: Trace, costs: Costs, rows: Iterable[int], names: Sequence[str]
    ) -> None:
        self.trace = trace
        self.costs = costs
        both = np.concatenate([trace.intersections, trace.unions], axis=2)
        self.counts = both.astype(np.float64)  # E×N×2C
        self.grids = {(row, name): self._grid(row, name) for row in rows for name in names}

    def judged(self, exits: tuple[int, ...], score: str) -> Chain | None:
        """Judge all thresholds of a chain; nothing if a score does not tell images apart.

        The running images are a G×N table of zeros and ones; each exit parts every row by each
        of its thresholds, adds what the stopped images count, and hands the others on.
        """
        images = len(self.trace.images)
        running = np.ones((1, images))
        counts = np.zeros((1, self.counts.shape[2]))
        # Sums over images, divided at the end: designs that cost the same come out the same.
        macs, latency = np.zeros(1), np.full(1, images * self.costs.decode.latency_ms)
        grids = [self.grids[row, score] for row in exits[:-1]]
        if any(len(levels) == 0 for levels, _ in grids):
            return None
        for place, row in enumerate(exits):
            readers = running.sum(axis=1)  # G: who gets here reads this head
            step_macs, step_ms = self._step(exits, place)
            macs, latency = macs + readers * step_macs, latency + readers * step_ms
            if place == len(exits) - 1:
                counts = counts + running @ self.counts[row]
                break
            stops = grids[place][1]  # T×N
            stopped = (running[:, None] * stops[None]).reshape(-1, images)
            counts = np.repeat(counts, len(stops), axis=0) + stopped @ self.counts[row]
            running = np.repeat(running, len(stops), axis=0) - stopped
            macs, latency = np.repeat(macs, len(stops)), np.repeat(latency, len(stops))
        classes = counts.shape[1] // 2
        first = self.costs.of([self.trace.exits[exits[0]]])
        return Chain(
            exits=exits,
            score=score,
            levels=tuple(levels for levels, _ in grids),
            miou=mean_iou(counts[:, :classes], counts[:, classes:]),
            macs=macs / images,
            latency_ms=latency / images,
            first=(float(first.macs), first.latency_ms),
        )

    def _grid(self, row: int, name: str) -> tuple[Floats, Floats]:
        """Choose thresholds of an exit, and note which images each stops (T×N)."""
        scores = self.trace.score(row, name)
        thresholds = levels(scores)
        if ScoreSpec.parse(name).more_is_surer:
            return thresholds, (scores[None] >= thresholds[:, None]).astype(np.float64)
        return thresholds, (scores[None] <= thresholds[:, None]).astype(np.float64)

    def _step(self, exits: tuple[int, ...], place: int) -> tuple[float, float]:
        """Cost of going from the exit before to this one and reading its head."""
        point, head = self.trace.exits[exits[place]]
        end = self.costs.points.index(point)
        start = 0
        if place:
            start = self.costs.points.index(self.trace.exits[exits[place - 1]][0]) + 1
        pieces = [*self.costs.segments[start : end + 1], self.costs.heads[point][head]]
        return float(sum(p.macs for p in pieces)), sum(p.latency_ms for p in pieces)
