"""Quantiles of the last times are those that numpy finds; what is refused loses its slowest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.runtime import pace
from offramp.runtime.pace import DOUBTS, Times


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(1, 20), st.floats(0, 1))
def test_a_quantile_is_the_empirical_one_of_the_last_times(
    seconds: list[float], window: int, share: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "WINDOW", window)
        times = Times()
        for one in seconds:
            times.add(one)
    last = seconds[-window:]
    expected = np.quantile(last, share, method="inverted_cdf")
    assert sum(one <= times.expect(share) for one in last) >= share * len(last) - 1e-9
    assert times.expect(share) == pytest.approx(expected) or share * len(last) % 1 < 1e-9
    assert times.mean() == pytest.approx(np.mean(last))


def test_without_times_nothing_is_expected() -> None:
    assert Times().expect(0.99) == Times().mean() == 0.0


def test_a_step_that_is_refused_again_and_again_loses_its_slowest_times() -> None:
    times = Times()
    for seconds in (1.0, 9.0, 3.0):
        times.add(seconds)
    for expected in (9.0, 3.0, 1.0, 1.0):
        assert times.expect(1.0) == expected
        for _ in range(DOUBTS):
            times.refused()
    times.add(2.0)
    assert times.mean() == 1.5


def test_a_step_that_is_tried_in_between_keeps_its_times() -> None:
    times = Times()
    for seconds in (1.0, 9.0):
        times.add(seconds)
    for _ in range(2):
        for _ in range(DOUBTS - 1):
            times.refused()
        times.add(1.0)
    assert times.expect(1.0) == 9.0
