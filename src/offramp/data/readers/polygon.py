"""The pixels inside a polygon, exactly as `rleFrPoly` of pycocotools 2 counts them.

COCO's own rule: corners are rounded to a fifth of a pixel, edges are walked in such steps, and
wherever an edge passes the middle of a column of pixels, inside and outside change places below.
A pixel belongs to the polygon if its centre does, to a fifth of a pixel; its area is the
polygon's, without a rim. Where a polygon crosses itself, what is enclosed twice is outside.
"""

import numpy as np
from numpy.typing import NDArray

FINE = 5
"""Steps a pixel."""

MIDDLE = 2
"""The step before a pixel's centre."""

Ints = NDArray[np.int64]


def inside(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Find the pixels inside a closed polygon; bool H×W.

    Args:
        corners: K×2, x and y in pixels from the image's corner; may lie outside the image.
        size: height and width in pixels.
    """
    height, width = size
    region = np.zeros(size, dtype=bool)
    u, v = _walk((FINE * corners + 0.5).astype(np.int64))
    leftward = u[1:] < u[:-1]
    passed = np.where(leftward, u[1:], u[1:] - 1) - MIDDLE
    column = passed // FINE
    crossing = (u[1:] != u[:-1]) & (passed % FINE == 0) & (column >= 0) & (column < width)
    if not crossing.any():
        return region
    upper = np.where(v[1:] < v[:-1], v[1:], v[:-1])[crossing]
    row = np.clip(-((MIDDLE - upper) // FINE), 0, height)  # rounded up
    column = column[crossing]
    first, last = int(column.min()), int(column.max())
    # Row `height` of a column is row 0 of the next: each is crossed an even number of times.
    turns = np.sort((column - first) * height + row)
    runs = np.diff(turns, prepend=0, append=(last + 1 - first) * height)
    odd = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    region[:, first : last + 1] = odd.reshape(-1, height).T
    return region


def _walk(corners: Ints) -> tuple[Ints, Ints]:
    """List the points of all edges, end points twice, as x and y in fifths of a pixel.

    An edge is walked along its longer axis, and computed from its lower end whichever way it
    goes, so that two polygons that share an edge share its points.
    """
    following = np.roll(corners, -1, axis=0)
    reach = np.abs(following - corners)
    along = (reach[:, 1] > reach[:, 0]).astype(np.int64)  # the axis: 0 for x, 1 for y
    edges = np.arange(len(corners))
    flipped = corners[edges, along] > following[edges, along]
    low = np.where(flipped[:, None], following, corners)
    high = np.where(flipped[:, None], corners, following)
    length = reach[edges, along]
    slope = (high - low)[edges, 1 - along] / np.maximum(length, 1)
    edge = np.repeat(edges, length + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    step = np.where(flipped[edge], length[edge] - step, step)
    longer = low[edges, along][edge] + step
    shorter = (low[edges, 1 - along][edge] + slope[edge] * step + 0.5).astype(np.int64)
    steep = along[edge] == 1
    return np.where(steep, shorter, longer), np.where(steep, longer, shorter)
