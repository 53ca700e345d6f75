"""The losses of both stages; logits N×C×h×w against labels N×H×W."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from offramp.models.layers import resized


def cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int, weights: Tensor | None = None
) -> Tensor:
    """Average the cross-entropy over the pixels that count; logits are enlarged to the labels.

    Ignored pixels count nowhere; a batch without any other gives 0.
    """
    log_p = _log_softmax(logits, labels)
    return _mean(_pixel_ce(log_p, labels, ignore_index, weights), labels != ignore_index)


@dataclass(frozen=True)
class Teacher:
    """What the final exit says of a batch: computed once, shared by all heads that learn from it.

    Attributes:
        log_p: log-probabilities N×C×H×W.
        labels: true classes N×H×W.
        right: 1 where the final exit is right, else 0; N×H×W.
        ignore_index: label that counts nowhere.
    """

    log_p: Tensor
    labels: Tensor
    right: Tensor
    ignore_index: int

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, ignore_index: int) -> "Teacher":
        """Read the final exit's logits N×C×h×w; no gradient flows back into them."""
        log_p = _log_softmax(logits.detach(), labels)
        right = (log_p.max(dim=1).indices == labels).to(log_p.dtype)
        return cls(log_p, labels, right, ignore_index)


def positive_filtering_distillation(
    logits: Tensor, teacher: Teacher, alpha: float, weights: Tensor | None = None
) -> Tensor:
    """Distil the final exit into an early one (MESS eq. 3), averaged over the pixels that count.

    α · 1[final exit is right here] · CE(yᵢ, truth) + (1 − α) · KL(yᵢ‖y_N), with
    KL(yᵢ‖y_N) = Σ yᵢ (log yᵢ − log y_N). The paper writes L_KL(yᵢ, y_N) and leaves the
    direction open; this is the reading that keeps its order.

    Args:
        logits: the early exit's, N×C×h×w.
        teacher: the final exit's answer to the same batch.
        alpha: weight of the ground truth.
        weights: class weights of the cross-entropy, shape C.
    """
    log_p = _log_softmax(logits, teacher.labels)
    truth = teacher.right * _pixel_ce(log_p, teacher.labels, teacher.ignore_index, weights)
    divergence = (log_p.exp() * (log_p - teacher.log_p)).sum(dim=1)  # N×H×W
    counts = teacher.labels != teacher.ignore_index
    return _mean(alpha * truth + (1 - alpha) * divergence, counts)


def round_robin(step: int, exits: int) -> int:
    """Choose the early exit that trains at this step; the others are dropped (MESS §4.3)."""
    return step % exits


def enet_weights(counts: Sequence[int]) -> Tensor:
    """Weigh classes by 1 / log(1.02 + share), scaled to mean 1; `counts` are pixels a class."""
    share = torch.tensor(counts, dtype=torch.float64)
    weights = 1.0 / torch.log(1.02 + share / share.sum().clamp(min=1))
    return (weights / weights.mean()).float()


def _log_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Enlarge logits to the labels' size; log-probabilities N×C×H×W."""
    size = (int(labels.shape[-2]), int(labels.shape[-1]))
    return torch.log_softmax(resized(logits, size), dim=1)


def _pixel_ce(log_p: Tensor, labels: Tensor, ignore_index: int, weights: Tensor | None) -> Tensor:
    """Compute the cross-entropy of each pixel, 0 where ignored; N×H×W."""
    return F.nll_loss(log_p, labels, weight=weights, ignore_index=ignore_index, reduction="none")


def _mean(pixels: Tensor, counts: Tensor) -> Tensor:
    """Average N×H×W over the pixels that count; 0 if none does."""
    counted = counts.to(pixels.dtype)
    return (pixels * counted).sum() / counted.sum().clamp(min=1)
