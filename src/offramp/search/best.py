"""The best design so far, the nearest miss and the frontier, while all designs are judged."""

from dataclasses import dataclass, field

import numpy as np

from offramp.core.plan import Expectation
from offramp.metrics.trace import Trace
from offramp.search.designs import Chain, deciding
from offramp.search.goal import Goal


@dataclass(frozen=True)
class Point:
    """One design on the frontier of mIoU against cost."""

    miou: float
    macs: float
    latency_ms: float
    exits: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """One point of a chain's threshold grid."""

    chain: Chain
    grid: int


def total(trace: Trace, goal: Goal) -> int:
    """Count the chains, for progress: subsets of positions × heads × scores."""
    sizes = dict[str, int]()
    for point, _ in trace.exits:
        sizes[point] = sizes.get(point, 0) + 1
    if goal.setting == "budgeted":
        return len(trace.exits)
    if goal.setting == "anytime":  # the network's own end is always among the exits
        sizes[trace.exits[-1][0]] = 0
    ways = [1] + [0] * (goal.most_early_exits + 1)
    for size in sizes.values():
        for length in range(len(ways) - 1, 0, -1):
            ways[length] += ways[length - 1] * size
    if goal.setting == "anytime":
        return ways[-2]
    return ways[1] + sum(ways[2:]) * len(deciding(trace))


@dataclass
class Best:
    """What was found among the designs judged so far.

    Attributes:
        goal: what is sought.
        full: what the full network does.
        design: the best; none if nothing keeps to the bounds yet.
        configurations: how many designs were judged.
    """

    goal: Goal
    full: Expectation
    design: Design | None = None
    configurations: int = 0
    _key: tuple[float, ...] = ()
    _miss: float = float("inf")
    _nearest: str = ""
    _marks: list[tuple[Point, Design]] = field(default_factory=list)

    def judge(self, chain: Chain, trace: Trace) -> None:
        """Compare all grid points of a chain with the best so far."""
        goal = self.goal
        self.configurations += len(chain.miou)
        cost = chain.macs if goal.cost == "macs" else chain.latency_ms
        macs, latency = chain.macs, chain.latency_ms
        if goal.setting == "anytime":  # a deadline is kept by the first answer
            macs = np.full_like(macs, chain.first[0])
            latency = np.full_like(latency, chain.first[1])
        gaps = misses(goal, self.full, chain.miou, macs, latency)
        nearest = int(np.argmin(gaps))
        if gaps[nearest] < self._miss:
            self._miss = float(gaps[nearest])
            self._nearest = said(chain.miou[nearest], macs[nearest], latency[nearest])
        feasible = np.flatnonzero(gaps <= 0)
        if len(feasible):
            main, second = (cost, -chain.miou) if goal.bounds_accuracy else (-chain.miou, cost)
            grid = feasible[np.lexsort((second[feasible], main[feasible]))[0]]
            key = (float(main[grid]), float(second[grid]), len(chain.exits))
            if self.design is None or key < self._key:
                self.design, self._key = Design(chain, int(grid)), key
        self._add_to_frontier(chain, cost, trace)

    def frontier(self) -> tuple[Point, ...]:
        """List the designs that none beats, cheapest first."""
        self._prune()
        return tuple(point for point, _ in self._marks)

    def designs(self) -> tuple[Design, ...]:
        """List the same designs with their thresholds."""
        self._prune()
        return tuple(design for _, design in self._marks)

    def explain(self) -> str:
        """Say that nothing fits, and what comes nearest."""
        if not self._nearest:
            return f"there is no {self.goal.setting} plan with {self.goal.early_exits} early exits"
        return too_far(f"no {self.goal.setting} plan", self._nearest, self.full)

    def _add_to_frontier(self, chain: Chain, cost: np.ndarray, trace: Trace) -> None:
        names = tuple("/".join(trace.exits[row]) for row in chain.exits)
        for grid in pareto(cost, chain.miou):
            point = Point(
                float(chain.miou[grid]),
                float(chain.macs[grid]),
                float(chain.latency_ms[grid]),
                names,
            )
            self._marks.append((point, Design(chain, grid)))
        if len(self._marks) > 20_000:
            self._prune()

    def _prune(self) -> None:
        points = [point for point, _ in self._marks]
        cost = [p.macs if self.goal.cost == "macs" else p.latency_ms for p in points]
        keep = pareto(np.array(cost), np.array([p.miou for p in points]))
        self._marks = [self._marks[i] for i in keep]


def misses(
    goal: Goal, full: Expectation, miou: np.ndarray, macs: np.ndarray, latency_ms: np.ndarray
) -> np.ndarray:
    """Tell by how much designs miss the bounds together; 0 where all are kept."""
    gaps = np.maximum(goal.least_miou(full) - miou, 0)
    for bound, values in ((goal.max_macs, macs), (goal.max_latency_ms, latency_ms)):
        if bound is not None:
            gaps = gaps + np.maximum(values / bound - 1, 0)
    return np.nan_to_num(gaps, nan=np.inf)


def said(miou: float, macs: float, latency_ms: float) -> str:
    """Write what a design does."""
    return f"mIoU {miou:.4f}, {macs / 1e6:.2f} MMAC, {latency_ms:.2f} ms"


def too_far(what: str, nearest: str, full: Expectation) -> str:
    """Say that no design keeps to the bounds, and what comes nearest."""
    return (
        f"{what} keeps to the bounds; the nearest has {nearest}; "
        f"the full network has {said(full.miou, full.macs, full.latency_ms)}"
    )


def pareto(cost: np.ndarray, gain: np.ndarray) -> list[int]:
    """List the points that none beats: less cost and at least the gain, cheapest first.

    Args:
        cost: less is better; shape P.
        gain: more is better; shape P; NaN never stays.
    """
    order = np.lexsort((-gain, cost))
    gains = np.nan_to_num(gain[order], nan=-np.inf)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(gains)[:-1]])
    return [int(i) for i in order[gains > before]]
