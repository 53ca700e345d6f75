"""What counts once: images, or the clips they come from.

Frames of one clip resemble each other. A thousand frames of ten clips tell about ten places, not
about a thousand, and a test that counts frames promises what it does not know. So losses are
averaged within each clip, and the clips are counted. The promise is then about the mean over
clips of the clip's mean loss: a short clip weighs as much as a long one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.certificate import Units as Kind
from offramp.core.errors import BadInput

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Units:
    """Losses by what counts once.

    Attributes:
        losses: in [-1, 1]; L configurations × U units.
        kind: what a unit is.
        dropped: images left out, as they have no labelled pixel.
    """

    losses: Floats
    kind: Kind
    dropped: int


def units(losses: Floats, groups: Sequence[str] | NDArray[np.generic] | None = None) -> Units:
    """Leave out images without a labelled pixel, and average the others by clip.

    Args:
        losses: in [-1, 1]; L configurations × N images. An image without a labelled pixel has NaN
            in all rows. A promise then holds for images that have labels.
        groups: name of each image's clip, shape N; one without a clip, "", counts alone. Without
            groups, images count.

    Raises:
        BadInput: a loss is out of range, an image has NaN in some rows only, groups do not match,
            or nothing is left.
    """
    if losses.ndim != 2 or losses.shape[0] == 0:
        raise BadInput("no losses", expected="configurations × images", got=str(losses.shape))
    if groups is not None and len(groups) != losses.shape[1]:
        raise BadInput(
            "clips do not match the images",
            expected=f"{losses.shape[1]} names",
            got=str(len(groups)),
        )
    absent = np.isnan(losses).all(axis=0)  # N
    kept = losses[:, ~absent]
    if not kept.size:
        raise BadInput("no image has a labelled pixel", repair="use a split with masks")
    if not np.all(np.abs(kept) <= 1):  # NaN that is left fails too
        raise BadInput(
            "a loss is out of range",
            expected="values in [-1, 1], or NaN in all rows of an image without labels",
            got=str(kept[~(np.abs(kept) <= 1)][0]),
        )
    dropped = int(absent.sum())
    if groups is None or all(name == "" for name in groups):
        return Units(kept, "images", dropped)
    return Units(_means(kept, members(np.asarray(groups)[~absent])), "clips", dropped)


def members(groups: Sequence[str] | NDArray[np.generic]) -> NDArray[np.intp]:
    """Number the clips in the order of their names, those of one nameless image last.

    Args:
        groups: name of each image's clip, shape N; "" for an image that has none.

    Returns:
        The number of each image's clip, shape N; none is left out.
    """
    names = np.asarray(groups)
    nameless = np.array([name == "" for name in groups], dtype=np.bool_)
    _, named = np.unique(names[~nameless], return_inverse=True)
    member = np.empty(len(names), dtype=np.intp)
    member[~nameless] = named
    member[nameless] = named.max(initial=-1) + 1 + np.arange(nameless.sum())
    return member


def _means(losses: Floats, member: NDArray[np.intp]) -> Floats:
    """Average by clip; L×N to L×U."""
    sizes = np.bincount(member)
    sums = np.stack([np.bincount(member, weights=row) for row in losses])  # L×G
    means: Floats = np.clip(sums / sizes, -1.0, 1.0)  # rounding may lead out
    return means
