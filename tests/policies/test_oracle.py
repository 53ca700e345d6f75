"""Choices in hindsight: nothing beats them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies import oracle, perclass, range, tabular
from offramp.policies.calibration import Calibration
from offramp.policies.exact import optimum
from tests.policies.simulated import noise

SEEDS = st.integers(0, 10**6)


@given(SEEDS, st.floats(0, 0.5))
def test_within_a_tolerance_no_choice_is_cheaper(seed: int, tolerance: float) -> None:
    calibration = noise(np.random.default_rng(seed), exits=3, images=4)
    outcome = calibration.outcome(oracle.within_tolerance(calibration, tolerance))
    best = calibration.gains.max(axis=0)
    able = [
        taken
        for taken in product([0, 1, 2], repeat=4)
        if all(calibration.gains[e, n] >= best[n] - tolerance for n, e in enumerate(taken))
    ]
    cheapest = min(calibration.outcome(np.array(taken)).time for taken in able)
    assert outcome.time == pytest.approx(cheapest)
    assert outcome.gain >= best.mean() - tolerance - 1e-9


@given(SEEDS, st.floats(0, 2))
def test_no_choice_has_more_reward(seed: int, weight: float) -> None:
    calibration = noise(np.random.default_rng(seed), exits=3, images=4)
    outcomes = [calibration.outcome(np.array(t)) for t in product([0, 1, 2], repeat=4)]
    found = calibration.outcome(oracle.most_reward(calibration, weight))
    most = max(outcome.gain - weight * outcome.time for outcome in outcomes)
    assert found.gain - weight * found.time == pytest.approx(most)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0, 1))
def test_the_oracle_dominates_every_strategy(seed: int, weight: float) -> None:
    calibration = noise(np.random.default_rng(seed), exits=3, images=25)
    fits = [
        *range.sweep(calibration, (0.0, 0.1)),
        *perclass.sweep(calibration, (0.1, 0.5)),
        *tabular.sweep(calibration, optimum, weights=(0.1, weight), bins=4),
    ]
    found = calibration.outcome(oracle.most_reward(calibration, weight))
    for fit in fits:
        reward = fit.outcome.gain - weight * fit.outcome.time
        assert found.gain - weight * found.time >= reward - 1e-9
        free = calibration.outcome(oracle.within_tolerance(calibration))
        assert free.gain >= fit.outcome.gain - 1e-9


def test_a_fixed_exit_is_that_exit() -> None:
    calibration = noise(np.random.default_rng(0), exits=3, images=5)
    outcome = calibration.outcome(oracle.fixed(calibration, 1))
    assert outcome.shares == (0, 1, 0)
    assert outcome.gain == pytest.approx(calibration.gains[1].mean())
    assert outcome.time == calibration.times[1]


def test_of_equal_exits_the_first_is_taken() -> None:
    calibration = Calibration.of(np.zeros((3, 1)), np.full((3, 1), 0.5), np.ones(3))
    assert oracle.within_tolerance(calibration).tolist() == [0]
    assert oracle.most_reward(calibration, 0.0).tolist() == [0]


def test_what_is_not_there_is_refused() -> None:
    calibration = noise(np.random.default_rng(0), exits=3, images=5)
    for index in (-1, 3):
        with pytest.raises(BadInput, match="0 to 2"):
            oracle.fixed(calibration, index)
    with pytest.raises(BadInput, match="tolerance"):
        oracle.within_tolerance(calibration, -0.1)
