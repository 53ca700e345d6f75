"""From gains to what auxiliary networks learn: is this exit good enough, how good, which exit.

VIDEO §3.5.2 and §4.2.5: the binary target "is decided to be False if the expected accuracy gain
from the later exits exceeds 0.1. Otherwise, it is set to True". The regressor's target is the
gain itself, that is the image's mIoU at the exit. The multi-class target is VIDEO's "expected
exit index", read as the first exit that the binary target calls good enough.

Gains that differ from the margin by rounding alone do not exceed it.
"""

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.policies.calibration import Floats

MARGIN = 0.1
"""Least gain in mIoU that is worth going on for (VIDEO §4.2.5.1)."""

ROUNDING = 1e-9


def labelled(gains: Floats) -> NDArray[np.bool_]:
    """Tell which images have labelled pixels, so that they have targets; E×N to N."""
    marked: NDArray[np.bool_] = np.all(np.isfinite(gains), axis=0)  # N
    return marked


def good_enough(gains: Floats, margin: float = MARGIN) -> NDArray[np.bool_]:
    """Tell where no later exit gains more than `margin` on this image.

    Args:
        gains: E×N, this image's mIoU at each exit, all numbers.
        margin: least gain in mIoU that is worth going on for.

    Returns:
        E×N; True everywhere at the last exit.

    Raises:
        BadInput: a gain is no number.
    """
    _check(gains)
    later = np.full_like(gains, -np.inf)  # E×N, the most that any later exit reaches
    later[:-1] = np.maximum.accumulate(gains[:0:-1], axis=0)[::-1]
    enough: NDArray[np.bool_] = later - gains <= margin + ROUNDING
    return enough


def expected_miou(gains: Floats) -> Floats:
    """Give the regressor's targets: the gains themselves, E×N.

    Raises:
        BadInput: a gain is no number.
    """
    _check(gains)
    return gains.copy()


def exit_to_take(gains: Floats, margin: float = MARGIN) -> NDArray[np.intp]:
    """Find the first exit after which no exit gains more than `margin`; shape N.

    Raises:
        BadInput: a gain is no number.
    """
    first: NDArray[np.intp] = np.argmax(good_enough(gains, margin), axis=0)  # N
    return first


def _check(gains: Floats) -> None:
    if not np.isfinite(gains).all():
        raise BadInput(
            "an image without labelled pixels has no target",
            expected="gains E×N that are numbers",
            repair="keep only the images that `labelled` names",
        )
