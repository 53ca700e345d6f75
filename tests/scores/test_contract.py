"""Every score keeps to the contract."""

from math import log, sqrt

import numpy as np
import pytest

from offramp.core.score import ScoreSpec, class_scores
from offramp.scores import Context
from tests.contracts.score import (
    INPUT,
    ScoreContract,
    befores,
    plain_confidence,
    plain_entropy,
)
from tests.scores import plain


def specs(*names: str) -> tuple[ScoreSpec, ...]:
    return tuple(ScoreSpec.parse(name) for name in names)


class TestMean(ScoreContract):
    SPECS = specs("mean-top1", "mean-entropy")

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        return float(plain_confidence(spec, logits).mean())


class TestEntropy(ScoreContract):
    SPECS = specs("entropy")

    def highest(self, classes: int) -> float:
        return log(classes)

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        return float(plain_entropy(logits).mean())


class TestCoverage(ScoreContract):
    SPECS = specs("coverage-top1@0.6", "coverage-top1@0.9", "coverage-entropy@0.5")

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        return plain.share_from(plain_confidence(spec, logits), spec.pixel_threshold)


class TestEdge(ScoreContract):
    SPECS = specs("edge-top1@0.7", "edge-top1@0.9", "edge-entropy@0.4")

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        return plain.edge_coverage(spec, logits, reach=1, window=5)


class TestSpectrum(ScoreContract):
    SPECS = specs("fft")

    def highest(self, classes: int) -> float:
        return sqrt(0.5)

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        return plain.roughness(logits.argmax(axis=0))


class TestClass(ScoreContract):
    SPECS = class_scores(3)
    NAMELESS = False

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        theirs = plain_confidence(spec, logits)[logits.argmax(axis=0) == spec.label]
        return float(theirs.mean()) if theirs.size else 1.0


class TestAgreement(ScoreContract):
    SPECS = specs("exit-agreement", "frame-agreement")

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        before = befores(context)[0 if spec.needs == "exit" else 1][0].numpy()
        return plain.agreement(logits.argmax(axis=0), before)


class TestFull(ScoreContract):
    SPECS = specs(
        "mean-top1-full",
        "mean-entropy-full",
        "entropy-full",
        "coverage-top1@0.9-full",
        "edge-top1@0.9-full",
        "fft-full",
    )

    def highest(self, classes: int) -> float:
        return log(classes)

    def plainly(self, spec: ScoreSpec, logits: np.ndarray, context: Context) -> float:
        stride = round(INPUT[0] / logits.shape[1])
        if stride > 10:  # scipy would sort a large window around each pixel
            return float("nan")
        logits = plain.enlarge(logits, INPUT)
        top = np.sort(logits, axis=0)
        if (top[-1] - top[-2]).min() < 1e-5:
            return float("nan")
        if spec.reduce == "fft":
            return plain.roughness(logits.argmax(axis=0))
        if spec.reduce == "edge":
            return plain.edge_coverage(spec, logits, stride // 2, 4 * stride + 1)
        if spec.reduce == "coverage":
            return plain.share_from(plain_confidence(spec, logits), spec.pixel_threshold)
        if spec.reduce == "entropy":
            return float(plain_entropy(logits).mean())
        return float(plain_confidence(spec, logits).mean())

    def test_it_is_what_numpy_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = [(5, 7), (8, 7), (4, 8), (5, 14), (5, 8)]
        monkeypatch.setattr("tests.contracts.score.SIZES", sizes)
        super().test_it_is_what_numpy_says()
