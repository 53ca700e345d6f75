"""Targets of auxiliary networks, against loops over exits and images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies.targets import exit_to_take, expected_miou, good_enough, labelled

GAINS = np.array([[0.5, 0.5, 0.9, 0.7], [0.55, 0.7, 0.2, 0.75], [0.6, 0.61, 0.95, 0.8]])


def test_an_exit_is_good_enough_if_no_later_one_gains_more_than_the_margin() -> None:
    assert good_enough(GAINS).tolist() == [
        [True, False, True, True],  # 0.5 to 0.6 and 0.7 to 0.8 are exactly the margin
        [True, True, False, True],
        [True, True, True, True],
    ]


def test_the_exit_to_take_is_the_first_that_is_good_enough() -> None:
    assert exit_to_take(GAINS).tolist() == [0, 1, 0, 0]
    assert exit_to_take(GAINS, margin=0.0).tolist() == [2, 1, 2, 2]


@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([0.0, 0.05, 0.1, 0.3]))
def test_targets_are_those_of_loops(seed: int, exits: int, margin: float) -> None:
    gains = np.random.default_rng(seed).random((exits, 9))
    enough = good_enough(gains, margin)
    for n in range(9):
        for e in range(exits):
            later = [gains[k, n] - gains[e, n] for k in range(e + 1, exits)]
            assert enough[e, n] == (not any(gain > margin for gain in later))
        assert exit_to_take(gains, margin)[n] == enough[:, n].tolist().index(True)


def test_the_regressor_learns_the_gains_themselves() -> None:
    targets = expected_miou(GAINS)
    assert targets.tolist() == GAINS.tolist()
    targets[0, 0] = 9
    assert GAINS[0, 0] == 0.5


def test_images_without_labels_have_no_target() -> None:
    gains = GAINS.copy()
    gains[:, 2] = np.nan
    assert labelled(gains).tolist() == [True, True, False, True]
    for target in (good_enough, expected_miou, exit_to_take):
        with pytest.raises(BadInput, match="labelled"):
            target(gains)
    assert exit_to_take(gains[:, labelled(gains)]).tolist() == [0, 1, 0]
