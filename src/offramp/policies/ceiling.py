"""The largest FFT score that a prediction can have if its segments are not smaller than a size.

VIDEO §3.5.1 proposes to set the range of the FFT magnitude also "by objective calculation by
setting a minimum size of the segment to be determined in the image coordinate", and gives no
formula. This is the reading.

The score is the mean over classes of m = Σ|F| / (hw − 1), F the orthonormal 2-D transform of the
class's mask of 0 and 1 on h×w cells, without DC. Of a mask that covers `a` cells, and whose
outline separates `p` pairs of neighbouring cells (around the border too), Parseval's theorem says

    Σ|F|² = a − a²/hw ≤ hw/4        Σ g·|F|² = p,  g = 4 sin²(πu/h) + 4 sin²(πv/w),

the second because |F|² times either part of g belongs to the differences between neighbours. A
segment is not smaller than s×s cells if it is s cells long in each row and column that it
touches. Then a row has at most w/s of them and a column h/s, so the outline is at most that of a
tiling of such squares, p ≤ 2hw/s. Jitter is outline, and so is excluded. By Cauchy's inequality,
for any mixture 0 ≤ t ≤ 1 of the two,

    (Σ|F|)² ≤ Σ c·|F|² · Σ 1/c ≤ ((1 − t)·hw/4 + t·2hw/s) · Σ 1/c,  c = (1 − t) + t·g,

of which the least over t is taken. No prediction of such segments exceeds it, with any number of
classes: each class's mask keeps both inequalities.
"""

import numpy as np

from offramp.core.errors import BadInput

MIXTURES = 1.0 / (1.0 + np.logspace(-4, 4, 81))
"""Values of t; any gives a bound, so the grid needs no more than to be fine."""


def fft_ceiling(segment_px: float, grid: tuple[int, int], stride: float) -> float:
    """Bound the FFT score of predictions whose smallest segment is `segment_px` wide and high.

    Args:
        segment_px: side of the smallest segment in pixels of the image.
        grid: height and width in cells of the prediction that the score is computed on.
        stride: pixels of the image that one cell is wide and high.

    Raises:
        BadInput: the size or the stride is not more than 0, or the grid has but one cell.
    """
    if not segment_px > 0 or not stride > 0:
        got = f"{segment_px} and {stride}"
        raise BadInput("segment and stride", expected="more than 0 pixels", got=got)
    height, width = grid
    cells = height * width
    if cells < 2:
        raise BadInput("a grid", expected="more than one cell", got=f"{height}×{width}")
    rows, columns = (4 * np.sin(np.pi * np.arange(n) / n) ** 2 for n in grid)
    g = (rows[:, None] + columns[None, :]).reshape(-1)[1:]  # hw−1, without DC
    outline = 2 * cells / max(segment_px / stride, 1.0)  # no segment is smaller than a cell
    squares = min(
        ((1 - t) * cells / 4 + t * outline) * float((1 / ((1 - t) + t * g)).sum()) for t in MIXTURES
    )
    return float(np.sqrt(squares)) / (cells - 1)
