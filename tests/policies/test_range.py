"""Ranges against loops over all intervals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies.calibration import Calibration
from offramp.policies.fitted import cheapest
from offramp.policies.range import NEVER, Range, for_gain, sweep, widest, within_loss
from tests.policies.simulated import follow, like_recorded, noise


def stopped(rule: Range, scores: np.ndarray) -> np.ndarray:
    return np.array([rule.stops([score]) for score in scores.tolist()], dtype=bool)


def most_by_loops(scores: np.ndarray, lacking: np.ndarray, bound: float, ceiling: float) -> int:
    most = 0
    for low in scores:
        for high in scores:
            if high > ceiling:
                continue
            inside = (scores >= low) & (scores <= high)
            if inside.any() and lacking[inside].mean() <= bound + 1e-9:
                most = max(most, int(inside.sum()))
    return most


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(-4, 4)), max_size=14),
    st.sampled_from([-math.inf, -0.3, 0.0, 0.1, 0.25, 2.0]),
    st.sampled_from([-1.0, 0.3, 0.5, math.inf]),
)
def test_the_range_is_the_fullest_of_all(
    images: list[tuple[int, int]], bound: float, ceiling: float
) -> None:
    scores = np.array([score for score, _ in images]) / 6
    lacking = np.array([value for _, value in images]) / 5
    rule = widest(scores, lacking, bound, ceiling)
    inside = stopped(rule, scores)
    assert inside.sum() == most_by_loops(scores, lacking, bound, ceiling)
    if inside.any():
        assert lacking[inside].mean() <= bound + 1e-9
        assert rule.high <= ceiling
    else:
        assert rule == NEVER


def test_of_equally_full_ranges_the_better_is_taken() -> None:
    scores = np.array([1.0, 2.0, 3.0])
    rule = widest(scores, np.array([0.1, 0.9, 0.0]), 0.2)
    assert stopped(rule, scores).tolist() == [False, False, True]


def test_ends_lie_midway_and_a_little_outside_the_outermost_scores() -> None:
    scores = np.array([1.0, 2.0, 4.0, 8.0])
    assert widest(scores, np.array([1.0, 0, 0, 1.0]), 0.0) == Range(low=1.5, high=6.0)
    outer = widest(scores, np.zeros(4), 0.0)
    assert (outer.low, outer.high) == pytest.approx((0.93, 8.07))
    assert widest(scores, np.zeros(4), 0.0, ceiling=5.0).high == 5.0


def test_scores_that_are_no_numbers_go_on_and_count_nowhere() -> None:
    scores = np.array([np.nan, 1.0, 2.0])
    rule = widest(scores, np.array([-9.0, 0.5, 0.0]), 0.0)
    assert stopped(rule, scores).tolist() == [False, False, True]
    assert widest(np.array([np.nan]), np.zeros(1), 1.0) == NEVER


def test_the_range_that_never_stops_stops_nothing() -> None:
    assert not stopped(NEVER, np.linspace(-1, 2, 31)).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.4))
def test_no_exit_loses_more_than_its_bound(seed: int, loss: float) -> None:
    calibration = noise(np.random.default_rng(seed), exits=4, images=20)
    fit = within_loss(calibration, [loss, loss / 2, 0.0])
    taken = follow(fit.rules, calibration.scores)
    for index, bound in enumerate([loss, loss / 2, 0.0]):
        here = taken == index
        if here.any():
            lost = (calibration.gains[-1] - calibration.gains[index])[here].mean()
            assert lost <= bound + 1e-9
    assert fit.outcome.gain >= calibration.gains[-1].mean() - loss - 1e-9


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 0.9))
def test_each_exit_reaches_the_wanted_gain(seed: int, wanted: float) -> None:
    calibration = noise(np.random.default_rng(seed), exits=3, images=20)
    taken = follow(for_gain(calibration, wanted).rules, calibration.scores)
    for index in range(2):
        here = taken == index
        assert not here.any() or calibration.gains[index][here].mean() >= wanted - 1e-9


def test_collapsed_and_jittery_answers_go_on() -> None:
    """Bad answers at both ends of the score: no one-sided threshold would do."""
    score = np.linspace(0, 1, 101)
    good = (score > 0.295) & (score < 0.705)
    calibration = Calibration.of(
        np.stack([score, score]),
        np.stack([np.where(good, 0.8, 0.2), np.full(101, 0.8)]),
        np.array([0.3, 1.0]),
    )
    fit = within_loss(calibration, [0.0])
    assert fit.rules[0].low == pytest.approx(0.295)
    assert fit.rules[0].high == pytest.approx(0.705)
    assert fit.outcome.gain == pytest.approx(0.8)


def test_the_sweep_holds_every_combination_that_is_fitted_alone() -> None:
    calibration = like_recorded(2, exits=3, images=80)
    losses = (0.0, 0.02, 0.1)
    fits = sweep(calibration, losses)
    found = {fit.rules: fit.outcome for fit in fits}
    assert len(found) == len(fits)
    bounds = (-math.inf, *losses)
    wanted = {
        alone.rules: alone.outcome
        for one in bounds
        for two in bounds
        for alone in [within_loss(calibration, [one, two])]
    }
    assert found == wanted
    full = calibration.gains[-1].mean()
    assert cheapest(fits, full - 0.02).outcome.time < 1


def test_ceilings_hold_in_the_sweep() -> None:
    calibration = like_recorded(2, exits=3, images=80)
    for fit in sweep(calibration, (0.05,), ceilings=(0.5, 0.4)):
        assert fit.rules[0] == NEVER or fit.rules[0].high <= 0.5
        assert fit.rules[1] == NEVER or fit.rules[1].high <= 0.4


def test_tables_that_disagree_are_refused() -> None:
    calibration = like_recorded(0, exits=3)
    with pytest.raises(BadInput, match="bounds; expected 2"):
        within_loss(calibration, [0.1])
    with pytest.raises(BadInput, match="ceilings; expected 2"):
        sweep(calibration, ceilings=[1.0])
    two = noise(np.random.default_rng(0), exits=2, images=5, scores=2)
    with pytest.raises(BadInput, match="one score"):
        for_gain(two, 0.5)
