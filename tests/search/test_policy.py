"""The best plan of a policy on named exits, against a choice by hand from all its fits."""

import numpy as np
import pytest

from offramp.core.costs import Costs
from offramp.core.errors import BadInput, UnknownName
from offramp.metrics.trace import Trace
from offramp.search import Goal, Infeasible, search
from offramp.search.policy import frontier_plans, search_policy
from offramp.search.problem import Problem
from offramp.search.strategies import Strategy
from tests.search.drawn import COSTS, draw

TABLE = "table:entropy"
CHAIN = ("a/x", "b/x")


@pytest.fixture(scope="module")
def drawn() -> Trace:
    """60 images; two heads at b."""
    return draw(np.random.default_rng(3), 60)


def test_the_default_policy_is_the_exact_search(drawn: Trace) -> None:
    goal = Goal(max_miou_loss=0.05)
    found = search_policy(drawn, COSTS, goal)
    assert found.optimal
    assert found.plan == search(drawn, COSTS, goal).plan


def test_named_exits_confine_the_exact_search(drawn: Trace) -> None:
    """The same as a trace on which nothing else was recorded; the end needs no name."""
    goal = Goal(max_miou_loss=0.05)
    rows = [drawn.index("b", "x"), drawn.index("b", "y"), drawn.index("end", "own")]
    there = Trace(
        images=drawn.images,
        exits=tuple(drawn.exits[row] for row in rows),
        names=drawn.names,
        score_names=drawn.score_names,
        scores=drawn.scores[rows],
        intersections=drawn.intersections[rows],
        unions=drawn.unions[rows],
        size=drawn.size,
    )
    found = search_policy(drawn, COSTS, goal, exits=("b/y", "b/x"))
    assert found.plan == search(there, COSTS, goal).plan
    assert found.optimal
    assert {planned.point for planned in found.plan.exits} <= {"b", "end"}
    assert found.plan.expected.macs >= search(drawn, COSTS, goal).plan.expected.macs


@pytest.mark.parametrize("policy", [TABLE, "rl:entropy", "threshold:entropy"])
def test_the_cheapest_fit_within_the_loss_is_taken(drawn: Trace, policy: str) -> None:
    rows = tuple(drawn.index(*pair) for pair in (("a", "x"), ("b", "x"), ("end", "own")))
    plans = Strategy.parse(policy).plans(Problem(drawn, COSTS, rows))
    for loss in (0.0, 0.03, 0.1):
        able = [p for p in plans if p.expected.miou >= p.full.miou - loss]
        cheapest = min(able, key=lambda p: p.expected.macs)
        found = search_policy(drawn, COSTS, Goal(max_miou_loss=loss), policy, CHAIN)
        assert found.plan == cheapest
        assert found.plan.policy == policy
        assert not found.optimal


def test_the_most_accurate_fit_within_the_work_is_taken(drawn: Trace) -> None:
    goal = Goal(max_macs=450.0)
    able = [p for p in frontier_plans(drawn, COSTS, goal, TABLE, CHAIN) if p.expected.macs <= 450]
    found = search_policy(drawn, COSTS, goal, TABLE, CHAIN)
    assert found.plan.expected.miou == max(p.expected.miou for p in able)


def test_without_names_the_exits_are_those_of_the_best_threshold_plan(drawn: Trace) -> None:
    goal = Goal(max_miou_loss=0.05)
    chosen = [planned.point for planned in search(drawn, COSTS, goal).plan.exits]
    assert len(chosen) > 1
    points = [planned.point for planned in search_policy(drawn, COSTS, goal, TABLE).plan.exits]
    assert points == chosen if chosen[-1] == "end" else points == [*chosen, "end"]


def test_bounds_that_no_fit_keeps_say_what_comes_nearest(drawn: Trace) -> None:
    with pytest.raises(Infeasible, match=r"'table:entropy' on a/x, b/x, end/own .*nearest has"):
        search_policy(drawn, COSTS, Goal(min_miou=0.999), TABLE, CHAIN)


@pytest.mark.parametrize(
    ("policy", "exits", "message"),
    [
        ("tabel:entropy", CHAIN, "mean 'table:entropy'"),
        ("table:entrop", CHAIN, "no score 'entrop'"),
        ("range:fft", CHAIN, "no recorded score 'fft'"),
        (TABLE, ("a",), "expected point/head"),
        (TABLE, ("a/y",), "no recorded exit 'a/y'"),
        (TABLE, ("b/x", "b/y"), "two exits at one position"),
        (TABLE, ("end/own",), "expected 1 to 3; got 0"),
        ("threshold", ("c/x",), "no recorded exit 'c/x'"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    drawn: Trace, policy: str, exits: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        search_policy(drawn, COSTS, Goal(max_miou_loss=0.1), policy, exits)


def test_a_policy_needs_images_to_decide_by(drawn: Trace) -> None:
    goal = Goal(setting="budgeted", max_miou_loss=0.1)
    with pytest.raises(BadInput, match="decides image by image"):
        search_policy(drawn, COSTS, goal, TABLE, CHAIN)


def test_a_best_plan_without_early_exits_asks_for_names(drawn: Trace) -> None:
    full = drawn.exit_miou(len(drawn.exits) - 1)
    heavy = COSTS.model_copy(
        update={"heads": {**COSTS.heads, **{p: _dear(COSTS, p) for p in ("a", "b")}}}
    )
    goal = Goal(min_miou=full - 1e-9)
    with pytest.raises(BadInput, match="name exits"):
        search_policy(drawn, heavy, goal, TABLE)


def test_a_plan_of_an_exit_that_a_trace_lacks_is_refused(drawn: Trace) -> None:
    from offramp.search.expectation import expect

    plan = search_policy(drawn, COSTS, Goal(max_miou_loss=0.05), TABLE, ("b/y",)).plan
    less = drawn.only([drawn.index("b", "x"), drawn.index("end", "own")])
    with pytest.raises(UnknownName, match="no recorded exit 'b/y'"):
        expect(plan, less, COSTS)


def test_a_plan_remembers_in_which_precision_it_was_fitted(drawn: Trace) -> None:
    import dataclasses

    other = dataclasses.replace(drawn, precision="int8")
    for policy in ("threshold", TABLE):
        plan = search_policy(other, COSTS, Goal(max_miou_loss=0.05), policy, CHAIN).plan
        assert plan.precision == "int8"


def _dear(costs: Costs, point: str) -> dict[str, object]:
    return {
        name: cost.model_copy(update={"macs": 10_000}) for name, cost in costs.heads[point].items()
    }
