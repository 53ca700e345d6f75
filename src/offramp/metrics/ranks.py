"""How well a score puts images in order: rank correlation, and separation of good from bad."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ranks(values: ArrayLike) -> Floats:
    """Rank numbers from 1 up, equal ones by the mean of their ranks; shape N."""
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: Floats = last - (counts - 1) / 2
    return means[place.ravel()]


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Compute Spearman's rank correlation of two series of N numbers; NaN if one never varies."""
    a, b = (r - r.mean() for r in (ranks(one), ranks(other)))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")


def separation(score: ArrayLike, good: ArrayLike) -> float:
    """Compute how likely a good image scores above a bad one, equal scores counting half.

    It is the area under the ROC curve. NaN if all images are good, or none is.

    Args:
        score: N numbers.
        good: N truth values.
    """
    chosen = np.asarray(good, dtype=bool)
    goods, bads = int(chosen.sum()), int((~chosen).sum())
    if not goods or not bads:
        return float("nan")
    above = float(ranks(score)[chosen].sum()) - goods * (goods + 1) / 2
    return above / (goods * bads)
