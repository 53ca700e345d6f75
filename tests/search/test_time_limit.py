"""A search that runs out of time: what it found keeps to the bounds, and its gap is true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.search import Found, Goal, search, solver
from offramp.search.goal import BOUND_OF, COSTS
from tests.search import brute, spaces
from tests.search.spaces import Shape

EPS = 1e-9


class Clock:
    """Stands still for some readings; then the time is up."""

    def __init__(self, readings: int) -> None:
        self.left = readings

    def monotonic(self) -> float:
        """Read it."""
        self.left -= 1
        return 0.0 if self.left >= 0 else 1e9


def drawn_goal(rng: np.random.Generator, table: np.ndarray) -> Goal:
    """Draw a goal that designs of one early exit reach, which are searched in any case."""
    column = int(rng.integers(len(COSTS)))
    near = table[rng.integers(len(table))]
    bounds = {}
    if rng.random() < 0.5:
        bounds["min_miou"] = float(near[brute.MIOU]) - 1e-12
    else:
        bounds[BOUND_OF[COSTS[column]]] = max(float(near[column]), 1e-9)
    if rng.random() < 0.3:
        bounds["max_parameters"] = max(float(near[COSTS.index("parameters")]), 1e-9)
    return Goal(cost=COSTS[column], early_exits=4, **bounds)  # type: ignore[arg-type]


def check_gap(found: Found, goal: Goal, table: np.ndarray) -> float:
    """Check a plan and its gap against all designs; returns what the gap allowed too much."""
    column = COSTS.index(goal.cost)
    point = found.chosen
    had = (point.macs, point.latency_ms, point.worst_latency_ms, point.parameters, point.bytes,
           point.memory)  # fmt: skip
    assert all(cost <= goal.most(name) * (1 + 1e-12) for cost, name in zip(had, COSTS, strict=True))
    assert point.miou >= goal.min_miou if goal.min_miou is not None else True
    best = brute.best(table, goal, goal.min_miou)
    assert best is not None
    assert 0 <= found.gap <= 1
    assert found.optimal == (found.gap == 0)
    if goal.bounds_accuracy:
        assert best[0] >= had[column] * (1 - found.gap) - EPS
        return float(best[0] - had[column] * (1 - found.gap))
    assert best[1] <= point.miou + found.gap + EPS
    return float(point.miou + found.gap - best[1])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from([1, 1, 2, 3]))
def test_a_search_that_is_cut_short_tells_a_true_gap(seed: int, readings: int, wave: int) -> None:
    trace, costs, goal, table = case(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "time", Clock(readings))
        patch.setattr(solver, "WAVE", wave)
        found = search(trace, costs, goal, seconds=1000.0)
    check_gap(found, goal, table)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-4, 2e-3]))
def test_next_to_no_time_gives_a_plan_and_a_true_gap(seed: int, seconds: float) -> None:
    trace, costs, goal, table = case(seed)
    check_gap(search(trace, costs, goal, seconds=seconds), goal, table)


def test_gaps_are_neither_always_nothing_nor_always_all() -> None:
    gaps = []
    for seed in range(60):
        trace, costs, goal, table = case(seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(solver, "time", Clock(1))
            found = search(trace, costs, goal, seconds=1000.0)
        check_gap(found, goal, table)
        gaps.append(found.gap)
    assert 0.0 in gaps
    assert any(0 < gap < 0.5 for gap in gaps)


def test_time_enough_leaves_no_gap() -> None:
    for seed in range(10):
        trace, costs, goal, table = case(seed)
        found = search(trace, costs, goal, seconds=1000.0)
        assert found.optimal
        assert found.gap == 0
        best = brute.best(table, goal, goal.min_miou)
        assert best is not None
        assert check_gap(found, goal, table) == pytest.approx(0, abs=EPS)


def case(seed: int):  # type: ignore[no-untyped-def]
    """Draw a space, a goal, and all designs; bounds are met by a design of one early exit."""
    rng = np.random.default_rng(seed)
    trace, costs = drawn_space(rng)
    while not trace.unions.any():
        trace, costs = drawn_space(rng)
    goal = drawn_goal(rng, brute.every_design(trace, costs, 1))
    return trace, costs, goal, brute.every_design(trace, costs, 4)


def drawn_space(rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """Draw a trace, and costs."""
    heads = tuple(int(many) for many in rng.integers(1, 3, int(rng.integers(2, 5))))
    shape = Shape(
        int(rng.integers(2**32)),
        heads=heads,
        images=int(rng.integers(4, 12)),
        scores=("coverage-top1@0.5", "coverage-top1@0.9")[: 1 + (sum(heads) < 5)],
        pixels=int(rng.choice([20, 1000])),
        untrue=bool(rng.integers(2)),
    )
    return spaces.make(shape)
