"""The best plan of a policy: of thresholds over all exits, or of another on a chain of them."""

import time
from collections.abc import Sequence

import numpy as np

from offramp.core.costs import Costs
from offramp.core.errors import BadInput, Infeasible
from offramp.core.plan import Plan
from offramp.core.progress import Track, silent
from offramp.metrics.trace import Trace
from offramp.search.best import Point, misses, said, too_far
from offramp.search.exits import Rows, named_exits, planned_exits, some_exits
from offramp.search.goal import Goal
from offramp.search.problem import Problem
from offramp.search.search import Found, check, judge_all, plan_of, search
from offramp.search.strategies import Strategy

THRESHOLD = "threshold"
"""The policy of which all plans are judged: any exits, heads, one score, a threshold an exit."""


def search_policy(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    policy: str = THRESHOLD,
    exits: Sequence[str] = (),
    track: Track = silent,
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

    Raises:
        Infeasible: no plan keeps to the bounds.
        UnknownName: there is no such policy, or an exit or score was not recorded.
        BadInput: the policy does not suit the setting, there is no early exit to decide at, or as
            `search` does.
    """
    if policy == THRESHOLD:
        return search(_among(trace, exits), costs, goal, track)
    start = time.monotonic()
    plans = frontier_plans(trace, costs, goal, policy, exits, track)
    plan = _best(plans, goal, policy)
    points = tuple(point_of(plan) for plan in plans)
    return Found(plan, points, len(plans), time.monotonic() - start)


def frontier_plans(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    policy: str = THRESHOLD,
    exits: Sequence[str] = (),
    track: Track = silent,
) -> list[Plan]:
    """List the plans of a policy that no other beats in mIoU and cost, cheapest first.

    Arguments and errors are those of `search_policy`; bounds are kept only by the choice of a
    strategy's exits where none are named.
    """
    if policy == THRESHOLD:
        kept = _among(trace, exits)
        designs = judge_all(kept, costs, goal, track).designs()
        return [plan_of(kept, costs, goal, design) for design in designs]
    strategy = Strategy.parse(policy)
    if goal.setting != "input-dependent":
        raise BadInput(
            f"the policy '{policy}' decides image by image",
            expected="the setting input-dependent",
            got=goal.setting,
        )
    check(trace, costs, goal)
    rows = named_exits(trace, exits) if exits else _usual_exits(trace, costs, goal, track)
    return strategy.plans(Problem(trace, costs, rows, goal.cost))


def point_of(plan: Plan) -> Point:
    """Say what a plan is expected to do."""
    done = plan.expected
    names = tuple(f"{planned.point}/{planned.head}" for planned in plan.exits)
    return Point(done.miou, done.macs, done.latency_ms, names)


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


def _best(plans: Sequence[Plan], goal: Goal, policy: str) -> Plan:
    """Choose the cheapest plan within bounds on accuracy, or the most accurate within others."""
    done = [plan.expected for plan in plans]
    miou, macs, latency = (
        np.array([getattr(each, name) for each in done]) for name in ("miou", "macs", "latency_ms")
    )
    gaps = misses(goal, plans[0].full, miou, macs, latency)
    if not (gaps <= 0).any():
        nearest = done[int(np.argmin(gaps))]
        what = f"no plan of '{policy}' on {', '.join(point_of(plans[0]).exits)}"
        at = said(nearest.miou, nearest.macs, nearest.latency_ms)
        raise Infeasible(too_far(what, at, plans[0].full))
    able = [plan for plan, gap in zip(plans, gaps, strict=True) if gap <= 0]
    return able[0 if goal.bounds_accuracy else -1]  # cheapest first, so least accurate first
