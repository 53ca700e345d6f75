"""How much of an answer is as another answer has it: the previous exit's, or frame's."""

import numpy as np
import torch
from torch import Tensor


def agreement(labels: Tensor, others: Tensor) -> Tensor:
    """Compute the share of cells that have the same label; shape N.

    Cell (i, j) is compared with cell (⌊i·h'/h⌋, ⌊j·w'/w⌋) of the other grid.

    Args:
        labels: whole numbers as floats, N×1×h×w.
        others: whole numbers of any type, N×h'×w'.
    """
    height, width = (int(n) for n in labels.shape[-2:])
    their_height, their_width = (int(n) for n in others.shape[-2:])
    others = others[:, None].to(labels.dtype)  # N×1×h'×w'
    if height != their_height:
        others = torch.matmul(_nearest(height, their_height, labels), others)
    if width != their_width:
        others = torch.matmul(others, _nearest(width, their_width, labels).T)
    differs = (labels - others).abs().clamp(0, 1)  # N×1×h×w
    return 1 - differs.mean(dim=(1, 2, 3))


def _nearest(mine: int, theirs: int, like: Tensor) -> Tensor:
    """Make the matrix that picks the other grid's line for each of mine, mine×theirs.

    A product with zeros and ones is exact for labels, and ncnn has no picking by index.
    """
    picks = np.eye(theirs, dtype=np.float32)[np.arange(mine) * theirs // mine]
    return torch.from_numpy(picks).to(device=like.device, dtype=like.dtype)
