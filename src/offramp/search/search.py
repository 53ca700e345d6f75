"""Judge every design of the space and return the optimum, with the whole frontier beside it."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from offramp.core.costs import Costs
from offramp.core.errors import BadInput, Infeasible
from offramp.core.files import write_json
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.progress import Track, silent
from offramp.core.rule import AtLeast, AtMost
from offramp.core.score import ScoreSpec
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.search.designs import Chain, chains, deciding
from offramp.search.goal import Goal


@dataclass(frozen=True)
class Point:
    """One design on the frontier of mIoU against cost."""

    miou: float
    macs: float
    latency_ms: float
    exits: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Attributes:
        plan: the optimum.
        frontier: designs that no other beats in both mIoU and cost, cheapest first.
        configurations: how many configurations were judged: all of the space.
        seconds: how long that took.
    """

    plan: Plan
    frontier: tuple[Point, ...]
    configurations: int
    seconds: float

    def save(self, file: Path) -> None:
        """Write the plan, and the frontier beside it."""
        self.plan.save(file)
        write_json(file.with_suffix(".frontier.json"), [asdict(p) for p in self.frontier])


def search(trace: Trace, costs: Costs, goal: Goal, track: Track = silent) -> Found:
    """Find the best design by judging all of them (MESS §5.1).

    Ties go to the higher mIoU (where the cheapest is sought) or the lower cost (where the most
    accurate is), then to the design with fewer exits, then to the first in the order of the path.

    Raises:
        Infeasible: no design keeps to the bounds.
        BadInput: trace and costs do not belong together, or latency is asked for but was not
            measured.
    """
    _check(trace, costs, goal)
    start = time.monotonic()
    full = full_network(trace, costs)
    best = _Best(goal, full)
    for chain in track(chains(trace, costs, goal), best.total(trace), "searching"):
        best.judge(chain, trace)
    if best.chain is None:
        raise Infeasible(best.explain())
    plan = _plan(trace, costs, goal, best.chain, best.grid, full)
    spent = time.monotonic() - start
    return Found(plan, best.frontier(), best.configurations, spent)


def full_network(trace: Trace, costs: Costs) -> Expectation:
    """Say what the network without early exits does."""
    last = len(trace.exits) - 1
    return _expected(trace, costs, np.full(len(trace.images), last), [last])


@dataclass
class _Best:
    """The best design so far, the nearest miss, and the frontier."""

    goal: Goal
    full: Expectation
    chain: Chain | None = None
    grid: int = 0
    key: tuple[float, ...] = ()
    configurations: int = 0
    nearest: str = ""
    miss: float = float("inf")
    points: list[Point] = field(default_factory=list)

    def total(self, trace: Trace) -> int:
        """Count the chains, for progress: subsets of positions × heads × scores."""
        goal, sizes = self.goal, dict[str, int]()
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

    def judge(self, chain: Chain, trace: Trace) -> None:
        """Compare all grid points of a chain with the best so far."""
        goal = self.goal
        self.configurations += len(chain.miou)
        cost = chain.macs if goal.cost == "macs" else chain.latency_ms
        macs, latency = chain.macs, chain.latency_ms
        if goal.setting == "anytime":  # a deadline is kept by the first answer
            macs = np.full_like(macs, chain.first[0])
            latency = np.full_like(latency, chain.first[1])
        gaps = np.maximum(goal.least_miou(self.full) - chain.miou, 0)
        for bound, values in ((goal.max_macs, macs), (goal.max_latency_ms, latency)):
            if bound is not None:
                gaps = gaps + np.maximum(values / bound - 1, 0)
        gaps = np.nan_to_num(gaps, nan=np.inf)
        nearest = int(np.argmin(gaps))
        if gaps[nearest] < self.miss:
            self.miss = float(gaps[nearest])
            self.nearest = (
                f"mIoU {chain.miou[nearest]:.4f}, {macs[nearest] / 1e6:.2f} MMAC, "
                f"{latency[nearest]:.2f} ms"
            )
        feasible = np.flatnonzero(gaps <= 0)
        if len(feasible):
            main, second = (cost, -chain.miou) if goal.bounds_accuracy else (-chain.miou, cost)
            grid = feasible[np.lexsort((second[feasible], main[feasible]))[0]]
            key = (float(main[grid]), float(second[grid]), len(chain.exits))
            if self.chain is None or key < self.key:
                self.chain, self.grid, self.key = chain, int(grid), key
        self._add_to_frontier(chain, cost, trace)

    def frontier(self) -> tuple[Point, ...]:
        """List the designs that none beats, cheapest first."""
        self._prune()
        return tuple(self.points)

    def explain(self) -> str:
        """Say that nothing fits, and what comes nearest."""
        full = self.full
        if not self.nearest:
            return f"there is no {self.goal.setting} plan with {self.goal.early_exits} early exits"
        return (
            f"no {self.goal.setting} plan keeps to the bounds; the nearest has {self.nearest}; "
            f"the full network has mIoU {full.miou:.4f}, {full.macs / 1e6:.2f} MMAC, "
            f"{full.latency_ms:.2f} ms"
        )

    def _add_to_frontier(self, chain: Chain, cost: np.ndarray, trace: Trace) -> None:
        names = tuple("/".join(trace.exits[row]) for row in chain.exits)
        for grid in pareto(cost, chain.miou):
            self.points.append(
                Point(
                    float(chain.miou[grid]),
                    float(chain.macs[grid]),
                    float(chain.latency_ms[grid]),
                    names,
                )
            )
        if len(self.points) > 20_000:
            self._prune()

    def _prune(self) -> None:
        cost = [p.macs if self.goal.cost == "macs" else p.latency_ms for p in self.points]
        keep = pareto(np.array(cost), np.array([p.miou for p in self.points]))
        self.points = [self.points[i] for i in keep]


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


def _check(trace: Trace, costs: Costs, goal: Goal) -> None:
    if trace.size != costs.size:
        raise BadInput(
            "trace and costs belong to different input sizes",
            expected=str(trace.size),
            got=str(costs.size),
            repair="record again: offramp record RUN",
        )
    costs.of([trace.exits[-1]])
    if not trace.unions.any():
        raise BadInput("no recorded image has a labelled pixel", repair="record a split with masks")
    if (goal.cost == "latency" or goal.max_latency_ms is not None) and not costs.engine:
        raise BadInput("latency was not measured", repair="record again: offramp record RUN")


def _plan(
    trace: Trace, costs: Costs, goal: Goal, chain: Chain, grid: int, full: Expectation
) -> Plan:
    """Write the chosen design as a plan, and replay it for what is expected."""
    decided = bool(chain.levels)
    exits = [
        PlannedExit(point=trace.exits[row][0], head=trace.exits[row][1], miou=trace.exit_miou(row))
        for row in chain.exits
    ]
    if decided:
        kind = AtLeast if ScoreSpec.parse(chain.score).more_is_surer else AtMost
        rules = [*(kind(threshold=t) for t in chain.thresholds(grid)), None]
        exits = [
            planned.model_copy(update={"rule": rule})
            for planned, rule in zip(exits, rules, strict=True)
        ]
    plan = Plan(
        setting=goal.setting,
        scores=(chain.score,),
        exits=tuple(exits),
        expected=full,
        full=full,
        size=trace.size,
        images=len(trace.images),
    )
    return expect(plan, trace, costs)


def expect(plan: Plan, trace: Trace, costs: Costs) -> Plan:
    """Replay a plan on a trace, and fill in its shares and what it is expected to do."""
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    taken = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    shares = np.bincount(taken, minlength=len(rows)) / len(trace.images)
    exits = tuple(
        planned.model_copy(update={"share": float(share)})
        for planned, share in zip(plan.exits, shares, strict=True)
    )
    expected = _expected(trace, costs, np.array(rows)[taken], rows)
    full = full_network(trace, costs)
    return plan.model_copy(update={"exits": exits, "expected": expected, "full": full})


def _expected(trace: Trace, costs: Costs, taken: np.ndarray, rows: list[int]) -> Expectation:
    """Average accuracy and cost when image n stops at row `taken[n]`, reading `rows` on its way."""
    by_row = {row: costs.of([trace.exits[r] for r in rows[: rows.index(row) + 1]]) for row in rows}
    spent = [by_row[int(row)] for row in taken]
    return Expectation(
        miou=trace.miou(taken),
        miou_per_image=float(np.nanmean(trace.miou_per_image(taken))),
        macs=float(np.mean([cost.macs for cost in spent])),
        latency_ms=float(np.mean([cost.latency_ms for cost in spent])),
    )
