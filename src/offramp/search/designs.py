"""One chain of exits with all thresholds of one score.

A chain is a choice of exits in the order of the path, one head each (MESS eq. 4), with a grid of
thresholds on all but its last exit. All points of the grid are judged at once, by sums over
images of the trace's intersections and unions. `solver` searches all chains.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Costs
from offramp.core.score import ScoreSpec
from offramp.metrics.confusion import mean_iou
from offramp.metrics.trace import Trace
from offramp.search.levels import levels

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


def judged(trace: Trace, costs: Costs, exits: tuple[int, ...], score: str) -> Chain | None:
    """Judge one chain with all thresholds of one score; nothing if it tells no images apart."""
    return _Table(trace, costs, exits[:-1], (score,)).judged(exits, score)


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
