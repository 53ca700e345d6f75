"""Scores against plain numpy, one pixel formula at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.score import RECORDED, ScoreSpec
from offramp.scores import pixel_confidence, score

ALL = [*RECORDED, ScoreSpec("coverage", "entropy", 0.5)]


def plainly(spec: ScoreSpec, logits: np.ndarray) -> float:
    """Compute the score of one image's logits C×h×w in float64."""
    x = logits.astype(np.float64)
    e = np.exp(x - x.max(axis=0))
    p = e / e.sum(axis=0)
    entropy = -np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0), axis=0)
    if spec.reduce == "entropy":
        return float(entropy.mean())
    top = p.max(axis=0)
    confidence = top if spec.confidence == "top1" else 1 - entropy / np.log(len(x))
    if spec.reduce == "mean":
        return float(confidence.mean())
    assert np.abs(confidence - spec.pixel_threshold).min() > 1e-6, "too close to call"
    return float((confidence >= spec.pixel_threshold).mean())


def some_logits(seed: int, classes: int = 4, images: int = 3, scale: float = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(images, classes, 5, 7, generator=generator)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 21), st.sampled_from([0.1, 3.0, 40.0]))
@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
def test_a_score_is_what_numpy_says(spec: ScoreSpec, seed: int, classes: int, scale: float) -> None:
    logits = some_logits(seed, classes, scale=scale)
    try:
        expected = [plainly(spec, image.numpy()) for image in logits]
    except AssertionError:
        return
    assert score(spec, logits).numpy() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
def test_a_score_does_not_depend_on_the_batch(spec: ScoreSpec) -> None:
    logits = some_logits(1, images=6)
    alone = torch.cat([score(spec, image[None]) for image in logits])
    assert score(spec, logits).shape == (6,)
    torch.testing.assert_close(score(spec, logits), alone, rtol=0, atol=1e-7)


def test_coverage_counts_the_pixels_from_the_threshold_up() -> None:
    p = torch.tensor([0.5, 0.7, 0.9, 0.99]).view(1, 1, 2, 2)
    logits = torch.cat([p, 1 - p], dim=1).log()
    assert score(ScoreSpec("coverage", "top1", 0.8), logits).item() == 0.5
    assert score(ScoreSpec("coverage", "top1", 0.95), logits).item() == 0.25


def test_a_sure_answer_scores_one_and_has_no_entropy() -> None:
    logits = torch.tensor([1000.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert score(ScoreSpec("mean", "top1"), logits).item() == 1.0
    assert score(ScoreSpec("mean", "entropy"), logits).item() == 1.0
    assert score(ScoreSpec("entropy", "entropy"), logits).item() == 0.0


def test_an_unsure_answer_scores_least() -> None:
    logits = torch.zeros(1, 4, 2, 2)
    assert score(ScoreSpec("mean", "top1"), logits).item() == pytest.approx(0.25)
    assert score(ScoreSpec("mean", "entropy"), logits).item() == pytest.approx(0.0, abs=1e-6)
    assert score(ScoreSpec("entropy", "entropy"), logits).item() == pytest.approx(np.log(4))


def test_one_class_divides_by_nothing() -> None:
    assert torch.isfinite(pixel_confidence(torch.zeros(1, 1, 2, 2), "entropy")).all()
