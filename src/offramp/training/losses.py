"""The losses of both stages; logits N×C×h×w against labels N×H×W."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from offramp.models.layers import resized
from offramp.training.recipe import Distillation


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


def distillation(
    logits: Tensor, teacher: Teacher, how: Distillation, weights: Tensor | None = None
) -> Tensor:
    """Teach an early exit by the truth and by the final exit, averaged over pixels that count.

    With CE = CE(yᵢ, truth), KL between the two exits and α = `how.alpha`, `how.loss` chooses:

        pfd                α · 1[final exit is right here] · CE + (1 − α) · KL   (MESS eq. 3)
        self-distillation  α · CE + (1 − α) · KL                                 (MESS table 6)
        kd                 KL                                                    (MESS table 6)
        ce                 CE                                                    (MESS table 6)

    KL is KL(yᵢ‖y_N) = Σ yᵢ (log yᵢ − log y_N), or KL(y_N‖yᵢ) where `how.divergence` says
    "teacher". The paper writes L_KL(yᵢ, y_N) and leaves the direction open; the first reading
    keeps its order and is the default.

    Args:
        logits: the early exit's, N×C×h×w.
        teacher: the final exit's answer to the same batch.
        how: which loss.
        weights: class weights of the cross-entropy, shape C.
    """
    log_p = _log_softmax(logits, teacher.labels)
    truth = _pixel_ce(log_p, teacher.labels, teacher.ignore_index, weights)
    if how.loss == "pfd":
        truth = teacher.right * truth
    share = {"kd": 0.0, "ce": 1.0}.get(how.loss, how.alpha)
    pixels = share * truth
    if share < 1:
        pixels = pixels + (1 - share) * _divergence(log_p, teacher.log_p, how.divergence)
    return _mean(pixels, teacher.labels != teacher.ignore_index)


def turns(step: int, exits: int, scheme: str) -> tuple[int, ...]:
    """Choose the early exits, of so many, that train at a step; the others are dropped.

    exit-aware          one, round robin: the prose of MESS §4.3
    exit-aware-literal  every exit i for which j mod i = 0, at batch j from 1: MESS eq. 2
    end-to-end          all (VIDEO §3.2, §4.2)
    plain               none
    """
    if scheme == "exit-aware":
        return (step % exits,) if exits else ()
    if scheme == "exit-aware-literal":
        return tuple(i - 1 for i in range(1, exits + 1) if (step + 1) % i == 0)
    return tuple(range(exits)) if scheme == "end-to-end" else ()


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


def _divergence(student: Tensor, teacher: Tensor, direction: str) -> Tensor:
    """Compute the Kullback-Leibler divergence of each pixel from log-probabilities; N×H×W."""
    p, q = (student, teacher) if direction == "student" else (teacher, student)
    return (p.exp() * (p - q)).sum(dim=1)


def _mean(pixels: Tensor, counts: Tensor) -> Tensor:
    """Average N×H×W over the pixels that count; 0 if none does."""
    counted = counts.to(pixels.dtype)
    return (pixels * counted).sum() / counted.sum().clamp(min=1)
