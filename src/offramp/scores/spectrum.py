"""How rough a label map is: the magnitude of its Fourier transform (VIDEO §3.5.1).

The thesis speaks of the mean magnitude of the prediction in the frequency domain. Read here: of
the one-hot mask of each class that is present, orthonormal, the constant part left out. Jitter
makes it large; an image of one class makes it 0.

The transform is two matrix products with constant cosines and sines. With real input, a quarter
of the frequencies tells all: F(u, v) and F(−u, v) come from the same four products.
"""

from functools import lru_cache
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def mean_magnitude(labels: Tensor, classes: int) -> Tensor:
    """Compute the mean magnitude over frequencies and classes present; labels N×1×h×w to N.

    A grid of one cell has no frequency but the constant one, and gives 0.
    """
    height, width = (int(n) for n in labels.shape[-2:])
    if height * width == 1:
        return 0 * labels.mean(dim=(1, 2, 3))
    number = torch.arange(classes, device=labels.device).to(labels.dtype)
    masks = 1 - (labels - number.view(1, classes, 1, 1)).abs().clamp(0, 1)  # N×C×h×w
    rows, columns = (_constant(_waves(n), labels) for n in (height, width))
    half = height // 2 + 1
    wide = torch.matmul(masks, columns.T)  # N×C×h×2v: cosines, then sines
    cos, sin = torch.matmul(rows[:half], wide), torch.matmul(rows[half:], wide)  # N×C×u×2v
    split = width // 2 + 1
    cc, cs, sc, ss = cos[..., :split], cos[..., split:], sin[..., :split], sin[..., split:]
    there, back = _length(cc - ss, cs + sc), _length(cc + ss, cs - sc)  # F(u, v), F(−u, v)
    weights = _constant(_weights(height, width), labels)  # u×v
    total = ((there + back) * weights).sum(dim=(1, 2, 3))  # N
    present = masks.amax(dim=(2, 3)).sum(dim=1)  # N
    return total / present


def _length(real: Tensor, imaginary: Tensor) -> Tensor:
    return (real * real + imaginary * imaginary).sqrt()


def _constant(array: NDArray[np.float32], like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(device=like.device, dtype=like.dtype)


@lru_cache(maxsize=16)
def _waves(n: int) -> NDArray[np.float32]:
    """Tabulate orthonormal cosines, then sines, of the frequencies 0 to n/2; 2(n//2+1)×n."""
    turns = np.outer(np.arange(n // 2 + 1), np.arange(n)) % n / n
    waves = np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)]) / sqrt(n)
    return waves.astype(np.float32)


@lru_cache(maxsize=16)
def _weights(height: int, width: int) -> NDArray[np.float32]:
    """Say how often each F(u, v) of the quarter stands for one of all; (h//2+1)×(w//2+1).

    They sum to half, for F(u, v) and F(−u, v) are both counted; the constant part weighs nothing.
    """
    down, across = (
        np.where((2 * np.arange(n // 2 + 1)) % n == 0, 1.0, 2.0) for n in (height, width)
    )
    weights = np.outer(down, across) / 2
    weights[0, 0] = 0
    return (weights / (height * width - 1)).astype(np.float32)
