"""Thresholds worth trying on a score, and which scores one threshold can decide by."""

import numpy as np
from numpy.typing import NDArray

from offramp.core.score import ScoreSpec
from offramp.metrics.trace import Trace

LEVELS = 20
Floats = NDArray[np.float64]


def deciding(trace: Trace) -> tuple[str, ...]:
    """List the recorded scores that one threshold an exit can decide by."""
    return tuple(name for name in trace.score_names if decides_alone(ScoreSpec.parse(name)))


def decides_alone(spec: ScoreSpec) -> bool:
    """Tell whether one threshold on a score is a strategy of its own."""
    return spec.direction != "range" and spec.reduce != "class"


def levels(scores: Floats, most: int = LEVELS) -> Floats:
    """Choose up to `most` thresholds that part the images differently.

    They lie midway between neighbouring scores, so that a score which an engine computes a hair
    differently still falls on its side.

    Args:
        scores: one score per image, shape N; those that are no finite number part nothing.
        most: how many thresholds at the most.
    """
    scores = scores[np.isfinite(scores)]
    distinct = np.unique(scores)
    middles = (distinct[1:] + distinct[:-1]) / 2
    if len(middles) <= most:
        return middles
    # Equal shares of the images between thresholds; of the gaps around each place the widest.
    ranks = np.quantile(scores, (np.arange(most) + 0.5) / most)
    reach = max(len(middles) // (4 * most), 1)
    gaps = np.diff(distinct)
    chosen = []
    for rank in ranks:
        centre = int(np.searchsorted(middles, rank))
        low, high = max(centre - reach, 0), min(centre + reach + 1, len(middles))
        chosen.append(middles[low + int(np.argmax(gaps[low:high]))])
    return np.unique(chosen)
