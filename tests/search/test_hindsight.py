"""The best exits in hindsight, against all there are."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.search.hindsight import choose, known, reward
from offramp.search.problem import Problem
from tests.search.simulated import COSTS, like_recorded

ROWS = (0, 1, 3)


@given(st.integers(0, 999), st.sampled_from([0.0, 0.02, 0.1, 0.5, 2.0]))
@settings(max_examples=25, deadline=None)
def test_no_single_image_can_be_improved_and_little_is_left_to_find(
    seed: int, weight: float
) -> None:
    problem = Problem(like_recorded(seed, images=7), COSTS, ROWS)
    taken = choose(problem, weight)
    got = reward(problem, taken, weight)
    for n, exit in product(range(7), range(3)):
        other = taken.copy()
        other[n] = exit
        assert reward(problem, other, weight) <= got + 1e-9
    every = [reward(problem, np.array(all_), weight) for all_ in product(range(3), repeat=7)]
    assert got <= max(every) + 1e-9
    assert got >= max(every) - 0.005


def test_a_reward_is_miou_less_the_weight_of_time() -> None:
    problem = Problem(like_recorded(1), COSTS, ROWS)
    taken = np.arange(60) % 3
    rows = np.array(ROWS)[taken]
    time = np.array([110, 320, 1020])[taken].mean() / 1000
    assert reward(problem, taken, 0.3) == pytest.approx(problem.trace.miou(rows) - 0.3 * time)


def test_an_image_without_labels_is_known_to_gain_nothing() -> None:
    trace = like_recorded(2, images=5)
    trace.unions[:, 3] = 0
    trace.intersections[:, 3] = 0
    calibration = known(Problem(trace, COSTS, ROWS))
    assert calibration.gains.shape == (3, 5)
    assert calibration.gains[:, 3].tolist() == [0, 0, 0]
    assert choose(Problem(trace, COSTS, ROWS), 0.1)[3] == 0
