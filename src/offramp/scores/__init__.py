"""Boil an exit's prediction down to one number an image, at the head's output stride.

Each score is per image, whatever the batch, and made of operations that every engine has: the
same code runs when recording and inside the exported graph.
"""

from math import log

import torch
from torch import Tensor

from offramp.core.score import ScoreSpec

__all__ = ["pixel_confidence", "pixel_entropy", "score"]


def score(spec: ScoreSpec, logits: Tensor) -> Tensor:
    """Compute one image-level score from logits N×C×h×w; shape N.

    "mean" averages the confidence of the pixels (MESS's classification-style baseline),
    "coverage" is the share of pixels at or above the pixel threshold (MESS eq. 7), "entropy"
    the mean entropy in nats (VIDEO §3.4.4).
    """
    if spec.reduce == "entropy":
        return pixel_entropy(logits).mean(dim=(1, 2))
    confidence = pixel_confidence(logits, spec.confidence)  # N×h×w
    if spec.reduce == "coverage":
        confidence = (confidence >= spec.pixel_threshold).to(logits.dtype)
    return confidence.mean(dim=(1, 2))


def pixel_confidence(logits: Tensor, kind: str) -> Tensor:
    """Compute each pixel's confidence from logits N×C×h×w; N×h×w in [0, 1].

    "top1" is the largest probability; "entropy" is 1 − entropy / log C.
    """
    if kind == "top1":
        return torch.softmax(logits, dim=1).amax(dim=1)
    return 1.0 - pixel_entropy(logits) / log(max(logits.shape[1], 2))


def pixel_entropy(logits: Tensor) -> Tensor:
    """Compute each pixel's entropy in nats from logits N×C×h×w; N×h×w."""
    log_p = torch.log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)
