"""Conformal risk control: keep the mean loss within a limit on average over calibrations.

A weaker promise than a certificate, had with fewer images: the mean loss, over the draw of the
calibration units *and* of the next one, is at most the limit (Angelopoulos et al. 2022, arXiv
2208.02814, theorem 1). A single calibration may exceed it, and no confidence is stated.

It holds only if each unit's loss grows along the sequence of configurations. Losses of early
exits need not, so each is replaced by the largest so far, beginning with the full network's 0:
the promise is then about these larger losses, and so about those below them too.
"""

from collections.abc import Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray

from offramp.core.certificate import MeanControl
from offramp.core.errors import BadInput
from offramp.guarantees.clips import units


def control_mean(
    losses: NDArray[np.float64],
    limit: float,
    *,
    groups: Sequence[str] | NDArray[np.generic] | None = None,
) -> MeanControl:
    """Choose the last configuration with (n R + 1) / (n + 1) ≤ limit, R its mean growing loss.

    Args:
        losses: in [-1, 1], positive where an early answer is worse than the full network's; L
            configurations × N images, the safest first, in an order that comes from elsewhere.
            NaN in all rows where an image has no labelled pixel.
        limit: the mean loss that must not be exceeded, within (0, 1).
        groups: name of each image's clip, shape N; then clips count, not frames.

    Raises:
        BadInput: losses, limit or groups are out of their ranges.
    """
    if not 0 < limit < 1:
        raise BadInput("the limit is out of range", expected="above 0, below 1", got=str(limit))
    counted = units(losses, groups)
    n = counted.losses.shape[1]
    growing = np.maximum.accumulate(np.maximum(counted.losses, 0.0), axis=0)
    means = [float(mean) for mean in growing.mean(axis=1)]  # L, ascending
    allowed = sum(_with_one_more(mean, n) <= limit for mean in means)
    chosen = max(allowed - 1, 0)
    return MeanControl(
        index=allowed - 1 if allowed else None,
        limit=limit,
        units=counted.kind,
        n=n,
        dropped=counted.dropped,
        loss=means[chosen],
        bound=_with_one_more(means[chosen], n),
        needed=_needed(means[allowed], limit) if allowed < len(means) else None,
    )


def _with_one_more(mean: float, n: int) -> float:
    """Average n losses of this mean and one of 1, the worst that the next unit can have."""
    return (n * mean + 1) / (n + 1)


def _needed(mean: float, limit: float) -> int | None:
    """Find the least n with (n mean + 1) / (n + 1) ≤ limit."""
    if mean >= limit:
        return None
    n = max(1, floor((1 - limit) / (limit - mean)))
    while _with_one_more(mean, n) > limit:
        n += 1
    return n
