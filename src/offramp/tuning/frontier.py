"""Points of latency and IoU in; which of them none beats, and where their curve bends.

A point beats (dominates) another that it is at least as fast and at least as accurate as, if it is
better in one of both. IOT draws IoU against frame rate: the same front, as one is the other's
inverse.
"""

import math
from collections.abc import Sequence

Point = tuple[float, float]
"""Latency in milliseconds, and IoU from 0 to 1."""


def dominates(one: Point, other: Point) -> bool:
    """Tell whether `one` is nowhere worse than `other`, and better in latency or IoU."""
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def front(points: Sequence[Point]) -> list[int]:
    """Find the points that no other dominates.

    Args:
        points: in any order; equal ones do not dominate each other.

    Returns:
        Their places, fastest first.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    kept: list[int] = []
    for i in order:
        if not kept or points[i][1] > points[kept[-1]][1] or points[i] == points[kept[-1]]:
            kept.append(i)
    return kept


def knee(points: Sequence[Point]) -> int | None:
    """Find where the front bends most: the point farthest above the line between its ends.

    Latency counts by its logarithm, so that "twice as fast" is as far everywhere: IOT's candidates
    span a factor of 180, and on a plain scale all small ones would be one spot.

    Args:
        points: of any kind; only their front is looked at.

    Returns:
        Its place; none where no point of the front lies above the line.
    """
    line = front(points)
    if len(line) < 3:
        return None
    fast, slow = points[line[0]], points[line[-1]]
    width, height = math.log(slow[0] / fast[0]), slow[1] - fast[1]
    if width == 0 or height == 0:  # equal points only
        return None

    def above(i: int) -> float:
        along = math.log(points[i][0] / fast[0]) / width
        return (points[i][1] - fast[1]) / height - along

    best = max(line, key=above)
    return best if above(best) > 1e-9 else None
