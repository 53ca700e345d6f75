"""The best plan of a policy: of thresholds over all exits, or of another on a chain of them."""

import time
from collections.abc import Sequence

from offramp.core.costs import Costs
from offramp.core.errors import BadInput, Infeasible
from offramp.core.plan import Plan
from offramp.core.progress import Track, silent
from offramp.metrics.trace import Trace
from offramp.search.design import Design, plan_of, point_of
from offramp.search.exits import Rows, named_exits, planned_exits, some_exits
from offramp.search.expectation import expect, full_network
from offramp.search.front import find_front
from offramp.search.goal import CostName, Goal
from offramp.search.point import Point
from offramp.search.problem import Problem, counted
from offramp.search.search import Found, check, divided, judged_apart, said, search
from offramp.search.strategies import Strategy

THRESHOLD = "threshold"
"""The policy of which all plans are judged: any exits, heads, scores, a threshold an exit."""


def search_policy(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    policy: str = THRESHOLD,
    exits: Sequence[str] = (),
    track: Track = silent,
    *,
    held_out: float = 0.0,
    seconds: float | None = None,
    scores: Sequence[str] = (),
) -> Found:
    """Find the best plan of a policy.

    Args:
        trace: what was recorded.
        costs: what each piece costs.
        goal: its bounds and setting.
        policy: "threshold": the best of all plans; or a name as in `strategies`: the best of its
            fits on one chain of exits.
        exits: "point/head" of those that may be used, the network's own end besides. Absent: all;
            for a strategy those of the best threshold plan.
        track: shows progress.
        held_out: share of the images on which the plan is not fitted, but judged beside.
        seconds: with "threshold", as for `search`.
        scores: with "threshold", as for `search`.

    Raises:
        Infeasible: no plan keeps to the bounds.
        UnknownName: there is no such policy, or an exit or score was not recorded.
        BadInput: the policy does not suit the setting, there is no early exit to decide at, or as
            `search` does.
    """
    if policy == THRESHOLD:
        among = _among(trace, exits)
        return search(among, costs, goal, track, held_out=held_out, seconds=seconds, scores=scores)
    start = time.monotonic()
    fitted, others = divided(trace, held_out)
    part = trace.subset(fitted)
    plans = frontier_plans(part, costs, goal, policy, exits, track)
    best = _best(plans, goal, policy, part, costs)
    plan = expect(best, trace, costs)
    if others:
        parts = judged_apart(plan, (trace, costs), fitted, others)
        plan = plan.model_copy(update={"division": parts})
    return Found(
        plan=plan,
        frontier=tuple(point_of_plan(each, part, costs) for each in plans),
        configurations=len(plans),
        seconds=time.monotonic() - start,
        goal=goal,
        chosen=point_of_plan(best, part, costs),
        full=_full(part, costs),
    )


def frontier_plans(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    policy: str = THRESHOLD,
    exits: Sequence[str] = (),
    track: Track = silent,
) -> list[Plan]:
    """List the plans of a policy that no other beats in mIoU and cost, cheapest first.

    Arguments and errors are those of `search_policy`. Bounds on cost are kept by thresholds; other
    policies use the bounds only to choose their exits, where none are named.
    """
    check(trace, costs, goal)
    if policy == THRESHOLD:
        kept = _among(trace, exits)
        front = find_front(kept, costs, goal, track)
        return [plan_of(kept, costs, goal.setting, design) for _, _, design in front.entries]
    strategy = Strategy.parse(policy)
    if goal.setting != "input-dependent":
        raise BadInput(
            f"the policy '{policy}' decides image by image",
            expected="the setting input-dependent",
            got=goal.setting,
        )
    rows = named_exits(trace, exits) if exits else _usual_exits(trace, costs, goal, track)
    return strategy.plans(Problem(trace, costs, rows, counted(goal)))


def point_of_plan(plan: Plan, trace: Trace, costs: Costs) -> Point:
    """Say what a plan of any policy is expected to do, and what it costs as a whole."""
    exits = tuple(trace.index(planned.point, planned.head) for planned in plan.exits)
    whole = point_of(trace, costs, "anytime", Design(exits))
    return Point(
        miou=plan.expected.miou,
        macs=plan.expected.macs,
        latency_ms=plan.expected.latency_ms,
        worst_latency_ms=whole.worst_latency_ms,
        parameters=whole.parameters,
        bytes=whole.bytes,
        memory=whole.memory,
        exits=whole.exits,
        shares=tuple(planned.share for planned in plan.exits),
    )


def _among(trace: Trace, exits: Sequence[str]) -> Trace:
    return trace.only(some_exits(trace, exits)) if exits else trace


def _usual_exits(trace: Trace, costs: Costs, goal: Goal, track: Track) -> Rows:
    """Take the exits of the best threshold plan."""
    plan = search(trace, costs, goal, track).plan
    if [(planned.point, planned.head) for planned in plan.exits] == [trace.exits[-1]]:
        raise BadInput(
            "the best threshold plan has no early exit at which a policy could decide",
            repair="name exits: --exits point/head,point/head",
        )
    return planned_exits(trace, plan)


def _best(plans: Sequence[Plan], goal: Goal, policy: str, trace: Trace, costs: Costs) -> Plan:
    """Choose the cheapest plan within bounds on accuracy, or the most accurate within others."""
    points = [point_of_plan(plan, trace, costs) for plan in plans]
    least = goal.least_miou(full_network(trace, costs))
    misses = [_miss(point, goal, least) for point in points]
    able = [plan for plan, miss in zip(plans, misses, strict=True) if miss <= 0]
    if not able:
        nearest = points[misses.index(min(misses))]
        raise Infeasible(
            f"no plan of '{policy}' on {', '.join(nearest.exits)} keeps to the bounds; the "
            f"nearest has {said(nearest)}; the full network has {said(_full(trace, costs))}"
        )
    return able[0 if goal.bounds_accuracy else -1]  # cheapest first, so least accurate first


def _miss(point: Point, goal: Goal, least: float) -> float:
    """Tell by how much a plan misses the bounds together; 0 where all are kept."""
    values: dict[CostName, float] = {
        "macs": point.macs,
        "latency": point.latency_ms,
        "worst-latency": point.worst_latency_ms,
        "parameters": point.parameters,
        "bytes": point.bytes,
        "memory": point.memory,
    }
    over = sum(max(value / goal.most(name) - 1, 0.0) for name, value in values.items())
    return max(least - point.miou, 0.0) + over


def _full(trace: Trace, costs: Costs) -> Point:
    return point_of(trace, costs, "budgeted", Design((len(trace.exits) - 1,)))
