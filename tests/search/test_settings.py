"""Deadlines, several networks, images held out, mixed scores: each against what it means."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from offramp.core.costs import Costs
from offramp.core.errors import BadInput, Infeasible
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.search import Goal, search
from offramp.search.search import search_networks
from tests.search import brute, spaces
from tests.search.spaces import Shape
from tests.tiny import make_costs, make_trace

TWO = ("coverage-top1@0.5", "coverage-top1@0.9")


def chains(trace: Trace) -> Iterator[tuple[int, ...]]:
    """Yield every anytime design: rows of early exits, one head a position, and the end."""
    last = len(trace.exits) - 1
    heads: dict[str, list[int]] = {}
    for row, (point, _) in enumerate(trace.exits[:-1]):
        heads.setdefault(point, []).append(row)
    for length in range(len(heads) + 1):
        for points in combinations(heads, length):
            for rows in product(*(heads[point] for point in points)):
                yield (*rows, last)


def value(trace: Trace, costs: Costs, rows: tuple[int, ...], goal: Goal) -> float:
    """Average, by weight, the mIoU of the best answer that is there at each deadline."""
    total = 0.0
    for time, weight in goal.deadlines:
        there = [
            trace.exit_miou(row)
            for index, row in enumerate(rows)
            if brute.price(trace, costs, rows[: index + 1])["latency"] <= time
        ]
        total += weight * max(there, default=0.0)
    return total / sum(weight for _, weight in goal.deadlines)


@pytest.mark.parametrize("seed", range(60))
def test_deadlines_get_the_plan_of_most_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = Shape(seed, heads=tuple(map(int, rng.integers(1, 4, rng.integers(1, 4)))), pixels=1000)
    trace, costs = spaces.make(shape)
    every = list(chains(trace))
    times = [brute.price(trace, costs, rows)["latency"] for rows in every]
    deadlines = [(float(rng.uniform(min(times) / 2, max(times))), float(rng.integers(1, 4)))]
    deadlines.append((float(max(times)), 1.0))
    bounds: dict[str, float] = {}
    if seed % 2:
        bounds["max_parameters"] = float(
            np.median([brute.price(trace, costs, rows)["parameters"] for rows in every])
        )
    goal = Goal("anytime", deadlines=tuple(deadlines), **bounds)  # type: ignore[arg-type]
    able = [
        value(trace, costs, rows, goal)
        for rows in every
        if brute.price(trace, costs, rows)["parameters"] <= goal.most("parameters")
    ]
    found = search(trace, costs, goal)
    rows = tuple(trace.index(e.point, e.head) for e in found.plan.exits)
    assert value(trace, costs, rows, goal) == pytest.approx(max(able), abs=1e-12)
    assert brute.price(trace, costs, rows)["parameters"] <= goal.most("parameters")
    assert found.optimal


def test_deadlines_before_any_answer_are_refused() -> None:
    trace, costs = spaces.make(Shape(3, heads=(2, 2), pixels=1000))
    with pytest.raises(Infeasible, match="the first exit answers after"):
        search(trace, costs, Goal("anytime", deadlines=((1e-6, 1.0),)))


@pytest.mark.parametrize("seed", range(40))
def test_anytime_keeps_all_bounds_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace, costs = spaces.make(Shape(seed, heads=(2, 1, 2), pixels=1000))
    early = int(rng.integers(1, 4))
    every = [rows for rows in chains(trace) if len(rows) == early + 1]
    prices = [brute.price(trace, costs, rows) for rows in every]
    middle = {name: float(np.median([price[name] for price in prices])) for name in prices[0]}  # type: ignore[index]
    goal = Goal(
        "anytime", early_exits=early, max_bytes=middle["bytes"], max_memory=middle["memory"],
        max_worst_latency_ms=middle["worst-latency"],
    )  # fmt: skip
    weakest = [
        min(trace.exit_miou(row) for row in rows[:-1])
        for rows, price in zip(every, prices, strict=True)
        if all(price[name] <= goal.most(name) for name in ("bytes", "memory", "worst-latency"))
    ]
    if not weakest:
        with pytest.raises(Infeasible):
            search(trace, costs, goal)
        return
    assert search(trace, costs, goal).chosen.miou == pytest.approx(max(weakest), abs=1e-12)


def test_several_networks_are_one_space() -> None:
    """The best of two networks is the better of what each has, measured from the first's end."""
    for seed in range(25):
        one, costs = spaces.make(Shape(seed, heads=(1, 1), images=6, pixels=1000))
        other, dearer = spaces.make(Shape(seed + 1000, heads=(2, 1), images=6, pixels=1000))
        other = replace(other, images=one.images, names=one.names)
        least = one.exit_miou(len(one.exits) - 1) - 0.05
        goal = Goal(max_miou_loss=0.05, early_exits=2)
        alone = []
        for trace, table in ((one, costs), (other, dearer)):
            designs = brute.every_design(trace, table, 2)
            best = brute.best(designs, goal, least)
            if best is not None:
                alone.append(best)
        found = search_networks({"a": (one, costs), "b": (other, dearer)}, goal)
        assert found.chosen.macs == pytest.approx(min(cost for cost, _ in alone), rel=1e-12)
        assert found.chosen.network in ("a", "b")


def test_networks_of_other_images_are_refused() -> None:
    one, costs = spaces.make(Shape(1, images=4))
    other, dearer = spaces.make(Shape(2, images=5))
    with pytest.raises(BadInput, match="other images"):
        search_networks({"a": (one, costs), "b": (other, dearer)}, Goal(max_miou_loss=0.1))


@pytest.mark.parametrize("seed", range(20))
def test_the_plan_is_the_optimum_of_the_fitted_half(seed: int) -> None:
    trace, costs = spaces.make(Shape(seed, heads=(1, 2), images=12, pixels=1000))
    trace = replace(trace, groups=tuple(f"scene {n // 2}" for n in range(12)))
    found = search(trace, costs, Goal(max_miou_loss=0.05, early_exits=2), held_out=0.5)
    division = found.plan.division
    assert division is not None
    assert division.fitted.images + division.held_out.images == 12
    halves = [set(part) for part in _halves(trace, costs)]
    assert [len(half) for half in halves] == [division.fitted.images, division.held_out.images]
    scenes = [{trace.groups[n] for n in half} for half in halves]
    assert not scenes[0] & scenes[1]
    fitted = trace.subset(sorted(halves[0]))
    least = fitted.exit_miou(len(fitted.exits) - 1) - 0.05
    best = brute.best(brute.every_design(fitted, costs, 2), Goal(max_miou_loss=0.05), least)
    assert best is not None
    assert found.chosen.macs == pytest.approx(best[0], rel=1e-12)
    for part, half in zip((division.fitted, division.held_out), halves, strict=True):
        there = trace.subset(sorted(half))
        assert part.expected.miou == pytest.approx(_replayed(found.plan, there), abs=1e-12)
    assert found.chosen.held_out == pytest.approx(division.held_out.expected.miou, abs=1e-12)


def _halves(trace: Trace, costs: Costs) -> tuple[list[int], list[int]]:
    from offramp.search.search import divided

    return divided(trace, 0.5)


def _replayed(plan, trace: Trace) -> float:  # type: ignore[no-untyped-def]
    """Follow a plan's rules image by image, and sum up."""
    rows = [trace.index(e.point, e.head) for e in plan.exits]
    taken = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    return brute.dataset_miou(trace, np.array(rows)[taken])


def test_plans_of_mixed_scores_replay_to_what_they_claim() -> None:
    mixed = 0
    for seed in range(60):
        trace, costs = spaces.make(
            Shape(seed, heads=(1, 1), images=14, scores=TWO, grades=20, pixels=1000)
        )
        plan = search(trace, costs, Goal(max_miou_loss=0.02, early_exits=2)).plan
        mixed += len({score for e in plan.exits for score in plan.deciding_scores(e)}) > 1
        assert plan.expected.miou == pytest.approx(_replayed(plan, trace), abs=1e-12)
    assert mixed > 0


def test_table_1_to_the_last_digit() -> None:
    """MESS table 1: heads that were read count, heads that were not do not."""
    trace = make_trace(
        np.array([[9, 1, 1, 1], [9, 1, 1, 1], [9, 9, 1, 1], [9, 9, 9, 9]])[..., None] / 10,
        np.array([[4, 0, 0, 0], [4, 0, 0, 0], [4, 4, 0, 0], [4, 4, 4, 4]])[..., None],
        np.full((4, 4, 1), 4),
        [("early", "a"), ("early", "b"), ("late", "c"), ("end", "own")],
    )
    costs = make_costs(
        [7, 11, 13], {"early": {"a": 3, "b": 2}, "late": {"c": 5}, "end": {"own": 17}}
    )
    found = search(trace, costs, Goal(max_miou_loss=0.0, early_exits=2))
    # One image of four reads b, one b and c, two all: b, c and the end; a is never read.
    assert found.plan.expected.macs == (4 * (7 + 2) + 3 * (11 + 5) + 2 * (13 + 17)) / 4
    anytime = search(trace, costs, Goal("anytime", max_macs=10**6, early_exits=2))
    assert anytime.plan.expected.macs == 7 + 2 + 11 + 5 + 13 + 17
    budgeted = search(trace, costs, Goal("budgeted", max_macs=7 + 11 + 5))
    assert budgeted.plan.expected.macs == 7 + 11 + 5
