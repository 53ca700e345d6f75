"""Scores by hand, and what is asked of them that cannot be answered."""

import numpy as np
import pytest
import torch

from offramp.core.errors import BadInput
from offramp.core.score import RECORDED, ScoreSpec, class_scores
from offramp.scores import Context, pixel_confidence, pixel_entropy, score, scores

LOGITS = 3 * torch.randn(3, 4, 5, 7, generator=torch.Generator().manual_seed(0))


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
    logits = torch.zeros(1, 1, 2, 2)
    assert torch.isfinite(pixel_confidence(logits, "entropy")).all()
    for name, value in scores([*RECORDED, *class_scores(2)], logits).items():
        assert torch.isfinite(value).all(), name


def test_pixel_values_are_those_of_torch() -> None:
    p = torch.softmax(LOGITS, dim=1)
    torch.testing.assert_close(pixel_confidence(LOGITS, "top1"), p.amax(dim=1))
    expected = torch.distributions.Categorical(probs=p.movedim(1, -1)).entropy()
    torch.testing.assert_close(pixel_entropy(LOGITS), expected, rtol=1e-4, atol=1e-5)


def test_one_of_many_is_the_one_alone() -> None:
    many = scores(RECORDED, LOGITS)
    assert list(many) == [spec.name for spec in RECORDED]
    for spec in RECORDED:
        assert torch.equal(many[spec.name], score(spec, LOGITS))


def test_an_absent_class_holds_nobody_back() -> None:
    logits = torch.zeros(1, 3, 2, 3)
    logits[:, 0], logits[:, 2, 0] = 2.0, 5.0
    by_class = scores(class_scores(3), logits)
    assert by_class["class-top1#1"].item() == 1.0
    assert by_class["class-top1#0"].item() == pytest.approx(np.exp(2) / (np.exp(2) + 2))
    sure = np.exp(5) / (np.exp(5) + np.exp(2) + 1)
    assert by_class["class-top1#2"].item() == pytest.approx(sure)


def test_agreement_looks_at_the_cell_that_the_corner_lies_in() -> None:
    logits = torch.zeros(1, 2, 1, 4)
    logits[:, 1, :, 2:] = 1.0  # labels 0 0 1 1
    for other, share in [([0, 1], 1.0), ([1, 1], 0.5), ([0, 0, 1], 0.75), ([1, 0, 1, 1], 0.75)]:
        before = torch.tensor(other).view(1, 1, -1)
        for name in ("exit", "frame"):
            context = Context(**{f"{name}_before": before.to(torch.uint8)})
            spec = ScoreSpec.parse(f"{name}-agreement")
            assert score(spec, logits, context).item() == share, other


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mean-top1-full", "height and width of the network's input; expected Context.size"),
        ("exit-agreement", "labels of the previous exit; expected Context.exit_before"),
        ("frame-agreement", "labels of the previous frame; expected Context.frame_before"),
        ("classifier", "'classifier' is learned"),
        ("regressor", "'regressor' is learned"),
    ],
)
def test_what_lacks_is_named(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        score(ScoreSpec.parse(name), LOGITS)
