"""Sums over images, following rules, and the choice among fits, by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from offramp.core.errors import BadInput, Infeasible
from offramp.policies.calibration import Calibration, Outcome
from offramp.policies.fitted import Fitted, cheapest, fitted
from tests.policies.simulated import follow

SCORES = np.array([[0.9, 0.1, 0.1], [0.0, 0.8, 0.1], [0.0, 0.0, 0.0]])
GAINS = np.array([[0.5, 0.1, 0.2], [0.6, 0.4, 0.3], [0.7, 0.8, 0.9]])
TIMES = np.array([0.25, 0.5, 1.0])


@dataclass(frozen=True)
class AtLeast:
    least: float

    def stops(self, scores: Sequence[float]) -> bool:
        return scores[0] >= self.least


def test_each_image_takes_the_first_exit_that_stops_it() -> None:
    calibration = Calibration.of(SCORES, GAINS, TIMES)
    assert follow([AtLeast(0.5), AtLeast(0.5)], calibration.scores).tolist() == [0, 1, 2]
    assert follow([AtLeast(2), AtLeast(2)], calibration.scores).tolist() == [2, 2, 2]


def test_the_outcome_is_a_mean_over_images() -> None:
    fit = fitted([AtLeast(0.5), AtLeast(0.5)], Calibration.of(SCORES, GAINS, TIMES))
    assert fit.outcome.gain == pytest.approx((0.5 + 0.4 + 0.9) / 3)
    assert fit.outcome.time == pytest.approx((0.25 + 0.5 + 1) / 3)
    assert fit.outcome.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_images_without_labelled_pixels_are_left_out() -> None:
    gains = GAINS.copy()
    gains[:, 1] = np.nan
    calibration = Calibration.of(SCORES, gains, TIMES)
    assert calibration.images == 2
    assert calibration.scores[:, :, 0].tolist() == SCORES[:, [0, 2]].tolist()
    assert calibration.outcome(np.array([0, 2])).gain == pytest.approx((0.5 + 0.9) / 2)


@pytest.mark.parametrize(
    ("scores", "gains", "times", "words"),
    [
        (SCORES[:2], GAINS, TIMES, "scores do not fit"),
        (SCORES, GAINS, TIMES[:2], "times"),
        (SCORES, GAINS, TIMES[::-1], "never fall"),
        (SCORES, GAINS, np.array([0.1, np.nan, 1]), "never fall"),
        (SCORES, np.full((3, 3), np.nan), TIMES, "nothing to fit on"),
    ],
)
def test_tables_that_disagree_are_refused(
    scores: np.ndarray, gains: np.ndarray, times: np.ndarray, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        Calibration.of(scores, gains, times)


def test_gains_that_are_no_numbers_are_refused_where_they_are_not_left_out() -> None:
    with pytest.raises(BadInput, match=r"Calibration\.of"):
        Calibration(SCORES[:, :, None], np.full((3, 3), np.nan), TIMES)


def test_the_cheapest_fit_that_gains_enough_is_chosen() -> None:
    fits = [
        Fitted((), Outcome(gain, time, ()))
        for gain, time in ((0.9, 1.0), (0.8, 0.5), (0.85, 0.5), (0.7, 0.1))
    ]
    assert cheapest(fits, 0.8).outcome.gain == 0.85
    assert cheapest(fits, 0.9).outcome.time == 1.0
    assert cheapest(fits, 0.0).outcome.time == 0.1
    with pytest.raises(Infeasible, match=r"most is 0\.9000"):
        cheapest(fits, 0.95)
