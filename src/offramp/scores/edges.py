"""Edges of a label map, and coverage that forgives them (MESS eq. 8-9).

Near the edges of things a prediction at a coarse grid is naturally unsure. There, the confidence
of a pixel gives way to the median of its surroundings.

Eq. 9's median is only compared with a threshold, and of n values, n odd, the median reaches a
threshold exactly when more than half of the values do. So a mean of zeros and ones stands for
sorting 25 values a cell.
"""

from torch import Tensor
from torch.nn import functional as F

from offramp.scores.steps import at_least, positive


def edge_band(labels: Tensor, stride: int = 1) -> Tensor:
    """Mark the band around semantic edges (MESS eq. 8); labels N×1×h×w to 0 or 1, N×1×h×w.

    Edges are where the label differs from one of the four neighbours. The paper's "erosion" of
    the edge map, by a kernel of the output stride, is read as thickening the band: by one cell
    on a grid of cells, by a square of `stride` pixels on a grid of pixels (one more where that
    is even, so that the square has a centre).

    Args:
        labels: whole numbers as floats.
        stride: pixels of this grid to a cell of the exit's own; 1 on a grid of cells.
    """
    across = _spread(labels, (1, 3))
    down = _spread(labels, (3, 1))
    reach = 1 if stride == 1 else stride // 2
    band = positive(across + down)
    band = F.max_pool2d(band, (1, 2 * reach + 1), 1, (0, reach))
    return F.max_pool2d(band, (2 * reach + 1, 1), 1, (reach, 0))


def covered(confidence: Tensor, band: Tensor, threshold: float, stride: int = 1) -> Tensor:
    """Mark the pixels that count as covered, those on edges by their median; 0 or 1, N×1×h×w.

    The median is over (4·stride + 1)² pixels (MESS eq. 9), on a grid of cells over 5×5; beyond
    the border the border's values are repeated.

    Args:
        confidence: N×1×h×w.
        band: 1 where the median stands, N×1×h×w.
        threshold: a pixel counts from this confidence on.
        stride: as for `edge_band`.
    """
    sure = at_least(confidence, threshold)
    reach, window = 2 * stride, 4 * stride + 1
    padded = F.pad(sure, (reach, reach, reach, reach), mode="replicate")
    share = F.avg_pool2d(F.avg_pool2d(padded, (1, window), 1), (window, 1), 1)
    return sure + band * (positive(share - 0.5) - sure)


def _spread(labels: Tensor, window: tuple[int, int]) -> Tensor:
    """Subtract the least from the largest label of each window."""
    padding = (window[0] // 2, window[1] // 2)
    largest = F.max_pool2d(labels, window, 1, padding)
    least = -F.max_pool2d(-labels, window, 1, padding)
    return largest - least
