"""Intersections and unions against scikit-learn, and the two mIoUs against known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score

from offramp.metrics.confusion import intersections_unions, iou, mean_iou


def labelled(seed: int, classes: int, ignored: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (9, 13)).astype(np.uint8)
    answer = rng.integers(0, classes, (9, 13)).astype(np.uint8)
    truth[rng.random(truth.shape) < ignored] = 255
    return answer, truth


@given(st.integers(0, 2**32), st.integers(2, 21), st.sampled_from([0.0, 0.3]))
def test_counts_are_those_of_scikit_learn(seed: int, classes: int, ignored: float) -> None:
    answer, truth = labelled(seed, classes, ignored)
    inter, union = intersections_unions(answer, truth, classes)
    valid = truth != 255
    matrix = confusion_matrix(truth[valid], answer[valid], labels=range(classes))
    assert inter.tolist() == matrix.diagonal().tolist()
    assert union.tolist() == (matrix.sum(0) + matrix.sum(1) - matrix.diagonal()).tolist()


def test_dataset_miou_is_the_macro_jaccard_of_all_pixels() -> None:
    pairs = [labelled(seed, 4, 0.1) for seed in range(5)]
    inter, union = np.sum([intersections_unions(a, t, 4) for a, t in pairs], axis=0)
    answers = np.concatenate([a[t != 255] for a, t in pairs])
    truths = np.concatenate([t[t != 255] for a, t in pairs])
    assert mean_iou(inter, union) == pytest.approx(jaccard_score(truths, answers, average="macro"))


def test_counts_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 2, 255]], dtype=np.uint8)
    answer = np.array([[0, 1, 1], [1, 0, 2]], dtype=np.uint8)
    inter, union = intersections_unions(answer, truth, 3)
    assert inter.tolist() == [1, 2, 0]
    assert union.tolist() == [3, 3, 1]


def test_another_ignore_index_counts_nowhere() -> None:
    truth = np.array([[0, 0, 3]], dtype=np.uint8)
    answer = np.array([[0, 1, 1]], dtype=np.uint8)
    inter, union = intersections_unions(answer, truth, 3, ignore_index=3)
    assert (inter.tolist(), union.tolist()) == ([1, 0, 0], [2, 1, 0])


def test_a_class_in_use_may_be_ignored() -> None:
    truth = np.array([[0, 0, 1]], dtype=np.uint8)
    answer = np.array([[0, 1, 1]], dtype=np.uint8)
    inter, union = intersections_unions(answer, truth, 2, ignore_index=0)
    assert (inter.tolist(), union.tolist()) == ([0, 1], [0, 1])


def test_dataset_and_per_image_miou_differ_as_worked_out_by_hand() -> None:
    # Image 1 has class 0: 1 of 1 and class 1: 0 of 1. Image 2 has class 0: 1 of 3, no class 1.
    inter, union = np.array([[1, 0], [1, 0]]), np.array([[1, 1], [3, 0]])
    assert mean_iou(inter.sum(0), union.sum(0)) == pytest.approx((2 / 4 + 0 / 1) / 2)
    per_image = mean_iou(inter, union)
    assert per_image.tolist() == pytest.approx([1 / 2, 1 / 3])
    assert per_image.mean() != pytest.approx(0.25)


def test_an_absent_class_is_left_out_of_the_mean() -> None:
    inter, union = np.array([4, 0, 1]), np.array([4, 0, 2])
    assert mean_iou(inter, union) == pytest.approx(0.75)
    assert np.isnan(iou(inter, union)).tolist() == [False, True, False]


def test_a_class_that_is_answered_wrongly_is_not_absent() -> None:
    truth, answer = np.zeros((2, 2), dtype=np.uint8), np.ones((2, 2), dtype=np.uint8)
    assert mean_iou(*intersections_unions(answer, truth, 2)) == 0.0


def test_an_image_without_a_valid_pixel_has_no_miou() -> None:
    truth = np.full((4, 4), 255, dtype=np.uint8)
    counts = intersections_unions(np.zeros_like(truth), truth, 2)
    assert np.isnan(mean_iou(*counts))
    assert np.isnan(iou(*counts)).all()
