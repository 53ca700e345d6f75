"""Tables, and the states that they are fitted on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies.calibration import Calibration
from offramp.policies.exact import ascent
from offramp.policies.fitted import cheapest
from offramp.policies.tabular import States, Table, sweep
from tests.policies.simulated import follow, like_recorded, noise


def test_a_score_at_an_edge_lies_above_it() -> None:
    table = Table(edges=((0.5, 1.0),), stop=(True, False, True))
    assert [table.stops([s]) for s in (0.4, 0.5, 0.9, 1.0, 7.0)] == [True, False, False, True, True]


def test_joint_bins_go_by_the_first_score_slowest() -> None:
    table = Table(edges=((0.5,), (1.0, 2.0)), stop=(True, False, False, False, False, True))
    for first, second in ((0, 0), (1, 3)):
        assert table.stops([first, second])
    for first, second in ((0, 1.5), (0, 3), (1, 0), (1, 1.5)):
        assert not table.stops([first, second])


def test_a_score_that_is_no_number_goes_on() -> None:
    table = Table(edges=((0.5,), ()), stop=(True, True))
    assert table.stops([0.0, 0.0])
    assert not table.stops([math.nan, 0.0])
    assert not table.stops([0.0, math.nan])


def test_a_table_has_a_decision_for_each_bin() -> None:
    with pytest.raises(ValueError, match="needs 6 decisions"):
        Table(edges=((0.5,), (1.0, 2.0)), stop=(True,) * 5)


def test_bins_are_equally_full_and_edges_lie_midway() -> None:
    scores = np.array([[3.0, 1.0, 2.0, 8.0, 6.0, 7.0], [0.0] * 6])
    gains = np.zeros((2, 6))
    states = States.of(Calibration.of(scores, gains, np.array([0.5, 1])), weight=1, bins=3)
    assert states.edges == (((2.5, 6.5),),)
    assert states.bins.tolist() == [[1, 0, 0, 2, 1, 2]]
    assert states.rewards.tolist() == [[-0.5] * 6, [-1.0] * 6]


def test_scores_that_tie_make_fewer_bins_and_none_is_empty() -> None:
    scores = np.array([[1.0, 1.0, 1.0, 1.0, 2.0], [0.0] * 5])
    states = States.of(Calibration.of(scores, np.zeros((2, 5)), np.ones(2)), weight=0, bins=4)
    assert states.sizes[0] == len(np.unique(states.bins[0]))
    alike = Calibration.of(np.ones((2, 5)), np.zeros((2, 5)), np.ones(2))
    assert States.of(alike, 0, bins=4).sizes == (1,)


def test_no_bins_are_refused() -> None:
    with pytest.raises(BadInput, match="bins"):
        States.of(like_recorded(0), weight=0.1, bins=0)


@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(-5, 5))
def test_standardising_scores_changes_no_bin(seed: int, scale: float, shift: float) -> None:
    calibration = noise(np.random.default_rng(seed), exits=3, images=20)
    moved = Calibration(calibration.scores * scale + shift, calibration.gains, calibration.times)
    bins = [States.of(c, 0.1, 4).bins.tolist() for c in (calibration, moved)]
    assert bins[0] == bins[1]


@given(st.integers(0, 10**6), st.integers(1, 2), st.booleans())
def test_states_see_the_bins_and_rewards_that_tables_will(
    seed: int, scores: int, holes: bool
) -> None:
    rng = np.random.default_rng(seed)
    calibration = noise(rng, exits=4, images=15, scores=scores)
    if holes:
        calibration.scores[rng.random(calibration.scores.shape) < 0.3] = np.nan
    states = States.of(calibration, weight=0.3, bins=3)
    stop = [rng.random(size) < 0.4 for size in states.sizes]
    outcome = calibration.outcome(follow(states.tables(stop), calibration.scores))
    assert states.replayed(stop) == pytest.approx(outcome.gain - 0.3 * outcome.time)


def test_a_sweep_spans_from_the_best_gain_to_the_first_exit() -> None:
    calibration = like_recorded(1)
    fits = sweep(calibration, ascent)
    assert fits[0].outcome.gain == max(fit.outcome.gain for fit in fits)
    assert fits[0].outcome.gain >= calibration.gains[-1].mean()
    assert fits[-1].outcome.shares[0] == 1
    chosen = cheapest(fits, calibration.gains[-1].mean() - 0.02)
    assert chosen.outcome.time < 0.9
    taken = follow(chosen.rules, calibration.scores)
    assert calibration.outcome(taken) == chosen.outcome


def test_two_scores_decide_better_than_either_where_both_are_needed() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random((2, 400, 2))
    good = (scores[0, :, 0] > 0.5) ^ (scores[0, :, 1] > 0.5)
    gains = np.stack([np.where(good, 0.9, 0.1), np.full(400, 0.9)])
    reward = {}
    for name, columns in (("both", [0, 1]), ("first", [0]), ("second", [1])):
        one = Calibration.of(scores[:, :, columns], gains, np.array([0.2, 1.0]))
        reward[name] = ascent(States.of(one, weight=0.3, bins=4)).reward
    assert reward["both"] > reward["first"] + 0.05
    assert reward["both"] > reward["second"] + 0.05
