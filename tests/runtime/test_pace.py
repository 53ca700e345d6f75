"""Quantiles of the last times are those that numpy finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.runtime.pace import REFUSALS, Pace

TIMES = st.lists(st.floats(0, 10), min_size=1, max_size=60)


@given(TIMES, st.integers(1, 20), st.floats(0, 1))
def test_a_quantile_is_the_empirical_one_of_the_last_times(
    times: list[float], remembered: int, share: float
) -> None:
    pace = Pace(remembered)
    for seconds in times:
        pace.note("step", seconds)
    last = times[-remembered:]
    expected = np.quantile(last, share, method="inverted_cdf")
    within = sum(t <= pace.expect("step", share) for t in last)
    assert within >= share * len(last) - 1e-9
    assert pace.expect("step", share) == pytest.approx(expected) or share * len(last) % 1 < 1e-9


def test_steps_do_not_mix_and_an_unknown_one_takes_no_time() -> None:
    pace = Pace()
    pace.note(0, 1.0)
    pace.note(("decode", 2, 3), 5.0)
    assert pace.expect(0, 0.99) == 1.0
    assert pace.expect(("decode", 2, 3), 0.0) == 5.0
    assert pace.expect(1, 0.99) == 0.0


def test_a_step_that_is_refused_again_and_again_loses_its_slowest_times() -> None:
    pace = Pace(4)
    for seconds in (1.0, 9.0, 3.0):
        pace.note("step", seconds)
    for expected in (9.0, 3.0, 1.0, 0.0, 0.0):
        assert pace.expect("step", 1.0) == expected
        for _ in range(REFUSALS):
            pace.refuse("step")
    for seconds in (5.0, 6.0, 7.0, 8.0, 2.0):  # what is forgotten leaves room
        pace.note("step", seconds)
    assert pace.expect("step", 1.0) == 8.0
    assert pace.expect("step", 0.0) == 2.0
