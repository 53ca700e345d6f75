"""The search against brute force: every design, judged image by image in plain Python.

The reference knows the documentation (MESS eq. 4-6, the docstrings of `Goal` and `search`) and
shares no code with the solver: no matrices, no grids, thresholds midway between neighbours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from offramp.core.costs import Costs
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.search import Goal, Infeasible, search
from tests.tiny import make_costs, make_trace

CASES = 150
SETTINGS = ("budgeted", "anytime", "input-dependent")


@dataclass(frozen=True)
class Design:
    """One design: what it is, and what it does."""

    rows: tuple[int, ...]
    miou: float
    macs: Fraction
    latency: Fraction
    first_macs: Fraction
    first_latency: Fraction


def designs(trace: Trace, costs: Costs, setting: str, early: int) -> Iterator[Design]:
    """Yield every design of the space."""
    last = len(trace.exits) - 1
    images = range(len(trace.images))
    if setting == "budgeted":
        for row in range(last + 1):
            yield judge(trace, costs, (row,), [row for _ in images])
        return
    for length in range(1, early + 2):
        for rows in combinations(range(last + 1), length):
            if len({trace.exits[row][0] for row in rows}) < length:
                continue  # one head a position
            if setting != "anytime" and rows[-1] != last and length > early:
                continue  # it has more early exits than that
            if setting == "anytime":
                if length == early + 1 and rows[-1] == last:
                    yield refining(trace, costs, rows)
            elif length == 1:
                yield judge(trace, costs, rows, [rows[0] for _ in images])
            else:
                yield from deciding(trace, costs, rows)


def deciding(trace: Trace, costs: Costs, rows: tuple[int, ...]) -> Iterator[Design]:
    """Yield the designs of an input-dependent chain: every score, every threshold."""
    for place, name in enumerate(trace.score_names):
        table = [[float(value) for value in trace.scores[row, :, place]] for row in rows]
        for thresholds in product(*(between(scores) for scores in table[:-1])):
            taken = []
            for n in range(len(trace.images)):
                stop = len(rows) - 1
                for i, threshold in reversed(list(enumerate(thresholds))):
                    if (table[i][n] > threshold) != (name == "entropy"):
                        stop = i
                taken.append(rows[stop])
            yield judge(trace, costs, rows, taken)


def between(scores: list[float]) -> list[float]:
    """List the values midway between neighbouring scores."""
    distinct = sorted(set(scores))
    return [(a + b) / 2 for a, b in pairwise(distinct)]


def judge(trace: Trace, costs: Costs, rows: tuple[int, ...], taken: list[int]) -> Design:
    """Judge what happens when image n is read at `rows` until `taken[n]`."""
    spent = [path(trace, costs, rows[: rows.index(row) + 1]) for row in taken]
    first = path(trace, costs, rows[:1])
    images = len(taken)
    return Design(
        rows,
        dataset_miou(trace, taken),
        Fraction(sum(macs for macs, _ in spent), images),
        Fraction(sum(ms for _, ms in spent), images),
        Fraction(first[0]),
        Fraction(first[1]),
    )


def refining(trace: Trace, costs: Costs, rows: tuple[int, ...]) -> Design:
    """Judge an anytime design: all run; it is as accurate as its weakest early answer."""
    images = range(len(trace.images))
    whole = judge(trace, costs, rows, [rows[-1] for _ in images])
    weakest = min(dataset_miou(trace, [row for _ in images]) for row in rows[:-1])
    return Design(rows, weakest, whole.macs, whole.latency, whole.first_macs, whole.first_latency)


def path(trace: Trace, costs: Costs, rows: tuple[int, ...]) -> tuple[int, int]:
    """Add up the segments to the last of `rows` and the heads of all: MACs, and milliseconds."""
    macs, latency = 0, int(costs.decode.latency_ms)
    for point, segment in zip(costs.points, costs.segments, strict=True):
        macs, latency = macs + segment.macs, latency + int(segment.latency_ms)
        if point == trace.exits[rows[-1]][0]:
            break
    for row in rows:
        head = costs.heads[trace.exits[row][0]][trace.exits[row][1]]
        macs, latency = macs + head.macs, latency + int(head.latency_ms)
    return macs, latency


def dataset_miou(trace: Trace, taken: list[int]) -> float:
    """Sum intersections and unions over images, divide, average over the classes present."""
    ratios = []
    for c in range(len(trace.names)):
        union = sum(int(trace.unions[row, n, c]) for n, row in enumerate(taken))
        if union:
            inter = sum(int(trace.intersections[row, n, c]) for n, row in enumerate(taken))
            ratios.append(inter / union)
    return sum(ratios) / len(ratios)


def keeps(design: Design, goal: Goal, full: Design) -> bool:
    """Tell whether a design keeps to all bounds; an anytime one must with its first answer."""
    macs, latency = design.macs, design.latency
    if goal.setting == "anytime":
        macs, latency = design.first_macs, design.first_latency
    return (
        (goal.min_miou is None or design.miou >= goal.min_miou)
        and (goal.max_miou_loss is None or design.miou >= full.miou - goal.max_miou_loss)
        and (goal.max_macs is None or macs <= Fraction(goal.max_macs))
        and (goal.max_latency_ms is None or latency <= Fraction(goal.max_latency_ms))
    )


def rank(design: Design, goal: Goal) -> tuple[object, ...]:
    """Order designs as `search` promises: the least is the best."""
    cost = design.macs if goal.cost == "macs" else design.latency
    if goal.max_miou_loss is None and goal.min_miou is None:
        return -design.miou, cost, len(design.rows)
    return cost, -design.miou, len(design.rows)


def random_case(seed: int) -> tuple[Trace, Costs, Goal]:
    """Draw a small trace with ties, absent classes and blank images, costs, and a goal."""
    rng = np.random.default_rng(seed)
    setting = SETTINGS[seed % 3]
    heads = {
        point: {f"h{i}": int(rng.integers(0, 6)) for i in range(int(rng.integers(1, 3)))}
        for point in ("a", "b", "c")[: int(rng.integers(1, 4))]
    }
    exits = [(point, head) for point, table in heads.items() for head in table] + [("end", "own")]
    costs = make_costs(
        [int(value) for value in rng.integers(0, 12, len(heads) + 1) + 1],
        {**heads, "end": {"own": 0}},
        decode=int(rng.integers(0, 3)),
    )
    e, n, c = len(exits), int(rng.integers(1, 7)), int(rng.integers(1, 4))
    unions = rng.integers(0, 6, (e, n, c))
    unions[:, :, 0] += 1  # some class is always there,
    if c > 1 and seed % 5 == 0:
        unions[:, :, -1] = 0  # another may be nowhere,
    if n > 1 and seed % 4 == 0:
        unions[:, 0] = 0  # and an image may have no pixel that counts
    inter = rng.integers(0, unions + 1)
    names = ["mean-top1", "entropy"][: int(rng.integers(1, 3))]
    scores = rng.integers(0, 5, (e, n, len(names))) / 4 if seed % 2 else rng.random((e, n, 2))
    trace = make_trace(scores[:, :, : len(names)], inter, unions, exits, names)
    return trace, costs, random_goal(rng, setting)


def random_goal(rng: np.random.Generator, setting: str) -> Goal:
    bounds: dict[str, float] = {}
    kind = int(rng.integers(0, 6))
    if kind in (0, 4):
        bounds["max_miou_loss"] = float(rng.choice([0.0, 0.05, 0.2]))
    if kind in (1, 5):
        bounds["min_miou"] = float(rng.choice([0.3, 0.5, 0.9]))
    if kind in (2, 4):
        bounds["max_macs"] = float(rng.integers(2, 40))
    if kind in (3, 5):
        bounds["max_latency_ms"] = float(rng.integers(2, 40))
    return Goal(
        setting=setting,  # type: ignore[arg-type]
        cost="latency" if rng.random() < 0.5 else "macs",
        early_exits=int(rng.integers(1, 4)) if rng.random() < 0.5 else None,
        **bounds,  # type: ignore[arg-type]
    )


def reference(trace: Trace, costs: Costs, goal: Goal) -> tuple[list[Design], Design]:
    early = goal.early_exits or (1 if goal.setting == "anytime" else 3)
    last = len(trace.exits) - 1
    full = judge(trace, costs, (last,), [last] * len(trace.images))
    return list(designs(trace, costs, goal.setting, early)), full


@pytest.mark.parametrize("seed", range(CASES))
def test_the_search_finds_what_brute_force_finds(seed: int) -> None:
    trace, costs, goal = random_case(seed)
    space, full = reference(trace, costs, goal)
    feasible = [design for design in space if keeps(design, goal, full)]
    if not feasible:
        says = "plan"
        with pytest.raises(Infeasible, match=f"no {goal.setting} {says}.* keeps to the bounds"):
            search(trace, costs, goal)
        return
    best = min(feasible, key=lambda design: rank(design, goal))
    found = search(trace, costs, goal)
    expected = found.plan.expected
    assert found.configurations == len(space)
    assert (expected.macs, expected.latency_ms) == (float(best.macs), float(best.latency))
    assert len(found.plan.exits) == len(best.rows)
    answers = best.miou
    if goal.setting == "anytime":
        answers = min(planned.miou for planned in found.plan.exits[:-1])
    else:
        assert expected.miou == pytest.approx(best.miou, abs=1e-12)
    assert answers == pytest.approx(best.miou, abs=1e-12)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_plan_replays_to_what_it_claims(seed: int) -> None:
    trace, costs, goal = random_case(seed)
    try:
        plan = search(trace, costs, goal).plan
    except Infeasible:
        return
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    taken = [rows[i] for i in replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))]
    again = judge(trace, costs, tuple(rows), taken)
    assert plan.expected.miou == pytest.approx(again.miou, abs=1e-12)
    assert plan.expected.macs == float(again.macs)
    assert [planned.share for planned in plan.exits] == [
        taken.count(row) / len(taken) for row in rows
    ]
    assert [planned.miou for planned in plan.exits] == pytest.approx(
        [dataset_miou(trace, [row] * len(taken)) for row in rows], abs=1e-12
    )


@pytest.mark.parametrize("seed", range(0, CASES, 2))
def test_the_frontier_is_what_no_design_beats(seed: int) -> None:
    trace, costs, goal = random_case(seed)
    space, full = reference(trace, costs, goal)
    if not any(keeps(design, goal, full) for design in space):
        return
    price = {id(d): d.macs if goal.cost == "macs" else d.latency for d in space}
    kept = {
        (float(price[id(d)]), round(d.miou, 12))
        for d in space
        if not any(
            price[id(o)] <= price[id(d)]
            and o.miou >= d.miou
            and (price[id(o)] < price[id(d)] or o.miou > d.miou)
            for o in space
        )
    }
    frontier = search(trace, costs, goal).frontier
    found = [(p.macs if goal.cost == "macs" else p.latency_ms, round(p.miou, 12)) for p in frontier]
    assert found == sorted(kept)


def test_the_cases_reach_every_setting_and_both_ends() -> None:
    outcomes = set()
    for seed in range(CASES):
        trace, costs, goal = random_case(seed)
        space, full = reference(trace, costs, goal)
        feasible = any(keeps(design, goal, full) for design in space)
        outcomes.add((goal.setting, feasible))
    assert outcomes == {(setting, end) for setting in SETTINGS for end in (True, False)}
