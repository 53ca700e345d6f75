"""Comparisons: what is fitted on which images, references by hand, bounds above all."""

from dataclasses import replace

import numpy as np
import pytest

from offramp.core.costs import Costs
from offramp.core.errors import BadInput, UnknownName
from offramp.metrics.trace import Trace
from offramp.policies.oracle import within_tolerance
from offramp.search.compare import (
    DATASET,
    FULL,
    PER_IMAGE,
    TOLERANT,
    Comparison,
    beside,
    compare,
    halves,
)
from offramp.search.expectation import expect
from offramp.search.goal import Goal
from offramp.search.hindsight import known
from offramp.search.strategies import Strategy
from tests.search.simulated import COSTS, EXITS, like_recorded

ROWS = (0, 1, 2, 3)
TRACE = like_recorded(3, images=100)
NAMES = ("threshold:mean-top1", "threshold:entropy", "table:entropy", "threshold:frame-agreement")
STRATEGIES = tuple(Strategy.parse(name) for name in NAMES)
GOAL = Goal(max_miou_loss=0.02)


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(halves(TRACE, seed=1), COSTS, ROWS, STRATEGIES, GOAL)


def test_halves_part_the_images_and_keep_clips_whole() -> None:
    fit, held = halves(TRACE, seed=1)
    assert sorted(fit.images + held.images) == sorted(TRACE.images)
    assert len(fit.images) == len(held.images) == 50
    assert not set(fit.groups) & set(held.groups)
    assert halves(TRACE, seed=1)[0].images == fit.images
    assert halves(TRACE, seed=2)[0].images != fit.images


def test_images_without_clips_are_parted_one_by_one() -> None:
    for groups in ((), ("",) * 100):
        fit, held = halves(replace(TRACE, groups=groups))
        assert len(fit.images) == len(held.images) == 50


def test_another_trace_must_be_of_the_same_network_and_of_other_images() -> None:
    other = like_recorded(4)
    assert beside(TRACE, other) == (TRACE, other)
    with pytest.raises(BadInput, match="100 in both traces"):
        beside(TRACE, TRACE)
    with pytest.raises(BadInput, match="different names"):
        beside(TRACE, replace(other, names=("floor", "ball")))
    with pytest.raises(BadInput, match="different size"):
        beside(TRACE, replace(other, size=(1, 1)))


def test_the_rows_are_the_full_network_fixed_exits_strategies_and_bounds(
    found: Comparison,
) -> None:
    fixed = [FULL, "always a/x", "always b/x", "always c/x"]
    assert [row.policy for row in found.rows] == [*fixed, *NAMES, TOLERANT, PER_IMAGE, DATASET]
    assert [row.kind for row in found.rows] == ["fixed"] * 4 + ["strategy"] * 4 + ["bound"] * 3


def test_a_fixed_exit_reads_no_other_head(found: Comparison) -> None:
    held = found.held_out.trace
    for row, (exit, macs) in zip(
        found.rows[:4], [(3, 1000), (0, 110), (1, 310), (2, 610)], strict=True
    ):
        assert row.held_out.macs == macs
        assert row.held_out.latency_ms == macs
        assert row.held_out.latency_std_ms == 0
        assert row.held_out.miou == pytest.approx(held.exit_miou(exit))
        each = [
            np.mean(i / u) for i, u in zip(held.intersections[exit], held.unions[exit], strict=True)
        ]
        assert row.held_out.miou_per_image == pytest.approx(np.mean(each))
        assert row.held_out.miou_std == pytest.approx(np.std(each))
        assert row.points == (EXITS[exit][0],)
        assert row.held_out.shares == (1,)


def test_a_strategy_is_followed_on_images_that_it_never_saw(found: Comparison) -> None:
    fit, held = halves(TRACE, seed=1)
    for row in found.strategies:
        assert row.fit is not None
        assert row.fit.plan.images == 50
        for trace, tally in ((fit, row.fitted), (held, row.held_out)):
            again = expect(row.fit.plan, trace, COSTS)
            assert tally.miou == pytest.approx(again.expected.miou)
            assert tally.miou_per_image == pytest.approx(again.expected.miou_per_image)
            assert tally.macs == pytest.approx(again.expected.macs)
            assert tally.shares == pytest.approx([e.share for e in again.exits])
        spent = np.repeat([110, 320, 630, 1030], np.round(np.array(tally.shares) * 50).astype(int))
        assert tally.latency_std_ms == pytest.approx(spent.std())


def test_the_cheapest_fit_that_keeps_the_goal_is_picked(found: Comparison) -> None:
    full = found.rows[0]
    assert found.wanted == pytest.approx((full.fitted.miou - 0.02, full.held_out.miou - 0.02))
    for row, strategy in zip(found.strategies, STRATEGIES, strict=True):
        able = [
            fit.plan.expected.macs
            for fit in strategy.fits(found.fitting)
            if fit.plan.expected.miou >= found.wanted[0]
        ]
        assert row.met
        assert row.fitted.macs == pytest.approx(min(able))
        assert row.kept == (row.held_out.miou >= found.wanted[1])


def test_where_nothing_keeps_the_goal_the_most_accurate_is_shown_as_falling_short() -> None:
    found = compare(halves(TRACE), COSTS, ROWS, STRATEGIES[:1], Goal(min_miou=0.999))
    (row,) = found.strategies
    assert not row.met
    assert row.fitted.miou >= found.rows[0].fitted.miou
    assert found.wanted == (0.999, 0.999)


def test_a_frontier_is_of_every_fit_on_held_out_images(found: Comparison) -> None:
    for row, strategy in zip(found.strategies, STRATEGIES, strict=True):
        plans = strategy.plans(found.fitting)
        again = [expect(plan, found.held_out.trace, COSTS).expected for plan in plans]
        assert [one.miou for one in row.frontier] == pytest.approx([one.miou for one in again])
        assert [one.macs for one in row.frontier] == pytest.approx([one.macs for one in again])


def test_nothing_is_above_its_bound(found: Comparison) -> None:
    """At any price of time, no strategy earns more than the choice in hindsight."""
    bounds = {row.policy: row for row in found.rows if row.kind == "bound"}
    for policy, measure in ((PER_IMAGE, "miou_per_image"), (DATASET, "miou")):
        for weight in (0.005, 0.05, 0.2):
            earned = [
                max(getattr(one, measure) - weight * one.macs / 1000 for one in row.frontier)
                for row in (bounds[policy], *found.strategies)
            ]
            assert earned[0] >= max(earned[1:]) - 0.002  # weights are tried in steps


def test_the_tolerant_oracle_loses_no_image_more_than_allowed(found: Comparison) -> None:
    (row,) = (row for row in found.rows if row.policy == TOLERANT)
    calibration = known(found.held_out)
    taken = within_tolerance(calibration, 0.02)
    gains = calibration.gains[taken, np.arange(50)]
    assert (gains >= calibration.gains.max(axis=0) - 0.02).all()
    assert row.held_out.miou_per_image == pytest.approx(gains.mean())


def test_by_latency_the_cheapest_counts_milliseconds() -> None:
    slow = COSTS.model_copy(
        update={
            "heads": {
                **COSTS.heads,
                "b": {"x": COSTS.heads["b"]["x"].model_copy(update={"latency_ms": 900.0})},
            }
        }
    )
    rows = [
        compare(halves(TRACE), slow, ROWS, STRATEGIES[:1], replace(GOAL, cost=cost)).strategies[0]
        for cost in ("macs", "latency")
    ]
    assert rows[1].fitted.latency_ms < rows[0].fitted.latency_ms
    assert rows[0].fitted.macs < rows[1].fitted.macs


@pytest.mark.parametrize(
    ("trace", "costs", "goal", "words"),
    [
        (TRACE, COSTS.model_copy(update={"size": (1, 1)}), GOAL, "different input sizes"),
        (TRACE, COSTS.model_copy(update={"engine": {}}), replace(GOAL, cost="latency"), "latency"),
        (replace(TRACE, unions=0 * TRACE.unions), COSTS, GOAL, "no image to fit on"),
    ],
)
def test_tables_that_do_not_serve_are_refused(
    trace: Trace, costs: Costs, goal: Goal, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        compare(halves(trace), costs, ROWS, STRATEGIES[:1], goal)


def test_a_score_that_one_trace_lacks_is_refused_before_anything_is_fitted() -> None:
    other = replace(like_recorded(4), frame_agreement=None)
    with pytest.raises(UnknownName, match="frame-agreement"):
        compare((TRACE, other), COSTS, ROWS, STRATEGIES, GOAL)
