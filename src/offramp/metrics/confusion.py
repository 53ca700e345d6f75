"""Intersection over union, in the two definitions that are in use.

*Dataset mIoU* (MESS): intersections and unions are summed over the set first, then divided,
then averaged over the classes present. *Per-image mIoU* (VIDEO): divided and averaged within
each image, over the classes present in it (in truth or answer), then averaged over images.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def intersections_unions(
    labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int, ignore_index: int = 255
) -> tuple[Counts, Counts]:
    """Count per-class intersections and unions of one image.

    Args:
        labels: predicted classes, uint8, any shape.
        truth: true classes, uint8, the same shape; `ignore_index` counts nowhere.
        classes: number of classes C.
        ignore_index: label of the pixels to leave out.

    Returns:
        Intersections and unions in pixels, int64, both of shape C.
    """
    pairs = np.bincount(
        truth.ravel().astype(np.int64) * 256 + labels.ravel(), minlength=65536
    ).reshape(256, 256)  # truth × answer
    if ignore_index < 256:
        pairs[ignore_index] = 0
    intersections = pairs.diagonal()[:classes]
    unions = pairs.sum(axis=1)[:classes] + pairs.sum(axis=0)[:classes] - intersections
    return intersections.astype(np.int64), unions.astype(np.int64)


def iou(intersections: NDArray[Any], unions: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; NaN for a class that is neither in truth nor in the answer. Any shape."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(unions > 0, intersections / np.maximum(unions, 1), np.nan)


def mean_iou(intersections: NDArray[Any], unions: NDArray[Any]) -> NDArray[np.float64]:
    """Average IoU over the last axis, the classes, leaving absent ones out; NaN if all are.

    Sums over images give dataset mIoU; single images give per-image mIoU.
    """
    present = unions > 0
    total = np.where(present, intersections / np.maximum(unions, 1), 0.0).sum(axis=-1)
    count = present.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
