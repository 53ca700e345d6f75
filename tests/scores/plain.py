"""Scores once more, cell by cell in plain Python, numpy and scipy."""

import numpy as np
from scipy import ndimage

from offramp.core.score import ScoreSpec
from tests.contracts.score import plain_confidence

CLOSE = 2e-6
"""Confidences nearer to a threshold may fall on either side in float32."""


def touches(labels: np.ndarray) -> np.ndarray:
    """Find the cells that have a 4-neighbour of another label, one by one."""
    height, width = labels.shape
    edge = np.zeros(labels.shape, dtype=bool)
    for i in range(height):
        for j in range(width):
            for a, b in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= a < height and 0 <= b < width:
                    edge[i, j] |= labels[a, b] != labels[i, j]
    return edge


def edge_coverage(spec: ScoreSpec, logits: np.ndarray, reach: int, window: int) -> float:
    """Compute MESS eq. 7-9 with a sorted median; NaN where a cell is too close to call."""
    confidence = plain_confidence(spec, logits)
    band = ndimage.binary_dilation(
        touches(logits.argmax(axis=0)), np.ones((2 * reach + 1, 2 * reach + 1))
    )
    median = ndimage.median_filter(confidence, size=window, mode="nearest")
    return share_from(np.where(band, median, confidence), spec.pixel_threshold)


def share_from(confidence: np.ndarray, threshold: float) -> float:
    """Compute the share of cells from the threshold up; NaN where one is too close to call."""
    if np.abs(confidence - threshold).min() < CLOSE:
        return float("nan")
    return float((confidence >= threshold).mean())


def roughness(labels: np.ndarray) -> float:
    """Average the magnitudes of numpy's transform of each present class's mask."""
    if labels.size == 1:
        return 0.0
    means = []
    for label in np.unique(labels):
        magnitude = np.abs(np.fft.fft2(labels == label, norm="ortho"))
        means.append((magnitude.sum() - magnitude[0, 0]) / (labels.size - 1))
    return float(np.mean(means))


def agreement(labels: np.ndarray, others: np.ndarray) -> float:
    """Compare cell by cell with the cell of the other grid that lies nearest to its corner."""
    (h, w), (oh, ow) = labels.shape, others.shape
    same = [
        labels[i, j] == others[int(np.floor(i * oh / h + 1e-9)), int(np.floor(j * ow / w + 1e-9))]
        for i in range(h)
        for j in range(w)
    ]
    return float(np.mean(same))


def enlarge(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge C×h×w bilinearly to `size`, pixel centres aligned, borders repeated."""
    places = [
        np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
        for n, m in zip(size, logits.shape[1:], strict=True)
    ]
    grid = np.meshgrid(*places, indexing="ij")
    return np.stack([ndimage.map_coordinates(c, grid, order=1, mode="nearest") for c in logits])
