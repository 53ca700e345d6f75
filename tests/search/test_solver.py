"""The solver's front against brute force, on spaces of every kind; and that cores do not matter."""

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from offramp.core.costs import Cost, Costs
from offramp.search import solver
from offramp.search.goal import COSTS, MEAN_COSTS, Goal
from offramp.search.levels import levels
from offramp.search.space import build_space
from tests.search import brute, spaces
from tests.search.simulated import COSTS as SIMULATED
from tests.search.simulated import like_recorded
from tests.search.spaces import Shape, shapes
from tests.tiny import make_trace

UNBOUNDED = Goal(min_miou=-1.0)


def compare(shape: Shape, early: int, bounds: int, most: int | None = None) -> None:
    """Solve a space, and compare the front, and each design on it, with all designs."""
    trace, costs = spaces.make(shape)
    assume(trace.unions.any())
    choose = brute.between if most is None else partial(levels, most=most)
    table = brute.every_design(trace, costs, early, choose)
    goal = spaces.random_goal(np.random.default_rng(shape.seed), table, bounds)
    space = build_space(trace, costs, goal, most=20 if most is None else most)
    solved = solver.solve(space, goal, most=early, cores=1)
    assert solved.complete
    scale = shape.images if goal.cost in MEAN_COSTS else 1
    found = [(sketch.cost / scale, sketch.miou) for sketch in solved.front]
    wanted = brute.front(brute.within(table, goal), goal.cost)
    assert [cost for cost, _ in found] == pytest.approx([cost for cost, _ in wanted], rel=1e-12)
    assert [miou for _, miou in found] == pytest.approx([miou for _, miou in wanted], abs=1e-12)
    for sketch, (cost, miou) in zip(solved.front, found, strict=True):
        again = brute.judge_design(trace, costs, space.design(sketch.deciders, sketch.levels))
        assert again[COSTS.index(goal.cost)] == pytest.approx(cost, rel=1e-12)
        assert again[brute.MIOU] == pytest.approx(miou, abs=1e-12)


@settings(max_examples=300, deadline=None)
@given(shapes(), st.integers(1, 4), st.integers(0, 3))
@example(Shape(0, images=1), 2, 0)
@example(Shape(1, images=1, heads=(1, 1, 1, 1), nan=True), 4, 2)
@example(Shape(117, (1, 1, 1), 5, 2, grades=3, pixels=2, absent=True, untrue=True, nan=True), 2, 0)
def test_the_front_is_that_of_all_designs(shape: Shape, early: int, bounds: int) -> None:
    compare(shape, early, bounds)


@settings(max_examples=60, deadline=None)
@given(shapes(), st.integers(1, 4), st.integers(0, 2), st.integers(1, 2))
def test_so_it_is_with_few_levels(shape: Shape, early: int, bounds: int, most: int) -> None:
    compare(shape, early, bounds, most)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_so_it_is_with_four_early_exits(seed: int, bounds: int) -> None:
    shape = Shape(seed, heads=(1, 1, 1, 1), images=8, grades=4, pixels=100)
    compare(shape, 4, bounds)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_so_it_is_with_two_pixel_thresholds(seed: int, bounds: int) -> None:
    scores = ("coverage-top1@0.9", "coverage-top1@0.5")
    compare(Shape(seed, heads=(1, 2, 1), images=9, scores=scores, pixels=50), 3, bounds)


def test_a_design_may_mix_pixel_thresholds() -> None:
    mixed = 0
    for seed in range(20):
        scores = ("coverage-top1@0.9", "coverage-top1@0.5", "mean-top1")
        trace, costs = spaces.make(Shape(seed, heads=(1, 1), images=9, scores=scores, pixels=50))
        space = build_space(trace, costs, UNBOUNDED)
        for sketch in solver.solve(space, UNBOUNDED, cores=1).front:
            names = set(space.design(sketch.deciders, sketch.levels).scores)
            assert names in (set(), {"mean-top1"}) or "mean-top1" not in names
            mixed += len(names) == 2
    assert mixed


@pytest.mark.parametrize("early", [2, 3, 4, 5])
@pytest.mark.parametrize("cost", COSTS)
def test_all_early_exits_may_be_needed(early: int, cost: str) -> None:
    """Each exit is right about images of its own, says so, and is wrong about all others."""
    owner = np.repeat(np.arange(early + 1), [4] + [2] * early)
    right = owner == np.arange(early + 1)[:, None]  # E×N
    exits = [(f"p{i}", "h") for i in range(early)] + [("end", "own")]
    counts = np.where(right, 100, 0)[..., None]
    scores = np.where(right, 0.9, 0.1)[..., None]
    trace = make_trace(scores, counts, np.full_like(counts, 100), exits)
    one, free = Cost(macs=1, parameters=1, latency_ms=1, bytes=1, memory=1), Cost(bytes=1, memory=1)
    costs = Costs(
        points=tuple(point for point, _ in exits),
        segments=(one, *[free] * early),
        heads={point: {head: Cost()} for point, head in exits},
        size=trace.size,
    )
    goal = Goal(min_miou=-1.0, cost=cost)  # type: ignore[arg-type]
    solved = solver.solve(build_space(trace, costs, goal), goal, most=early, cores=1)
    assert solved.front[-1].miou == 1.0
    assert len(solved.front[-1].deciders) == early


@pytest.mark.parametrize("cost", ["macs", "memory"])
def test_cores_do_not_matter(cost: str) -> None:
    trace = like_recorded(3, images=40)
    costs = SIMULATED
    if cost == "memory":
        costs = spaces.make_costs(np.random.default_rng(1), trace)
    goal = Goal(min_miou=-1.0, cost=cost)  # type: ignore[arg-type]
    space = build_space(trace, costs, goal, ("mean-top1", "entropy"))
    alone, both = (solver.solve(space, goal, cores=cores) for cores in (1, 2))
    assert alone.front == both.front
    assert len(alone.front) > 3
    assert alone.complete
    assert both.complete


def test_the_design_with_fewer_exits_wins_a_tie() -> None:
    """Heads and later segments are free, and all exits say the same."""
    trace, costs = spaces.make(Shape(5, heads=(1, 1, 1), images=6, grades=4))
    free = {p: {h: c.model_copy(update={"macs": 0}) for h, c in t.items()}
            for p, t in costs.heads.items()}  # fmt: skip
    segments = tuple(
        each.model_copy(update={"macs": 0 if i else 7}) for i, each in enumerate(costs.segments)
    )
    costs = costs.model_copy(update={"heads": free, "segments": segments})
    space = build_space(trace, costs, UNBOUNDED)
    table = brute.every_design(trace, costs, 3)
    for sketch in solver.solve(space, UNBOUNDED, cores=1).front:
        same = np.isclose(table[:, 0], sketch.cost / 6, rtol=1e-12)
        same &= np.isclose(table[:, brute.MIOU], sketch.miou, rtol=0, atol=1e-12)
        fewest = table[same, brute.EXITS].min()
        assert len(space.design(sketch.deciders, sketch.levels).rows) == fewest


@settings(max_examples=60, deadline=None)
@given(shapes(), st.integers(1, 4))
def test_designs_are_counted(shape: Shape, early: int) -> None:
    trace, costs = spaces.make(shape)
    table = brute.every_design(trace, costs, early)
    assert build_space(trace, costs, UNBOUNDED).count(early) == len(table)
