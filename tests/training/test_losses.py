"""The losses of MESS eq. 2 and 3, on numbers worked out by hand."""

from math import exp, log
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from offramp.training.losses import (
    Teacher,
    cross_entropy,
    distillation,
    enet_weights,
    turns,
)
from offramp.training.recipe import Distillation

TEACHER = torch.tensor([[2.0, 0.0], [0.0, 1.0]]).t().reshape(1, 2, 1, 2)
STUDENT = torch.tensor([[1.0, 0.0], [0.5, 0.0]]).t().reshape(1, 2, 1, 2)
LABELS = torch.tensor([[[0, 0]]])
"""Two pixels of class 0: the teacher is right at the first and wrong at the second."""


def log_softmax(a: float, b: float) -> tuple[float, float]:
    total = log(exp(a) + exp(b))
    return a - total, b - total


def divergence(student: tuple[float, float], teacher: tuple[float, float]) -> float:
    p, q = log_softmax(*student), log_softmax(*teacher)
    return sum(exp(a) * (a - b) for a, b in zip(p, q, strict=True))


def distilled(student: Tensor, alpha: float, labels: Tensor = LABELS) -> Tensor:
    teacher = Teacher.of(TEACHER, labels, 255)
    return distillation(student, teacher, Distillation(alpha=alpha))


def test_the_teacher_is_right_where_its_best_class_is_the_truth() -> None:
    assert Teacher.of(TEACHER, LABELS, 255).right.tolist() == [[[1.0, 0.0]]]


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_distillation_by_hand(alpha: float) -> None:
    ce_first = -log_softmax(1, 0)[0]  # the second pixel is filtered out
    kl = divergence((1, 0), (2, 0)) + divergence((0.5, 0), (0, 1))
    expected = (alpha * ce_first + (1 - alpha) * kl) / 2
    assert distilled(STUDENT, alpha).item() == pytest.approx(expected, rel=1e-6)


def test_an_ignored_pixel_counts_neither_above_nor_below() -> None:
    labels = torch.tensor([[[0, 255]]])
    expected = 0.5 * -log_softmax(1, 0)[0] + 0.5 * divergence((1, 0), (2, 0))
    assert distilled(STUDENT, 0.5, labels).item() == pytest.approx(expected, rel=1e-6)


def gradient(alpha: float, labels: Tensor = LABELS) -> Tensor:
    student = STUDENT.clone().requires_grad_()
    distilled(student, alpha, labels).backward()
    assert student.grad is not None
    return student.grad[0, :, 0]  # C×W


def test_a_filtered_pixel_gets_no_gradient_of_the_truth() -> None:
    grad = gradient(alpha=1.0)
    assert grad[:, 1].tolist() == [0.0, 0.0]
    assert grad[:, 0].abs().min() > 0


def test_a_filtered_pixel_still_learns_from_the_teacher() -> None:
    assert gradient(alpha=0.5)[:, 1].abs().min() > 0


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_an_ignored_pixel_gets_no_gradient_at_all(alpha: float) -> None:
    grad = gradient(alpha, torch.tensor([[[255, 0]]]))
    assert grad[:, 0].tolist() == [0.0, 0.0]


def test_the_teacher_gets_no_gradient() -> None:
    teacher_logits = TEACHER.clone().requires_grad_()
    teacher = Teacher.of(teacher_logits, LABELS, 255)
    student = STUDENT.clone().requires_grad_()
    distillation(student, teacher, Distillation(alpha=0.5)).backward()
    assert teacher_logits.grad is None
    assert not teacher.log_p.requires_grad


def test_a_student_that_says_what_its_teacher_says_diverges_by_nothing() -> None:
    assert distilled(TEACHER.clone(), 0.0).item() == pytest.approx(0.0, abs=1e-7)


def test_class_weights_weigh_the_truth_alone() -> None:
    teacher = Teacher.of(TEACHER, LABELS, 255)
    weights = torch.tensor([3.0, 1.0])
    weighed = distillation(STUDENT, teacher, Distillation(alpha=1.0), weights)
    assert weighed.item() == pytest.approx(3 * distilled(STUDENT, 1.0).item())
    weighed = distillation(STUDENT, teacher, Distillation(alpha=0.0), weights)
    assert weighed.item() == pytest.approx(distilled(STUDENT, 0.0).item())


def test_a_batch_without_valid_pixels_gives_zero_and_no_nan() -> None:
    labels = torch.full((1, 1, 2), 255)
    student = STUDENT.clone().requires_grad_()
    for loss in (distilled(student, 0.5, labels), cross_entropy(student, labels, 255)):
        (grad,) = torch.autograd.grad(loss, student)
        assert loss.item() == 0.0
        assert torch.equal(grad, torch.zeros_like(grad))


def test_cross_entropy_is_torch_s_mean_over_valid_pixels() -> None:
    logits = torch.randn(2, 3, 4, 5)
    labels = torch.randint(0, 3, (2, 4, 5))
    labels[0, :2] = 255
    expected = F.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(cross_entropy(logits, labels, 255), expected)


def test_logits_are_enlarged_to_the_labels() -> None:
    logits = torch.randn(1, 3, 2, 3)
    labels = torch.randint(0, 3, (1, 8, 12))
    enlarged = F.interpolate(logits, (8, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        cross_entropy(logits, labels, 255), F.cross_entropy(enlarged, labels)
    )
    teacher = Teacher.of(logits, labels, 255)
    assert teacher.log_p.shape == (1, 3, 8, 12)
    assert distillation(logits, teacher, Distillation(alpha=0.0)).item() == pytest.approx(
        0, abs=1e-6
    )


def test_early_exits_take_turns() -> None:
    assert [turns(step, 3, "exit-aware") for step in range(4)] == [(0,), (1,), (2,), (0,)]


def test_rare_classes_weigh_more_as_enet_has_it() -> None:
    weights = enet_weights([90, 10, 0])
    raw = torch.tensor([1 / log(1.02 + share) for share in (0.9, 0.1, 0.0)])
    torch.testing.assert_close(weights, raw / raw.mean())
    assert weights.dtype == torch.float32
    assert weights.mean().item() == pytest.approx(1.0)


def test_weights_of_nothing_are_even() -> None:
    assert enet_weights([0, 0]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("direction", ["student", "teacher"])
@pytest.mark.parametrize("loss", ["pfd", "self-distillation", "kd", "ce"])
def test_every_loss_by_hand(loss: Any, direction: Any) -> None:
    pairs = [
        ((1.0, 0.0), (2.0, 0.0)),
        ((0.5, 0.0), (0.0, 1.0)),
    ]  # student and teacher, a pixel each
    ce = [-log_softmax(*student)[0] for student, _ in pairs]
    order = slice(None) if direction == "student" else slice(None, None, -1)
    kl = [divergence(*pair[order]) for pair in pairs]
    pixels = {
        "pfd": [0.3 * ce[0] + 0.7 * kl[0], 0.7 * kl[1]],
        "self-distillation": [0.3 * c + 0.7 * k for c, k in zip(ce, kl, strict=True)],
        "kd": kl,
        "ce": ce,
    }[loss]
    how = Distillation(loss=loss, alpha=0.3, divergence=direction)
    found = distillation(STUDENT, Teacher.of(TEACHER, LABELS, 255), how)
    assert found.item() == pytest.approx(sum(pixels) / 2, rel=1e-6)


def test_the_literal_formula_and_the_other_schemes_choose_their_exits() -> None:
    assert [turns(j - 1, 3, "exit-aware-literal") for j in (1, 2, 3, 6)] == [
        (0,), (0, 1), (0, 2), (0, 1, 2)
    ]  # fmt: skip
    assert turns(5, 3, "end-to-end") == (0, 1, 2)
    assert turns(5, 3, "plain") == turns(5, 0, "exit-aware") == ()
