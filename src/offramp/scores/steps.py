"""Comparisons and arg-max, as arithmetic that every engine has.

ncnn has neither comparisons nor an arg-max over channels; rounding up and clipping it has. What
they yield is exact, and in ONNX Runtime they cost what the comparisons would.
"""

import torch
from torch import Tensor


def positive(values: Tensor) -> Tensor:
    """Map each value to 1 where it is above 0, and to 0 elsewhere; the same shape."""
    return torch.ceil(values).clamp(0, 1)


def at_least(values: Tensor, bound: float) -> Tensor:
    """Map each value to 1 from `bound` up, and to 0 below; the same shape."""
    return 1 - positive(bound - values)


def best_class(logits: Tensor) -> Tensor:
    """Name each pixel's best class as a float, the first of equals; N×C×h×w to N×1×h×w."""
    return best_class_of(logits - logits.amax(dim=1, keepdim=True))


def best_class_of(below_best: Tensor) -> Tensor:
    """Do as `best_class`, from logits less their largest: 0 at the best, negative elsewhere."""
    classes = below_best.shape[1]
    number = torch.arange(classes, device=below_best.device).to(below_best.dtype)
    worse = positive(-below_best)
    return (classes * worse + number.view(1, classes, 1, 1)).amin(dim=1, keepdim=True)  # N×1×h×w


def labels(logits: Tensor) -> Tensor:
    """Name each cell's best class from logits N×C×h×w; uint8 N×h×w, as `Context` takes them."""
    return best_class(logits)[:, 0].to(torch.uint8)
