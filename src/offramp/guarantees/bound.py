"""Turn the test round: which limit do these units certify, and how many would certify this one."""

import numpy as np
from numpy.typing import NDArray

from offramp.core.certificate import Method
from offramp.guarantees.pvalues import hoeffding_bentkus, p_value, waudby_smith_ramdas

Floats = NDArray[np.float64]

MOST = 1_000_000
"""Where the search for a sufficient number of images ends."""

STEPS = 40
"""Halvings of the interval in which a bound lies."""


def upper_bound(losses: Floats, delta: float, method: Method) -> float:
    """Compute an upper confidence bound on the mean loss: the least limit that is certified.

    Both p-values fall as the limit rises, so that halving the interval finds it.

    Args:
        losses: in [-1, 1]; shape N, in an order that the losses did not choose.
        delta: 1 - confidence.
        method: of the p-value.

    Returns:
        At most 1, and never below 0 even where early answers are better; the mean of a
        configuration fixed beforehand is above it with probability at most delta.
    """
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if p_value(losses, middle, delta, method) <= delta:
            high = middle
        else:
            low = middle
    return high


def images_needed(losses: Floats, limit: float, delta: float, method: Method) -> int | None:
    """Estimate how many units like these would certify the limit.

    For Hoeffding-Bentkus the mean stays as it is, for Waudby-Smith-Ramdas the losses are repeated
    in turn. The mean of other units will differ: with this many the test succeeds about as often
    as not.

    Args:
        losses: in [-1, 1]; shape N, in an order that the losses did not choose.
        limit: the mean loss that must not be exceeded, within (0, 1).
        delta: 1 - confidence.
        method: of the p-value.

    Returns:
        N if these do already; None if more than a million are needed, or no number would do
        because the mean is not below the limit.
    """
    mean = float((np.maximum(losses, 0.0) if method == "hb" else losses).mean())

    def certifies(n: int) -> bool:
        if method == "hb":
            return hoeffding_bentkus(mean, n, limit) <= delta
        return float(waudby_smith_ramdas(np.resize(losses, n), limit, delta)) <= delta

    low = high = len(losses)
    if p_value(losses, limit, delta, method) <= delta:
        return high
    if mean >= limit:
        return None
    while not certifies(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if certifies(middle) else (middle, high)
    return high
