"""Solved tables against all tables there are, against the Markov problem, and against bounds."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies.calibration import Calibration
from offramp.policies.exact import ascent, induction, optimum
from offramp.policies.oracle import most_reward
from offramp.policies.tabular import Solution, States
from tests.policies.markov import promised
from tests.policies.simulated import follow, like_recorded, noise

SEEDS = st.integers(0, 10**6)


def all_tables(states: States) -> list[list[np.ndarray]]:
    choices = [[np.array(c) for c in product((False, True), repeat=n)] for n in states.sizes]
    return [list(stop) for stop in product(*choices)]


def walked(states: States, stop: list[np.ndarray]) -> float:
    """Earn image by image, in plain loops."""
    earned = 0.0
    for n in range(states.rewards.shape[1]):
        for index, decisions in enumerate(stop):
            place = states.bins[index, n]
            if place < len(decisions) and decisions[place]:
                earned += states.rewards[index, n]
                break
        else:
            earned += states.rewards[-1, n]
    return earned / states.rewards.shape[1]


def history_bound(states: States) -> float:
    """Earn the most that any decision from all bins so far can: backward induction on the tree."""
    images = states.rewards.shape[1]
    value = states.rewards[-1]
    for index in reversed(range(len(states.sizes))):
        _, group = np.unique(states.bins[: index + 1], axis=1, return_inverse=True)
        group = group.reshape(-1)
        counts = np.bincount(group)
        here, later = (np.bincount(group, v) / counts for v in (states.rewards[index], value))
        free = states.bins[index] < states.sizes[index]
        value = np.where((here >= later)[group] & free, states.rewards[index], value)
    assert len(value) == images
    return float(value.mean())


def decisions(solution: Solution) -> list[np.ndarray]:
    return [np.array(table.stop) for table in solution.tables]


def drawn(seed: int, exits: int, images: int = 12, holes: bool = False) -> Calibration:
    rng = np.random.default_rng(seed)
    calibration = noise(rng, exits, images)
    if holes:
        calibration.scores[rng.random(calibration.scores.shape) < 0.2] = np.nan
    return calibration


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([(1, 3), (2, 4), (3, 3), (4, 2), (5, 2)]), st.booleans())
def test_the_optimum_is_the_best_of_all_tables(
    seed: int, shape: tuple[int, int], holes: bool
) -> None:
    exits, bins = shape
    states = States.of(drawn(seed, exits, holes=holes), weight=0.25, bins=bins)
    most = max(walked(states, stop) for stop in all_tables(states))
    solution = optimum(states)
    assert solution.reward == pytest.approx(most)
    assert walked(states, decisions(solution)) == pytest.approx(most)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([(1, 3), (2, 4), (3, 3), (4, 2)]), st.booleans())
def test_induction_is_the_best_of_all_tables_in_the_markov_problem(
    seed: int, shape: tuple[int, int], holes: bool
) -> None:
    exits, bins = shape
    states = States.of(drawn(seed, exits, holes=holes), weight=0.25, bins=bins)
    most = max(promised(states, stop) for stop in all_tables(states))
    solution = induction(states)
    assert promised(states, decisions(solution)) == pytest.approx(most)
    assert solution.reward == pytest.approx(walked(states, decisions(solution)))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(2, 4), st.integers(1, 4), st.floats(0, 1), st.booleans())
def test_solutions_are_in_order(
    seed: int, exits: int, bins: int, weight: float, holes: bool
) -> None:
    calibration = drawn(seed, exits, images=30, holes=holes)
    states = States.of(calibration, weight, bins)
    induced, climbed, best = (f(states).reward for f in (induction, ascent, optimum))
    taken = most_reward(calibration, weight)
    hindsight = states.rewards[taken, np.arange(30)].mean()
    assert induced <= climbed + 1e-9
    assert climbed <= best + 1e-9
    assert best <= history_bound(states) + 1e-9
    assert history_bound(states) <= hindsight + 1e-9
    assert climbed >= states.rewards[-1].mean() - 1e-9


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 6))
def test_with_one_early_exit_all_solvers_agree(seed: int, bins: int) -> None:
    states = States.of(drawn(seed, exits=2, images=30), 0.2, bins)
    rewards = [solve(states).reward for solve in (induction, ascent, optimum)]
    assert rewards == pytest.approx([rewards[0]] * 3)
    assert rewards[0] == pytest.approx(history_bound(states))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(2, 4), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_weight_never_lengthens_the_optimum(
    seed: int, exits: int, one: float, other: float
) -> None:
    calibration = drawn(seed, exits, images=20)
    low, high = sorted((one, other))
    times = []
    for weight in (low, high):
        tables = optimum(States.of(calibration, weight, bins=3)).tables
        times.append(calibration.outcome(follow(tables, calibration.scores)).time)
    assert high - low < 1e-6 or times[1] <= times[0] + 1e-6 / (high - low)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_ascent_ends_where_no_exit_can_be_improved_alone(seed: int) -> None:
    states = States.of(drawn(seed, exits=4, images=25), 0.2, bins=3)
    solution = ascent(states)
    stop = decisions(solution)
    for index, size in enumerate(states.sizes):
        for choice in product((False, True), repeat=size):
            changed = [*stop[:index], np.array(choice), *stop[index + 1 :]]
            assert walked(states, changed) <= solution.reward + 1e-9


def test_induction_can_earn_less_than_the_optimum_and_this_is_how() -> None:
    """The population that comes to exit 1 depends on what exit 0 decides.

    Two images are worse at exit 0 than at exit 1, two the other way round, and exit 0 tells them
    apart. At exit 1 all four look alike. Induction values that bin by all four, so nobody stops
    there; the optimum knows that two of them never come.
    """
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [0.5] * 4, [0.0] * 4])
    gains = np.array([[0.5, 0.5, 0.9, 0.9], [0.9, 0.9, 0.0, 0.0], [0.7, 0.7, 0.9, 0.9]])
    states = States.of(Calibration.of(scores, gains, np.zeros(3)), weight=0, bins=2)
    best, induced = optimum(states), induction(states)
    assert best.reward == pytest.approx(0.9)
    assert best.tables[0].stop == (True, False)
    assert best.tables[1].stop == (True,)
    assert induced.tables[1].stop == (False,)
    assert induced.reward == pytest.approx(0.8)


def test_values_of_the_optimum_are_those_of_the_images_that_come() -> None:
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [0.5] * 4, [0.0] * 4])
    gains = np.array([[0.5, 0.5, 0.9, 0.9], [0.9, 0.9, 0.0, 0.0], [0.7, 0.7, 0.9, 0.9]])
    states = States.of(Calibration.of(scores, gains, np.zeros(3)), weight=0, bins=2)
    values = optimum(states).values
    assert values[0] == pytest.approx(np.array([[0.9, 0.0], [0.5, 0.9]]))
    assert values[1] == pytest.approx(np.array([[0.9, 0.7]]))
    assert induction(states).values[1] == pytest.approx(np.array([[0.45, 0.8]]))


@pytest.mark.parametrize("solve", [induction, ascent, optimum])
def test_an_empty_joint_bin_goes_on(solve) -> None:
    scores = np.zeros((2, 4, 2))
    scores[0] = [[0, 0], [0, 0], [1, 1], [1, 1]]  # (0, 1) and (1, 0) never happen
    gains = np.array([[0.9] * 4, [0.1] * 4])
    states = States.of(Calibration.of(scores, gains, np.array([0.1, 1])), 1.0, bins=2)
    solution = solve(states)
    assert solution.tables[0].stop == (True, False, False, True)
    assert np.isnan(solution.values[0][1:3]).all()


@pytest.mark.parametrize("solve", [induction, ascent, optimum])
def test_a_network_without_early_exits_has_nothing_to_decide(solve) -> None:
    calibration = like_recorded(0, exits=1)
    solution = solve(States.of(calibration, 0.1))
    assert solution.tables == ()
    assert solution.reward == pytest.approx(calibration.gains[0].mean() - 0.1)


def test_too_many_tables_are_refused() -> None:
    with pytest.raises(BadInput, match=r"2\^30"):
        optimum(States.of(like_recorded(0), 0.1, bins=15))


def test_ascent_comes_near_the_optimum_where_induction_need_not() -> None:
    gaps = {"induction": [], "ascent": []}
    for seed in range(6):
        for weight in (0.1, 0.2, 0.3):
            states = States.of(like_recorded(seed), weight, bins=6)
            best = optimum(states).reward
            gaps["induction"].append(1 - induction(states).reward / best)
            gaps["ascent"].append(1 - ascent(states).reward / best)
    assert max(gaps["ascent"]) < 0.01
    assert np.mean(gaps["ascent"]) < np.mean(gaps["induction"])
