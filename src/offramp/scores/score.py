"""Scores of a prediction by their specifications: logits N×C×h×w to one number an image."""

from collections.abc import Iterable

from torch import Tensor
from torch.nn import functional as F

from offramp.core.errors import BadInput
from offramp.core.score import ScoreSpec
from offramp.scores.agreement import agreement
from offramp.scores.context import Context
from offramp.scores.edges import covered
from offramp.scores.prediction import Prediction
from offramp.scores.spectrum import mean_magnitude
from offramp.scores.steps import at_least, positive

_NOTHING = Context()


def score(spec: ScoreSpec, logits: Tensor, context: Context = _NOTHING) -> Tensor:
    """Compute one image-level score from logits N×C×h×w; shape N.

    Raises:
        BadInput: see `scores`.
    """
    return scores([spec], logits, context)[spec.name]


def scores(
    specs: Iterable[ScoreSpec], logits: Tensor, context: Context = _NOTHING
) -> dict[str, Tensor]:
    """Compute several scores by name, each of shape N; what they share is computed once.

    "mean" averages the confidence of the pixels (MESS's classification-style baseline),
    "coverage" is the share of pixels at or above the pixel threshold (MESS eq. 7), "edge" the
    same after pixels near edges took their surroundings' median (eq. 8-9), "entropy" the mean
    entropy in nats (VIDEO §3.4.4), "fft" the roughness of the labels (VIDEO §3.5.1), "class" the
    mean top-1 confidence of one class's pixels, 1 if there is none; agreement is the share of
    cells that the previous exit or frame labelled alike (VIDEO §3.5.3).

    Args:
        specs: which scores.
        logits: N×C×h×w at the head's output stride.
        context: what some of them need beside.

    Raises:
        BadInput: the context lacks what a score needs, or a score is learned.
    """
    own, enlarged, found = Prediction(logits), None, {}
    for spec in specs:
        if spec.full and enlarged is None:
            enlarged = _enlarged(spec, logits, context)
        found[spec.name] = _one(spec, enlarged if spec.full and enlarged else own, context)
    return found


def _one(spec: ScoreSpec, said: Prediction, context: Context) -> Tensor:
    if spec.learned:
        raise BadInput(
            f"the score '{spec.name}' is learned",
            expected="a score that is a formula",
            repair="ask the trained network that computes it",
        )
    if spec.reduce == "fft":
        return mean_magnitude(said.labels, said.classes)
    if spec.reduce == "class":
        return _of_class(said, spec.label)
    if spec.needs:
        before = context.exit_before if spec.needs == "exit" else context.frame_before
        if before is None:
            raise _lacking(spec, f"the labels of the previous {spec.needs}", f"{spec.needs}_before")
        return agreement(said.labels, before)
    return _of_pixels(spec, said).mean(dim=(1, 2, 3))


def _of_pixels(spec: ScoreSpec, said: Prediction) -> Tensor:
    """Compute what is averaged over pixels, N×1×h×w."""
    if spec.reduce == "entropy":
        return said.entropy
    confidence = said.confidence(spec.confidence)
    if spec.reduce == "coverage":
        return at_least(confidence, spec.pixel_threshold)
    if spec.reduce == "edge":
        return covered(confidence, said.edge_band, spec.pixel_threshold, said.stride)
    return confidence


def _of_class(said: Prediction, label: int) -> Tensor:
    """Average top-1 confidence over the pixels of one class; 1 where none has it; shape N."""
    mask = 1 - (said.labels - label).abs().clamp(0, 1)  # N×1×h×w
    count = mask.sum(dim=(1, 2, 3))
    missing = 1 - positive(count)
    return ((mask * said.top1).sum(dim=(1, 2, 3)) + missing) / (count + missing)


def _enlarged(spec: ScoreSpec, logits: Tensor, context: Context) -> Prediction:
    if context.size is None:
        raise _lacking(spec, "height and width of the network's input", "size")
    stride = max(1, round(context.size[0] / int(logits.shape[-2])))
    larger = F.interpolate(logits, size=context.size, mode="bilinear", align_corners=False)
    return Prediction(larger, stride)


def _lacking(spec: ScoreSpec, what: str, key: str) -> BadInput:
    return BadInput(
        f"the score '{spec.name}' needs {what}", expected=f"Context({key}=…)", got="none"
    )
