"""What the search refuses, what its parts do, and MESS table 1 in each setting."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offramp.core.errors import BadInput
from offramp.core.files import read_json
from offramp.core.plan import Plan
from offramp.metrics.trace import Trace
from offramp.search import Goal, Infeasible, search
from offramp.search.levels import LEVELS, levels
from offramp.search.pareto import pareto
from tests.tiny import make_costs, make_trace

EXITS = [("a", "x"), ("b", "x"), ("end", "own")]


@pytest.fixture
def trace() -> Trace:
    """Four images of one class; the exits get 1, 2 and 4 of them right, and know which."""
    right = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    scores = np.array([[0.9, 0.2, 0.2, 0.2], [0.9, 0.8, 0.1, 0.1], [1, 1, 1, 1]])
    return make_trace(scores[..., None], right[..., None], np.ones((3, 4, 1)), EXITS)


COSTS = make_costs([100, 200, 400], {"a": {"x": 1}, "b": {"x": 10}, "end": {"own": 0}}, decode=7)


@pytest.mark.slow  # compiles the solver
def test_input_dependent_counts_segments_and_heads_by_who_passes(trace: Trace) -> None:
    plan = search(trace, COSTS, Goal.cheapest(min_miou=1.0)).plan
    assert [planned.point for planned in plan.exits] == ["a", "b", "end"]
    passing_a, passing_b = 3 / 4, 2 / 4
    assert plan.expected.macs == 101 + passing_a * 210 + passing_b * 400
    assert plan.expected.latency_ms == plan.expected.macs + 7
    assert plan.expected.miou == 1.0
    assert plan.full.macs == 700


def test_budgeted_takes_the_cheapest_exit_that_is_good_enough(trace: Trace) -> None:
    plan = search(trace, COSTS, Goal(setting="budgeted", min_miou=0.5)).plan
    assert [planned.point for planned in plan.exits] == ["b"]
    assert plan.expected.macs == 310


def test_anytime_runs_the_whole_backbone_and_the_heads_it_has(trace: Trace) -> None:
    goal = Goal(setting="anytime", min_miou=0.25, early_exits=2)
    plan = search(trace, COSTS, goal).plan
    assert [planned.point for planned in plan.exits] == ["a", "b", "end"]
    assert plan.expected.macs == 711


def test_an_anytime_deadline_binds_the_first_answer(trace: Trace) -> None:
    plan = search(trace, COSTS, Goal(setting="anytime", max_macs=150)).plan
    assert [planned.point for planned in plan.exits] == ["a", "end"]
    plan = search(trace, COSTS, Goal(setting="anytime", max_macs=310)).plan
    assert [planned.point for planned in plan.exits] == ["b", "end"]


def test_thresholds_lie_midway_between_the_scores_they_part(trace: Trace) -> None:
    plan = search(trace, COSTS, Goal.cheapest(min_miou=1.0)).plan
    assert [planned.threshold for planned in plan.exits] == [
        pytest.approx((0.9 + 0.2) / 2),
        pytest.approx((0.8 + 0.1) / 2),
        None,
    ]


def test_designs_that_are_equal_in_all_yield_to_the_first(trace: Trace) -> None:
    costs = make_costs([100, 0, 400], {"a": {"x": 5}, "b": {"x": 5}, "end": {"own": 0}})
    equal = make_trace(trace.scores, *[np.ones((3, 4, 1))] * 2, EXITS)
    for goal in (Goal(setting="budgeted", min_miou=0.5), Goal(setting="budgeted", max_macs=200)):
        assert [planned.point for planned in search(equal, costs, goal).plan.exits] == ["a"]


def test_nothing_that_fits_says_what_comes_nearest(trace: Trace) -> None:
    goal = Goal(max_macs=150, min_miou=0.99)
    with pytest.raises(Infeasible, match=r"best mIoU is .*full network has mIoU 1\.0000"):
        search(trace, COSTS, goal)


def test_latency_that_was_not_measured_is_refused(trace: Trace) -> None:
    untimed = COSTS.model_copy(update={"engine": {}})
    with pytest.raises(BadInput, match="latency was not measured"):
        search(trace, untimed, Goal(max_latency_ms=100.0))


def test_costs_of_another_size_are_refused(trace: Trace) -> None:
    other = COSTS.model_copy(update={"size": (32, 32)})
    with pytest.raises(BadInput, match="different input sizes"):
        search(trace, other, Goal.cheapest(min_miou=0.1))


def test_a_trace_without_a_labelled_pixel_is_refused(trace: Trace) -> None:
    empty = np.zeros_like(trace.unions)
    blank = dataclasses.replace(trace, intersections=empty, unions=empty)
    with pytest.raises(BadInput, match="labelled pixel"):
        search(blank, COSTS, Goal(max_miou_loss=0.1))


def test_costs_that_lack_an_exit_are_refused(trace: Trace) -> None:
    other = make_costs([100, 200, 400], {"a": {"y": 1}, "b": {"x": 10}, "end": {"own": 0}})
    with pytest.raises(BadInput, match="no cost is known"):
        search(trace, other, Goal.cheapest(min_miou=0.1))


def test_a_score_that_is_no_number_makes_no_threshold() -> None:
    assert levels(np.array([0.9, np.nan, 0.2, np.inf])).tolist() == [pytest.approx(0.55)]
    assert levels(np.array([np.nan, np.nan])).tolist() == []
    assert np.isfinite(levels(np.append(np.linspace(0, 1, 100), np.nan))).all()


def test_progress_is_promised_exactly(trace: Trace) -> None:
    for setting in ("budgeted", "anytime", "input-dependent"):
        seen: list[tuple[int, int]] = []

        def track(items, total, label, seen=seen):  # type: ignore[no-untyped-def]
            kept = list(items)
            seen.append((len(kept), total))
            return kept

        search(trace, COSTS, Goal(setting=setting, min_miou=0.1), track)  # type: ignore[arg-type]
        assert [done for done, _ in seen] == [total for _, total in seen]


def test_plan_and_frontier_are_saved_side_by_side(trace: Trace, tmp_path: Path) -> None:
    found = search(trace, COSTS, Goal.cheapest(min_miou=0.5))
    found.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == found.plan
    frontier = read_json(tmp_path / "plan.frontier.json")
    assert [point["macs"] for point in frontier] == [point.macs for point in found.frontier]


def test_a_goal_without_a_bound_is_refused() -> None:
    with pytest.raises(BadInput, match="without a bound"):
        Goal()


@pytest.mark.parametrize(
    "bounds",
    [
        {"max_miou_loss": 1.5},
        {"min_miou": -2.0},
        {"min_miou": float("nan")},
        {"max_macs": 0.0},
        {"max_macs": -5.0},
        {"max_latency_ms": float("nan")},
        {"min_miou": 0.5, "early_exits": 0},
        {"min_miou": 0.5, "early_exits": 6},
    ],
)
def test_a_bound_out_of_range_is_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        Goal(**bounds)  # type: ignore[arg-type]


some_scores = hnp.arrays(np.float64, st.integers(1, 120), elements=st.floats(0, 1, width=32))


@given(some_scores)
def test_levels_lie_strictly_between_scores(scores: np.ndarray) -> None:
    chosen = levels(scores)
    distinct = set(np.unique(scores).tolist())
    assert len(chosen) <= LEVELS
    assert np.all(np.diff(chosen) > 0)
    for level in chosen:
        assert level not in distinct
        assert scores.min() < level < scores.max()


@given(some_scores)
def test_few_scores_are_parted_at_every_gap(scores: np.ndarray) -> None:
    distinct = np.unique(scores)
    if len(distinct) <= LEVELS + 1:
        parts = {int((scores >= level).sum()) for level in levels(scores)}
        assert len(parts) == len(distinct) - 1


def test_levels_share_the_images_out() -> None:
    scores = np.linspace(0, 1, 1000) ** 3
    stopped = np.sort([(scores >= level).mean() for level in levels(scores)])
    assert len(stopped) == LEVELS
    assert np.diff(stopped).max() < 2 / LEVELS
    assert stopped[0] < 2 / LEVELS
    assert stopped[-1] > 1 - 2 / LEVELS


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


@given(points)
def test_pareto_is_its_definition(pairs: list[tuple[int, int]]) -> None:
    cost, gain = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    kept = [pairs[i] for i in pareto(cost, gain)]
    unbeaten = {
        (c, g)
        for c, g in pairs
        if not any(c2 <= c and g2 >= g and (c2, g2) != (c, g) for c2, g2 in pairs)
    }
    assert kept == sorted(unbeaten)


def test_pareto_leaves_out_what_is_no_number() -> None:
    assert pareto(np.array([1.0, 2.0, 3.0]), np.array([np.nan, 0.5, np.nan])) == [1]
    assert pareto(np.array([]), np.array([])) == []
