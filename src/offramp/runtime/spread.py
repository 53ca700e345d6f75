"""Repeated times summed up: percentiles, and how far the median can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.guarantees.binomial import binomial_cdf

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """What repeated measurements say.

    Attributes:
        p50: median.
        p95: 95th percentile.
        p99: 99th percentile.
        mean: mean.
        interval: within which the true median lies with 95 % confidence, see `median_interval`;
            none if there are too few.
    """

    p50: float
    p95: float
    p99: float
    mean: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: ArrayLike) -> "Spread":
        """Sum up values of shape R, one for each round."""
        array = np.asarray(values, dtype=np.float64)
        p50, p95, p99 = (float(value) for value in np.percentile(array, (50, 95, 99)))
        return cls(p50, p95, p99, float(array.mean()), median_interval(array))


def median_interval(
    values: Sequence[float] | NDArray[np.float64], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Bound the median of the distribution from which R values were drawn, whatever it is.

    The k-th smallest value lies above the median only if fewer than k values lie below it, which
    happens with P(Bin(R, ½) ≤ k-1); likewise at the other end. The largest k for which both are
    rare enough is taken (the sign test turned round; David and Nagaraja, *Order Statistics*, §7.1).
    Values must be drawn independently: a machine that slows down for many rounds breaks this.

    Returns:
        The k-th smallest and the k-th largest value; none if even the extremes do not suffice,
        which for 95 % is so with fewer than 6.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    rounds = len(ordered)
    rare = (1 - confidence) / 2
    k = 0
    while k < rounds // 2 and binomial_cdf(k, rounds, 0.5) <= rare:
        k += 1
    return (float(ordered[k - 1]), float(ordered[rounds - k])) if k else None
