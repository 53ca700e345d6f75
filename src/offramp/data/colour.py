"""Colour class indices over a photograph, for pictures and video."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput

Array = NDArray[np.uint8]

EDGE = 0.4
"""How much more of the colour shows along the boundary between two classes."""


def overlay(
    image: Array, labels: Array, palette: Sequence[tuple[int, int, int]], opacity: float = 0.5
) -> Array:
    """Lay each class's colour over the image, stronger where classes meet.

    Pixels of a class beyond the palette, such as those to ignore, stay as they are.

    Args:
        image: uint8 RGB H×W×3.
        labels: uint8 class indices H×W.
        palette: one RGB colour per class.
        opacity: share of the colour inside a region, from 0 to 1.

    Returns:
        A new image, uint8 RGB H×W×3.

    Raises:
        BadInput: image and labels differ in size, or the opacity is out of range.
    """
    if image.shape != (*labels.shape, 3):
        raise BadInput(
            "labels do not fit the image",
            expected=f"shape {image.shape[:2]}",
            got=str(labels.shape),
            repair="decode them to the image's size",
        )
    if not 0 <= opacity <= 1:
        raise BadInput("an opacity is a share", expected="0 to 1", got=str(opacity))
    keep, add = _tables(palette, opacity)
    row = labels.astype(np.uint16) + np.uint16(256) * boundaries(labels)  # H×W, below 512
    mixed = image * keep[row][..., None]  # H×W×3, uint16
    mixed += add[row]
    painted: Array = (mixed >> 8).astype(np.uint8)
    return painted


def boundaries(labels: Array) -> NDArray[np.bool_]:
    """Mark the pixels that touch a pixel of another class, left, right, above or below; H×W."""
    edge = np.zeros(labels.shape, dtype=bool)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def voc_colour(label: int) -> tuple[int, int, int]:
    """Give the colour of a label in VOC's palette: its bits, interleaved."""
    colour = [0, 0, 0]
    for shift in range(7, -1, -1):
        for channel in range(3):
            colour[channel] |= ((label >> channel) & 1) << shift
        label >>= 3
    return colour[0], colour[1], colour[2]


def _tables(
    palette: Sequence[tuple[int, int, int]], opacity: float
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Tabulate what stays of the image (512) and what colour is added (512×3), in 256ths.

    Rows from 256 on are for boundaries. 255 × 256 is the most that a sum can be: uint16 holds it.
    """
    colours = np.asarray(palette, dtype=np.uint16).reshape(-1, 3)
    share = np.zeros(512)
    share[: len(colours)] = opacity
    share[256 : 256 + len(colours)] = min(opacity + EDGE, 1.0) if opacity > 0 else 0.0
    parts = np.round(256 * share).astype(np.uint16)
    full = np.zeros((512, 3), dtype=np.uint16)
    full[: len(colours)] = full[256 : 256 + len(colours)] = colours
    return np.uint16(256) - parts, full * parts[:, None]
