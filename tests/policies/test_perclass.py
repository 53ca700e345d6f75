"""Thresholds by class, by hand and against numpy."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies.calibration import Calibration
from offramp.policies.fitted import cheapest
from offramp.policies.perclass import ABSENT, Levels, fit, sweep, thresholds
from tests.policies.simulated import like_recorded


def drawn(seed: int, exits: int = 3, images: int = 120) -> Calibration:
    """Draw scores of a sure common class, an unsure rare one, and one that never appears."""
    rng = np.random.default_rng(seed)
    base = like_recorded(seed, exits, images)
    sure = 1 - base.scores[:, :, 0]
    common = 0.9 + 0.05 * sure
    rare = np.where(rng.random(images) < 0.3, 0.5 + 0.3 * sure, ABSENT)
    scores = np.stack([common, rare, np.full_like(common, ABSENT)], axis=2).clip(0, 1)
    return Calibration(scores, base.gains, base.times)


def test_all_classes_must_be_sure_enough() -> None:
    rule = Levels(thresholds=(0.5, 0.9))
    assert rule.stops([0.5, 0.9])
    assert not rule.stops([0.49, 1.0])
    assert not rule.stops([1.0, 0.89])
    assert not rule.stops([math.nan, 1.0])


def test_thresholds_are_quantiles_where_the_class_is_present() -> None:
    scores = np.array([[0.9, 1.0], [0.8, 0.4], [0.6, 1.0], [0.7, 0.2]])
    assert thresholds(scores, 0.5).thresholds == pytest.approx((0.75, 0.3))
    assert thresholds(scores, 0.25).thresholds == pytest.approx((0.65, 0.2))
    assert thresholds(scores, 0.0).thresholds == (0.6, 0.2)


def test_a_class_that_was_never_seen_goes_on_when_it_turns_up() -> None:
    rule = thresholds(np.array([[0.9, ABSENT], [0.8, ABSENT]]), 0.0)
    assert rule.stops([0.95, ABSENT])
    assert not rule.stops([0.95, 0.99])


def test_scores_that_are_no_numbers_count_nowhere() -> None:
    with_holes = thresholds(np.array([[np.nan], [0.4], [0.8]]), 0.5)
    assert with_holes.thresholds == pytest.approx((0.6,))


def test_without_a_level_nothing_stops() -> None:
    assert not thresholds(np.array([[0.9, ABSENT]]), None).stops([1.0, 1.0])


@given(st.integers(0, 100), st.floats(0, 1))
def test_the_level_is_the_share_that_one_class_sends_on(seed: int, level: float) -> None:
    scores = np.random.default_rng(seed).random((50, 1))
    rule = thresholds(scores, level)
    sent = np.mean([not rule.stops(row) for row in scores.tolist()])
    assert abs(sent - level) <= 1 / 50 + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_level_never_saves_time(seed: int, one: float, other: float) -> None:
    calibration = drawn(seed)
    low, high = sorted((one, other))
    assert (
        fit(calibration, (low, 0.5)).outcome.shares[0]
        >= fit(calibration, (high, 0.5)).outcome.shares[0]
    )
    assert fit(calibration, (low, low)).outcome.time <= fit(calibration, (high, high)).outcome.time


def test_the_sweep_holds_every_combination() -> None:
    calibration = drawn(4)
    levels = (0.0, 0.3, 0.8)
    fits = sweep(calibration, levels)
    tried = list(product((None, *levels), repeat=2))
    assert fits == [fit(calibration, chosen) for chosen in tried]
    assert fits[0].outcome.time == 1.0
    full = calibration.gains[-1].mean()
    assert cheapest(fits, full - 0.05).outcome.time < 1


def test_a_rare_unsure_class_does_not_hold_up_the_others() -> None:
    """One threshold for all classes would have to lie below the rare class, so below all else."""
    calibration = drawn(1)
    rule = fit(calibration, (0.4, 0.4)).rules[0]
    assert rule.thresholds[1] < 0.85 < rule.thresholds[0]


def test_levels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="expected 2"):
        fit(drawn(0), (0.5,))
    with pytest.raises(BadInput, match="0 to 1"):
        fit(drawn(0), (0.5, 1.5))
