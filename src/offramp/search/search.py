"""Judge every design of the space and return the optimum, with the whole frontier beside it."""

import time
from dataclasses import asdict, dataclass
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
from offramp.search.best import Best, Design, Point, total
from offramp.search.designs import chains
from offramp.search.goal import Goal


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Attributes:
        plan: what was sought.
        frontier: designs that no other beats in both mIoU and cost, cheapest first.
        configurations: how many configurations were judged.
        seconds: how long that took.
        optimal: those were all of the space, and the plan is the best of them.
    """

    plan: Plan
    frontier: tuple[Point, ...]
    configurations: int
    seconds: float
    optimal: bool = False

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
    start = time.monotonic()
    best = judge_all(trace, costs, goal, track)
    if best.design is None:
        raise Infeasible(best.explain())
    plan = plan_of(trace, costs, goal, best.design)
    spent = time.monotonic() - start
    return Found(plan, best.frontier(), best.configurations, spent, optimal=True)


def judge_all(trace: Trace, costs: Costs, goal: Goal, track: Track = silent) -> Best:
    """Judge every design; the best may be none.

    Raises:
        BadInput: as `search` does.
    """
    check(trace, costs, goal)
    best = Best(goal, full_network(trace, costs))
    for chain in track(chains(trace, costs, goal), total(trace, goal), "searching"):
        best.judge(chain, trace)
    return best


def full_network(trace: Trace, costs: Costs) -> Expectation:
    """Say what the network without early exits does."""
    last = len(trace.exits) - 1
    return _expected(trace, costs, np.full(len(trace.images), last), [last])


def check(trace: Trace, costs: Costs, goal: Goal) -> None:
    """Refuse a trace and costs that do not belong together, or do not say what the goal asks.

    Raises:
        BadInput: what is amiss.
    """
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


def plan_of(trace: Trace, costs: Costs, goal: Goal, design: Design) -> Plan:
    """Write a design as a plan, and replay it for what is expected."""
    chain, decided = design.chain, bool(design.chain.levels)
    exits = [
        PlannedExit(point=trace.exits[row][0], head=trace.exits[row][1]) for row in chain.exits
    ]
    if decided:
        kind = AtLeast if ScoreSpec.parse(chain.score).more_is_surer else AtMost
        rules = [*(kind(threshold=t) for t in chain.thresholds(design.grid)), None]
        exits = [
            planned.model_copy(update={"rule": rule})
            for planned, rule in zip(exits, rules, strict=True)
        ]
    full = full_network(trace, costs)
    plan = Plan(
        setting=goal.setting,
        scores=(chain.score,),
        exits=tuple(exits),
        expected=full,
        full=full,
        size=trace.size,
        images=len(trace.images),
        precision=trace.precision,
    )
    return expect(plan, trace, costs)


def expect(plan: Plan, trace: Trace, costs: Costs) -> Plan:
    """Replay a plan on a trace, and fill in shares, each exit's mIoU, and what it does.

    Raises:
        UnknownName: the trace lacks an exit or a score of the plan.
    """
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    taken = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    shares = np.bincount(taken, minlength=len(rows)) / len(trace.images)
    exits = tuple(
        planned.model_copy(update={"share": float(share), "miou": trace.exit_miou(row)})
        for planned, share, row in zip(plan.exits, shares, rows, strict=True)
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
