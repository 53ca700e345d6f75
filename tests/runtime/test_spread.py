"""Intervals of the median against brute force, against scipy, and by drawing."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from offramp.runtime.spread import Spread, median_interval


def coverage(k: int, rounds: int) -> float:
    """Count in how many of 2^R cases the true median lies within the k-th from either end.

    Each of R values falls below or above it with the same chance.
    """
    inside = 0
    for below in product((0, 1), repeat=rounds):
        lower = sum(below)  # so many values lie below the median
        inside += k <= lower <= rounds - k
    return inside / 2**rounds


@pytest.mark.parametrize("rounds", range(1, 15))
def test_the_interval_is_the_narrowest_that_covers(rounds: int) -> None:
    values = np.arange(rounds, dtype=float)
    found = median_interval(values[::-1])
    enough = [k for k in range(1, rounds // 2 + 1) if coverage(k, rounds) >= 0.95]
    if not enough:
        assert found is None
        return
    k = max(enough)
    assert found == (values[k - 1], values[rounds - k])


def test_six_rounds_are_the_fewest() -> None:
    assert median_interval([1, 2, 3, 4, 5]) is None
    assert median_interval([3, 1, 2, 6, 5, 4]) == (1, 6)


@pytest.mark.parametrize("rounds", [10, 57, 200, 1001])
def test_scipy_finds_the_same_interval(rounds: int, rng: np.random.Generator) -> None:
    values = rng.lognormal(size=rounds)
    one = stats.quantile_test(values, p=0.5, alternative="less").confidence_interval(0.975)
    two = stats.quantile_test(values, p=0.5, alternative="greater").confidence_interval(0.975)
    assert median_interval(values) == (two.low, one.high)


def test_true_medians_lie_outside_rarely_enough(rng: np.random.Generator) -> None:
    draws = rng.exponential(size=(2000, 30))
    bounds = [median_interval(row) for row in draws]
    missed = sum(b is not None and not b[0] <= np.log(2) <= b[1] for b in bounds)
    assert 0 < missed / 2000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_percentiles_and_mean_are_numpy_s(rng: np.random.Generator) -> None:
    values = rng.exponential(size=101)
    ordered = np.sort(values)
    found = Spread.of(values)
    assert (found.p50, found.p95, found.p99) == pytest.approx(ordered[[50, 95, 99]].tolist())
    assert found.mean == pytest.approx(values.sum() / 101)
    assert found.interval == median_interval(values)
