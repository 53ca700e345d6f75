"""Divide the calibration split: images for the search, and images for the test.

A configuration that was picked for its small loss on some images looks better on them than it is.
So what the search found is certified on images that the search did not see.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.guarantees.clips import members


def divide(
    n: int,
    *,
    groups: Sequence[str] | NDArray[np.generic] | None = None,
    share: float = 0.5,
    seed: int = 0,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide images in two by chance; the same arguments give the same division.

    Args:
        n: number of images.
        groups: name of each image's clip, shape N; "" if it has none. A clip is never divided.
        share: share of the images, or of the clips, that goes to the search.
        seed: of the division. Trying seeds until one certifies voids the promise.

    Returns:
        Indices of the search's images and of the test's, each ascending.

    Raises:
        BadInput: the share is not within (0, 1), groups do not match, or fewer than two units.
    """
    if not 0 < share < 1:
        raise BadInput("the share is out of range", expected="above 0, below 1", got=str(share))
    if groups is not None and len(groups) != n:
        raise BadInput("clips do not match the images", expected=str(n), got=str(len(groups)))
    member = np.arange(n) if groups is None else members(groups)
    total = int(member.max(initial=-1)) + 1
    if total < 2:
        what = "images" if groups is None else "clips"
        raise BadInput(f"too few {what} to divide", expected="at least 2", got=str(total))
    searched = np.zeros(total, dtype=np.bool_)
    chosen = min(max(round(share * total), 1), total - 1)
    searched[np.random.default_rng(seed).permutation(total)[:chosen]] = True
    return np.flatnonzero(searched[member]), np.flatnonzero(~searched[member])
