"""Policies on tables written by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.policies.policy import replay
from offramp.policies.threshold import ThresholdPolicy

NOTHING = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)


def make_plan(setting: str, score: str, thresholds: list[float | None]) -> Plan:
    exits = tuple(PlannedExit(point=f"p{t}", head="own", threshold=t) for t in thresholds)
    return Plan(
        setting=setting,  # type: ignore[arg-type]
        score=score,
        exits=exits,
        expected=NOTHING,
        full=NOTHING,
        size=(64, 96),
        images=1,
    )


def test_an_image_takes_the_first_exit_that_is_sure() -> None:
    scores = np.array([[0.9, 0.1, 0.1, 0.9], [0.1, 0.8, 0.1, 0.9], [0.0, 0.0, 0.0, 0.0]])
    assert replay(ThresholdPolicy((0.5, 0.5, None)), scores).tolist() == [0, 1, 2, 0]


def test_a_score_at_the_threshold_stops() -> None:
    assert ThresholdPolicy((0.5, None)).stops(0, 0.5)
    assert ThresholdPolicy((0.5, None), more_is_surer=False).stops(0, 0.5)
    assert not ThresholdPolicy((0.5, None)).stops(0, np.nextafter(0.5, 0))


def test_less_entropy_is_surer() -> None:
    policy = ThresholdPolicy.of(make_plan("input-dependent", "entropy", [0.5, None]))
    assert replay(policy, np.array([[0.1, 0.9], [0.0, 0.0]])).tolist() == [0, 1]


def test_more_confidence_is_surer() -> None:
    policy = ThresholdPolicy.of(make_plan("input-dependent", "mean-top1", [0.5, None]))
    assert replay(policy, np.array([[0.1, 0.9], [0.0, 0.0]])).tolist() == [1, 0]


@pytest.mark.parametrize("surer", [True, False])
def test_a_score_that_is_no_number_goes_on(surer: bool) -> None:
    policy = ThresholdPolicy((0.5, None), more_is_surer=surer)
    assert not policy.stops(0, float("nan"))
    assert replay(policy, np.array([[np.nan], [0.0]])).tolist() == [1]


def test_the_last_exit_takes_all_that_come_whatever_its_score() -> None:
    scores = np.array([[0.0, 0.0], [np.nan, -1.0]])
    assert replay(ThresholdPolicy((0.5, None)), scores).tolist() == [1, 1]


@pytest.mark.parametrize(("setting", "exits"), [("budgeted", 1), ("anytime", 3)])
def test_plans_without_thresholds_run_to_their_last_exit(setting: str, exits: int) -> None:
    plan = make_plan(setting, "mean-top1", [None] * exits)
    scores = np.ones((exits, 2))
    assert replay(ThresholdPolicy.of(plan), scores).tolist() == [exits - 1] * 2


def test_no_images_take_no_exits() -> None:
    assert replay(ThresholdPolicy((0.5, None)), np.zeros((2, 0))).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 0.5))
def test_a_higher_threshold_stops_no_more_images(
    scores: list[float], threshold: float, more: float
) -> None:
    table = np.array([scores, scores])
    low = replay(ThresholdPolicy((threshold, None)), table)
    high = replay(ThresholdPolicy((threshold + more, None)), table)
    assert (high >= low).all()
