"""Q-learning against the exactly solved problem, and its environment step by step."""

from functools import partial

import numpy as np
import pytest

from offramp.core.errors import BadInput
from offramp.policies.calibration import Calibration
from offramp.policies.exact import induction
from offramp.policies.qlearning import GO, STOP, Environment, Schedule, learn
from offramp.policies.tabular import States, sweep
from tests.policies.markov import promised
from tests.policies.simulated import like_recorded, noise

WITHIN = 0.01
"""Share of the solved reward that learning may miss."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weight", [0.05, 0.2, 0.3])
@pytest.mark.parametrize("exits", [2, 3, 4])
def test_learning_reaches_the_solved_reward_on_a_trace_like_a_recorded_one(
    seed: int, weight: float, exits: int
) -> None:
    states = States.of(like_recorded(seed, exits), weight)
    solved = induction(states)
    learned = learn(states, np.random.default_rng(seed))
    assert 0.2 < solved.reward < 1
    assert learned.reward >= (1 - WITHIN) * solved.reward


@pytest.mark.parametrize("seed", range(6))
def test_learning_reaches_the_solved_problem_even_where_actions_tie(seed: int) -> None:
    """Gains on a grid tie; then only the problem that is solved has a reward to reach."""
    states = States.of(noise(np.random.default_rng(seed), exits=3, images=60), 0.1, bins=3)
    solved, learned = (
        promised(states, [np.array(table.stop) for table in solution.tables])
        for solution in (induction(states), learn(states, np.random.default_rng(seed)))
    )
    assert solved * (1 - WITHIN) <= learned <= solved + 1e-9


def test_learned_values_converge_to_the_solved_ones() -> None:
    states = States.of(like_recorded(5, exits=3, images=80), 0.2, bins=4)
    solved = induction(states).values
    errors = []
    for passes in (20, 2000):
        learned = learn(states, np.random.default_rng(0), Schedule(passes)).values
        errors.append(max(np.abs(a - b).max() for a, b in zip(learned, solved, strict=True)))
    assert errors[1] < 0.01
    assert errors[1] < errors[0] / 2


def test_with_two_scores_learning_reaches_the_solved_reward() -> None:
    calibration = like_recorded(7, exits=3)
    rng = np.random.default_rng(7)
    agreement = 1 - calibration.scores + rng.normal(0, 0.1, calibration.scores.shape)
    both = np.concatenate([calibration.scores, agreement], axis=2)
    states = States.of(Calibration(both, calibration.gains, calibration.times), 0.2, bins=4)
    assert states.sizes == (16, 16)
    learned = learn(states, np.random.default_rng(0))
    assert learned.reward >= (1 - WITHIN) * induction(states).reward


def test_the_same_generator_learns_the_same() -> None:
    states = States.of(like_recorded(2, images=40), 0.2)
    one, same, other = (learn(states, np.random.default_rng(s), Schedule(5)) for s in (1, 1, 2))
    for a, b, c in zip(one.values, same.values, other.values, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_greed_alone_learns_only_what_it_tries() -> None:
    scores = np.zeros((2, 3))
    states = States.of(Calibration.of(scores, np.array([[0.2] * 3, [0.9] * 3]), np.ones(2)), 0)
    rng = np.random.default_rng(0)
    greedy = learn(states, rng, Schedule(explore=(0.0, 0.0)))
    assert np.isnan(greedy.values[0][0, GO])  # values begin at 0, so it always stops
    explored = learn(states, rng)
    assert explored.values[0] == pytest.approx(np.array([[0.2, 0.9]]))
    assert explored.tables[0].stop == (False,)


def test_the_environment_rewards_the_exit_taken() -> None:
    calibration = Calibration.of(
        np.array([[0.0, 1.0], [1.0, np.nan], [0.0, 0.0]]),
        np.array([[0.3, 0.4], [0.5, 0.6], [0.7, 0.8]]),
        np.array([0.2, 0.5, 1.0]),
    )
    environment = Environment(States.of(calibration, weight=0.1, bins=2))
    assert environment.reset(1) == (0, 1)
    assert environment.may_stop()
    assert environment.step(STOP) == (None, pytest.approx(0.4 - 0.02))
    assert environment.reset(1) == (0, 1)
    state, reward = environment.step(GO)
    assert (state, reward) == ((1, 1), 0.0)
    assert not environment.may_stop()
    assert environment.step(GO) == (None, pytest.approx(0.8 - 0.1))
    assert environment.reset(0) == (0, 0)


def test_scores_that_are_no_numbers_only_go_on() -> None:
    calibration = like_recorded(3, exits=3, images=60)
    calibration.scores[0, ::2] = np.nan
    states = States.of(calibration, weight=1.0, bins=4)
    learned = learn(states, np.random.default_rng(0), Schedule(50))
    assert learned.reward >= induction(states).reward - WITHIN


def test_a_network_without_early_exits_has_nothing_to_learn() -> None:
    states = States.of(like_recorded(0, exits=1), 0.1)
    assert learn(states, np.random.default_rng(0), Schedule(1)).tables == ()


def test_a_sweep_learns_at_each_weight() -> None:
    calibration = like_recorded(4, exits=3, images=60)
    solve = partial(learn, rng=np.random.default_rng(0), schedule=Schedule(20))
    fits = sweep(calibration, solve, weights=(0.0, 0.2, 2.0))
    times = [fit.outcome.time for fit in fits]
    assert times == sorted(times, reverse=True)
    assert times[-1] == pytest.approx(calibration.times[0])


@pytest.mark.parametrize(
    ("words", "schedule"),
    [
        ("passes", {"passes": 0}),
        ("explore", {"explore": (1.0, -0.1)}),
        ("forget", {"forget": 0.5}),
    ],
)
def test_schedules_that_cannot_learn_are_refused(words: str, schedule: dict) -> None:
    with pytest.raises(BadInput, match=words):
        Schedule(**schedule)
