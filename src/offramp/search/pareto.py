"""The points that no other beats."""

import numpy as np
from numpy.typing import NDArray


def pareto(cost: NDArray[np.float64], gain: NDArray[np.float64]) -> list[int]:
    """List the points that none beats: less cost and at least the gain, cheapest first.

    Args:
        cost: less is better; shape P.
        gain: more is better; shape P; NaN never stays.
    """
    order = np.lexsort((-gain, cost))
    gains = np.nan_to_num(gain[order], nan=-np.inf)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(gains)[:-1]])
    return [int(i) for i in order[gains > before]]
