"""Predicted times follow measured ones, up and down, and no freak lasts."""

import numpy as np
import pytest

from offramp.runtime.pace import DOUBTS, WINDOW, Times
from offramp.video.predict import DECODE, QUANTILE, Predictor, path


def test_follows_a_machine_that_slows_down_after_two_steps() -> None:
    kept = Times()
    for _ in range(WINDOW):
        kept.add(0.01)
    kept.add(0.1)
    assert kept.expect(QUANTILE) == 0.01  # once is a freak
    kept.add(0.1)
    assert kept.expect(QUANTILE) == 0.1


def test_comes_down_when_the_machine_is_fast_again() -> None:
    kept = Times()
    for seconds in [0.1] * WINDOW + [0.01] * (WINDOW - 1):
        kept.add(seconds)
    assert kept.expect(QUANTILE) == 0.01


def test_a_step_ruled_out_by_one_freak_time_is_tried_again() -> None:
    predictor = Predictor(1)
    step = ("advance", 0)
    for seconds in (0.01, 5.0, 0.01):
        predictor.observe(step, seconds)
    assert predictor.expect([step]) == pytest.approx(5.0)
    for _ in range(DOUBTS):
        predictor.refused(step)
    assert predictor.expect([step]) == pytest.approx(0.01)
    for _ in range(10 * DOUBTS):  # the last time is never given up
        predictor.refused(step)
    assert predictor.expect([step]) == pytest.approx(0.01)


def test_a_path_reads_only_the_heads_that_are_asked_for() -> None:
    advance, read = [("advance", k) for k in range(3)], [("read", k) for k in range(3)]
    assert path(0, 1) == [advance[0], read[0], advance[1], read[1], DECODE]
    assert path(0, 2, reads=2) == [*advance, read[2], DECODE]
    assert path(2, 2) == [advance[2], read[2], DECODE]


def test_sums_over_a_path() -> None:
    predictor = Predictor(2)
    for k in range(2):
        predictor.observe(("advance", k), 1.0 + k)
        predictor.observe(("read", k), 0.25)
    predictor.observe(DECODE, 0.125)
    assert predictor.expect(path(0, 1)) == predictor.mean(path(0, 1)) == 3.625
    assert predictor.expect(path(1, 1)) == 2.375


def test_a_path_is_late_as_often_as_its_steps_are(rng: np.random.Generator) -> None:
    """Measured on drawn times: neither far more often than one in a hundred, nor never."""
    steps = path(0, 2)
    predictor = Predictor(3)
    for _ in range(WINDOW):
        for step in steps:
            predictor.observe(step, float(rng.gamma(20, 0.001)))
    sums = rng.gamma(20, 0.001, (100_000, len(steps))).sum(axis=1)
    late = (sums > predictor.expect(steps)).mean()
    assert 0.001 < late < 0.02
