"""What every score must do; an implementation subclasses `ScoreContract` and says it in numpy."""

import warnings
from math import log
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from offramp.core.score import ScoreSpec
from offramp.runtime.ort import load_graph, share_pool
from offramp.scores import Context, labels, score, scores

SIZES = [(5, 7), (6, 9), (8, 8), (1, 6), (3, 1), (1, 1)]
INPUT = (40, 56)
"""Height and width of the network's input for scores at full resolution."""


class ScoreContract:
    """A score is what plain numpy says, wherever it is computed, of each image alone.

    Attributes:
        SPECS: the scores.
        NAMELESS: renaming the classes changes nothing.
        HIGHEST: the largest that it can be, of C classes.
    """

    SPECS: tuple[ScoreSpec, ...]
    NAMELESS = True

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        """Compute the score of one image's logits C×h×w, float64; NaN: too close to call."""
        raise NotImplementedError

    def highest(self, classes: int) -> float:
        """Give the largest value that the score can take."""
        return 1.0

    def context(self, images: int, seed: int = 0, classes: int = 4) -> Context:
        """Draw what surrounds a prediction."""
        drawn = np.random.default_rng(seed).integers(0, classes, (2, images, 3, 4))
        before, frame = torch.from_numpy(drawn.astype(np.uint8))
        return Context(INPUT, exit_before=before, frame_before=frame)

    def test_it_is_what_numpy_says(self) -> None:
        told = 0
        for seed in range(60):
            classes, scale = (2, 4, 21)[seed % 3], (0.1, 2.0, 6.0, 40.0)[seed % 4]
            logits = smooth(seed, 2, classes, SIZES[seed % 5], scale)
            context = self.context(2, seed, classes)
            got = scores(self.SPECS, logits, context)
            for spec in self.SPECS:
                for n, image in enumerate(logits.numpy().astype(np.float64)):
                    expected = self.plainly(spec, image, only(context, n))
                    if not np.isnan(expected):
                        told += 1
                        assert abs(float(got[spec.name][n]) - expected) < 5e-6, (spec.name, seed)
        assert told > 60

    def test_it_knows_each_image_alone(self) -> None:
        logits, context = smooth(1, 6), self.context(6)
        together = scores(self.SPECS, logits, context)
        for spec in self.SPECS:
            alone = [score(spec, logits[n : n + 1], only(context, n)) for n in range(6)]
            assert together[spec.name].shape == (6,)
            torch.testing.assert_close(together[spec.name], torch.cat(alone), rtol=0, atol=1e-6)

    def test_the_engine_says_what_torch_says(self, tmp_path: Path) -> None:
        for size, classes in [((6, 9), 4), ((1, 1), 3)]:
            context = self.context(1, classes=classes)
            session = exported(self.SPECS, smooth(0, 1, classes, size), context, tmp_path)
            for seed in range(5):
                logits = smooth(seed, 1, classes, size, 5.0)
                expected = scores(self.SPECS, logits, context)
                feed = dict(zip(NAMES, (logits, *befores(context)), strict=True))
                taken = {given.name for given in session.get_inputs()}
                said = session.run(None, {k: v.numpy() for k, v in feed.items() if k in taken})
                for spec, got in zip(self.SPECS, said, strict=True):
                    np.testing.assert_allclose(got, expected[spec.name], rtol=0, atol=1e-5)

    def test_it_keeps_to_its_range(self) -> None:
        for size in SIZES:
            for scale in (0.0, 1.0, 50.0):
                logits = scale * torch.randn(4, 5, *size, generator=generator(3))
                for got in scores(self.SPECS, logits, self.context(4)).values():
                    assert (got >= -1e-6).all()
                    assert (got <= self.highest(5) + 1e-5).all()

    def test_any_finite_logits_give_a_finite_number(self) -> None:
        for extreme in (1e4, 3e38, 1e-40):
            signs = torch.randint(-1, 2, (4, 3, 5, 7), generator=generator(5))
            logits = torch.cat([extreme * signs, torch.full((1, 3, 5, 7), extreme)])
            specs = [spec for spec in self.SPECS if not spec.full or extreme < 1e30]
            for name, got in scores(specs, logits, self.context(5)).items():
                assert torch.isfinite(got).all(), name

    def test_the_order_of_classes_does_not_matter(self) -> None:
        logits = smooth(2, 3, 4)
        order = torch.tensor([2, 0, 3, 1])
        context, renamed = self.context(3), torch.argsort(order)
        other = Context(INPUT, *(renamed[b.long()] for b in befores(context)))
        before, after = (
            scores(self.SPECS, logits, context),
            scores(self.SPECS, logits[:, order], other),
        )
        for name in before if self.NAMELESS else ():
            torch.testing.assert_close(before[name], after[name], rtol=0, atol=1e-6)

    def test_a_sure_answer_is_surer_than_a_jittery_one(self) -> None:
        sure = torch.full((1, 3, 12, 16), -4.0)
        sure[:, 0, :, :9], sure[:, 1, :7, 9:], sure[:, 2, 7:, 9:] = 4.0, 4.0, 4.0
        jittery = 0.3 * sure + torch.randn(sure.shape, generator=generator(4))
        context = Context(INPUT, labels(sure), labels(sure))
        for spec in self.SPECS:
            pair = [float(score(spec, logits, context)) for logits in (sure, jittery)]
            assert (pair[0] > pair[1]) == spec.more_is_surer, (spec.name, pair)
            assert pair[0] != pair[1]


NAMES = ("logits", "exit_before", "frame_before")


class Scores(nn.Module):
    """Scores as the end of a graph."""

    def __init__(self, specs: tuple[ScoreSpec, ...]) -> None:
        super().__init__()
        self.specs = specs

    def forward(self, logits: Tensor, before: Tensor, frame: Tensor) -> tuple[Tensor, ...]:
        return tuple(scores(self.specs, logits, Context(INPUT, before, frame)).values())


def exported(
    specs: tuple[ScoreSpec, ...], logits: Tensor, context: Context, folder: Path
) -> onnxruntime.InferenceSession:
    """Write scores as one ONNX graph and load it; a warning of ours is an error."""
    share_pool()
    file = folder / "scores.onnx"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(torch|onnx|onnxscript|copyreg)\b.*")
        torch.onnx.export(
            Scores(specs).eval(),
            (logits, *befores(context)),
            input_names=list(NAMES),
            opset_version=18,
            dynamo=True,
            verbose=False,
        ).save(str(file))
    return load_graph(file)


def befores(context: Context) -> tuple[Tensor, Tensor]:
    assert context.exit_before is not None
    assert context.frame_before is not None
    return context.exit_before, context.frame_before


def only(context: Context, image: int) -> Context:
    """Keep what surrounds one image."""
    before, frame = befores(context)
    return Context(context.size, before[image : image + 1], frame[image : image + 1])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(
    seed: int,
    images: int,
    classes: int = 4,
    size: tuple[int, int] = (9, 11),
    scale: float = 3.0,
) -> Tensor:
    """Draw logits N×C×h×w whose labels form regions, with some jitter."""
    coarse = torch.randn(images, classes, 3, 4, generator=generator(seed))
    fine = torch.randn(images, classes, *size, generator=generator(seed + 1000))
    regions = nn.functional.interpolate(coarse, size, mode="bilinear")
    return scale * (2 * regions + 0.3 * fine)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Compute softmax over the first axis of C×h×w."""
    powers = np.exp(logits - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def plain_entropy(logits: np.ndarray) -> np.ndarray:
    """Compute the entropy of each cell in nats; h×w."""
    p = probabilities(logits)
    return -np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0), axis=0)


def plain_confidence(spec: ScoreSpec, logits: np.ndarray) -> np.ndarray:
    """Compute the confidence of each cell, h×w."""
    if spec.confidence == "top1":
        return probabilities(logits).max(axis=0)
    return 1 - plain_entropy(logits) / log(len(logits))
