"""Promises are broken no more often than they may be: simulated at the edge of what they allow."""

from collections.abc import Callable

import numpy as np
import pytest

from offramp.guarantees import certify, control_mean, divide
from offramp.guarantees.pvalues import hoeffding_bentkus, waudby_smith_ramdas
from offramp.guarantees.sequence import fixed_sequence

Draw = Callable[[np.random.Generator, tuple[int, int], float], np.ndarray]
REPEATS = 4000
DELTA = 0.1


def allowed(delta: float, repeats: int) -> float:
    """Share of repeats that a promise kept with 1 - delta may break, with three sigma of chance."""
    return float(delta + 3 * np.sqrt(delta * (1 - delta) / repeats))


def two_points(high: float) -> Draw:
    """Losses of 0 or `high`, as spread as that range allows."""
    return lambda rng, shape, mean: high * (rng.random(shape) < mean / high)


LOSSES: dict[str, Draw] = {
    "all or nothing": two_points(1.0),
    "nothing or a fifth": two_points(0.2),
    "beta": lambda rng, shape, mean: rng.beta(0.5, 0.5 * (1 - mean) / mean, shape),
    "uniform": lambda rng, shape, mean: rng.uniform(0, 2 * mean, shape),
    "constant": lambda rng, shape, mean: np.full(shape, mean),
}
SIGNED: dict[str, Draw] = {
    "gain or loss of all": lambda rng, shape, mean: np.where(
        rng.random(shape) < (1 + mean) / 2, 1.0, -1.0
    ),
    "many small gains, few great losses": lambda rng, shape, mean: np.where(
        rng.random(shape) < 0.05, 1.0, (mean - 0.05) / 0.95
    ),
    "many small losses, few great gains": lambda rng, shape, mean: np.where(
        rng.random(shape) < 0.05, -1.0, (mean + 0.05) / 0.95
    ),
    "normal": lambda rng, shape, mean: rng.normal(mean, 0.1, shape).clip(mean - 0.3, mean + 0.3),
}


@pytest.mark.parametrize("limit", [0.02, 0.2])
@pytest.mark.parametrize("n", [40, 400])
@pytest.mark.parametrize("name", [*LOSSES, *SIGNED])
def test_betting_rejects_a_true_null_seldom(name: str, n: int, limit: float) -> None:
    losses = (LOSSES | SIGNED)[name](np.random.default_rng(1), (REPEATS, n), limit)
    rejected = waudby_smith_ramdas(losses, limit, DELTA) <= DELTA
    assert rejected.mean() <= allowed(DELTA, REPEATS)


@pytest.mark.parametrize("limit", [0.02, 0.2])
@pytest.mark.parametrize("n", [40, 400])
@pytest.mark.parametrize("name", LOSSES)
def test_hoeffding_bentkus_rejects_a_true_null_seldom(name: str, n: int, limit: float) -> None:
    losses = LOSSES[name](np.random.default_rng(2), (REPEATS, n), limit)
    means = np.minimum(losses.mean(axis=1), 1.0)
    rejected = [hoeffding_bentkus(float(mean), n, limit) <= DELTA for mean in means]
    assert np.mean(rejected) <= allowed(DELTA, REPEATS)


def test_betting_is_valid_at_other_levels_than_the_one_it_bets_for() -> None:
    losses = LOSSES["all or nothing"](np.random.default_rng(3), (REPEATS, 200), 0.1)
    p_values = waudby_smith_ramdas(losses, 0.1, 0.05)
    for level in (0.01, 0.05, 0.1, 0.3, 0.6):
        assert (p_values <= level).mean() <= allowed(level, REPEATS)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_well_below_the_limit_is_certified(name: str) -> None:
    losses = LOSSES[name](np.random.default_rng(4), (200, 1000), 0.02)
    assert (waudby_smith_ramdas(losses, 0.05, DELTA) <= DELTA).mean() > 0.9
    rejected = [hoeffding_bentkus(float(mean), 1000, 0.05) <= DELTA for mean in losses.mean(axis=1)]
    assert np.mean(rejected) > 0.9


def test_betting_profits_from_small_variance() -> None:
    losses = LOSSES["uniform"](np.random.default_rng(5), (200, 400), 0.04)
    assert (waudby_smith_ramdas(losses, 0.05, DELTA) <= DELTA).mean() > 0.9
    assert hoeffding_bentkus(0.04, 400, 0.05) > DELTA


def p_values_of(means: list[float], limit: float, n: int, repeats: int) -> np.ndarray:
    """Test independent configurations of these true means; repeats×L."""
    rng = np.random.default_rng(6)
    columns = [
        waudby_smith_ramdas(two_points(1.0)(rng, (repeats, n), mean), limit, DELTA)
        for mean in means
    ]
    return np.stack(columns, axis=1)


def broken(chosen: list[int | None], means: list[float], limit: float) -> float:
    """Compute how often any of those certified, up to the chosen one, loses too much."""
    return float(np.mean([i is not None and max(means[: i + 1]) >= limit for i in chosen]))


def test_a_family_that_is_not_monotone_breaks_no_promise() -> None:
    """Good ones among bad ones: each bad one that is reached is a chance to break the promise."""
    limit, repeats = 0.1, 2000
    means = [0.01, 0.02, *[limit, 0.02] * 15]
    p_values = p_values_of(means, limit, 200, repeats)
    ours = [fixed_sequence(row, DELTA) for row in p_values]
    assert broken(ours, means, limit) <= allowed(DELTA, repeats)
    assert np.mean([i is not None and i >= 1 for i in ours]) > 0.9


def test_the_two_traps_do_break_it() -> None:
    """What public code does: deploy the first that fails, or the last that passes."""
    limit, repeats = 0.1, 2000
    means = [0.01, 0.02, *[limit] * 60]
    p_values = p_values_of(means, limit, 200, repeats)
    first_failing = [int(np.argmax(row > DELTA)) for row in p_values]
    last_passing = [int(np.flatnonzero(row <= DELTA)[-1]) for row in p_values]
    assert np.mean(np.array(means)[first_failing] >= limit) > 0.9
    assert np.mean(np.array(means)[last_passing] >= limit) > 0.9
    ours = [fixed_sequence(row, DELTA) for row in p_values]
    assert 0 < broken(ours, means, limit) <= allowed(DELTA, repeats)


def test_counting_frames_breaks_what_counting_clips_keeps() -> None:
    """Frames of a clip lose alike, and clips are few."""
    rng = np.random.default_rng(7)
    limit, repeats = 0.1, 300
    clips = np.repeat(np.arange(60), 10)
    by_frame, by_clip = 0, 0
    for _ in range(repeats):
        frames = np.repeat(rng.random((1, 60)) < limit, 10, axis=1) * 1.0
        by_frame += certify(frames, limit, confidence=1 - DELTA).index is not None
        by_clip += certify(frames, limit, confidence=1 - DELTA, groups=clips).index is not None
    assert by_frame / repeats > 2 * allowed(DELTA, repeats)
    assert by_clip / repeats <= allowed(DELTA, repeats)


def test_what_was_searched_is_certified_on_other_images() -> None:
    """The best of many equally bad configurations looks good on the images that picked it."""
    rng = np.random.default_rng(8)
    limit, repeats = 0.1, 300
    same, other = 0, 0
    for seed in range(repeats):
        losses = (rng.random((60, 400)) < limit) * 1.0
        search, test = divide(400, seed=seed)
        best = int(losses[:, search].mean(axis=1).argmin())
        same += bool(waudby_smith_ramdas(losses[best, search], limit, DELTA) <= DELTA)
        other += bool(waudby_smith_ramdas(losses[best, test], limit, DELTA) <= DELTA)
    assert same / repeats > 0.5
    assert other / repeats <= allowed(DELTA, repeats)


def crossing(rng: np.random.Generator, n: int, level: float) -> np.ndarray:
    """Losses that are 1 in one configuration of ten each: their means are noise around `level`."""
    losses = np.zeros((10, n))
    hit = rng.random(n) < 10 * level
    losses[rng.integers(0, 10, n)[hit], np.flatnonzero(hit)] = 1.0
    return losses


def test_the_mean_is_controlled_for_growing_losses() -> None:
    rng = np.random.default_rng(9)
    limit, n, repeats = 0.1, 60, 3000
    means = np.linspace(0.0, 0.3, 31)
    risks = []
    for _ in range(repeats):
        # An image fails from its own place on: P(failed at l) = means[l].
        losses = (rng.random(n)[None] < means[:, None]) * 1.0
        index = control_mean(losses, limit).index
        risks.append(0.0 if index is None else means[index])
    assert np.mean(risks) <= limit + 3 * np.std(risks) / np.sqrt(repeats)
    assert np.mean(risks) > 0.8 * limit


def test_the_mean_is_controlled_for_losses_that_cross() -> None:
    rng = np.random.default_rng(10)
    limit, level, n, repeats = 0.04, 0.05, 100, 400
    ours, naive = [], []
    for _ in range(repeats):
        losses = crossing(rng, n, level)
        ours.append(0.0 if control_mean(losses, limit).index is None else level)
        passing = (n * losses.mean(axis=1) + 1) / (n + 1) <= limit
        naive.append(level if passing.any() else 0.0)
    assert np.mean(ours) <= limit
    assert np.mean(naive) > limit  # without making them grow
