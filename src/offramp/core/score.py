"""Which number an exit's prediction is boiled down to, and which way it points.

Names are what traces, plans and bundles hold: `mean-top1`, `mean-entropy`, `coverage-top1@0.9`,
`edge-top1@0.9` and their kin, `entropy`, `fft`, each also with the suffix `-full`;
`class-top1#2`, `exit-agreement`, `frame-agreement`, and the learned `classifier`, `regressor`
and `exit-choice`. The arithmetic is in `offramp.scores`, the networks in
`offramp.models.auxiliary`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from offramp.core.errors import UnknownName

PIXEL_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Pixel thresholds at which coverage (MESS eq. 7) is recorded."""

EDGE_THRESHOLDS = (0.7, 0.8, 0.9, 0.95)
"""Pixel thresholds at which edge-aware coverage (MESS eq. 8-9) is recorded."""

EXIT_AGREEMENT, FRAME_AGREEMENT = "exit-agreement", "frame-agreement"
"""Names of the scores that compare with the previous exit's, and previous frame's, answer."""

Confidence = Literal["top1", "entropy"]
Direction = Literal["up", "down", "range"]
Reduce = Literal[
    "mean",
    "coverage",
    "edge",
    "entropy",
    "fft",
    "class",
    "exit-agreement",
    "frame-agreement",
    "classifier",
    "regressor",
    "exit-choice",
]

_AT_THRESHOLD = re.compile(r"(coverage|edge)-(top1|entropy)@(0\.\d+)(-full)?")
_OF_CLASS = re.compile(r"class-top1#(\d+)")


@dataclass(frozen=True)
class ScoreSpec:
    """One image-level score.

    Attributes:
        reduce: what becomes of the prediction. "mean" and "coverage" of a per-pixel confidence,
            "edge": coverage that is aware of edges, "entropy": its mean, "fft": the spectrum of
            the labels, "class": the mean confidence of one class, agreement with other labels,
            or a learned network's word.
        confidence: per-pixel confidence: "top1" probability, or 1 − entropy / log M ("entropy").
        pixel_threshold: a pixel counts as covered from this confidence on; 0 for other scores.
        full: computed at the network's input size, as the papers do, instead of the output stride.
        label: the class of a "class" score; 0 for others.
    """

    reduce: Reduce
    confidence: Confidence = "top1"
    pixel_threshold: float = 0.0
    full: bool = False
    label: int = 0

    @property
    def name(self) -> str:
        """The name under which traces, plans and bundles hold the score."""
        return self._stem + ("-full" if self.full else "")

    @property
    def _stem(self) -> str:
        if self.reduce == "mean":
            return f"mean-{self.confidence}"
        if self.reduce in ("coverage", "edge"):
            return f"{self.reduce}-{self.confidence}@{self.pixel_threshold:g}"
        return f"class-top1#{self.label}" if self.reduce == "class" else self.reduce

    @property
    def direction(self) -> Direction:
        """Where surer answers lie: "up", "down", or within a "range" (VIDEO §3.5.1)."""
        if self.reduce == "fft":
            return "range"
        return "down" if self.reduce == "entropy" else "up"

    @property
    def more_is_surer(self) -> bool:
        """Tell whether one threshold takes an exit from it up (else from it down).

        Of a range score, one threshold is its upper end: jitter is the common fault.
        """
        return self.direction == "up"

    @property
    def needs(self) -> Literal["", "exit", "frame"]:
        """Whose answer it is compared with: the previous exit's, the previous frame's, or none."""
        if self.reduce == "exit-agreement":
            return "exit"
        return "frame" if self.reduce == "frame-agreement" else ""

    @property
    def learned(self) -> bool:
        """Tell whether a trained network computes it (VIDEO §3.5.2)."""
        return self.reduce in ("classifier", "regressor", "exit-choice")

    @classmethod
    def parse(cls, name: str) -> "ScoreSpec":
        """Read a name.

        Raises:
            UnknownName: there is no such score.
        """
        if name in _NAMED:
            return _NAMED[name]
        if match := _OF_CLASS.fullmatch(name):
            return cls("class", label=int(match[1]))
        match = _AT_THRESHOLD.fullmatch(name)
        if match is None:
            raise UnknownName("score", name, _NAMED)
        reduce: Reduce = "coverage" if match[1] == "coverage" else "edge"
        confidence: Confidence = "top1" if match[2] == "top1" else "entropy"
        return cls(reduce, confidence, float(match[3]), full=match[4] is not None)


def class_scores(classes: int) -> tuple[ScoreSpec, ...]:
    """List the mean confidence of each of `classes` classes, for thresholds by class."""
    return tuple(ScoreSpec("class", label=label) for label in range(classes))


PLAIN = (ScoreSpec("mean", "top1"), ScoreSpec("mean", "entropy"), ScoreSpec("entropy", "entropy"))

RECORDED: tuple[ScoreSpec, ...] = (
    *PLAIN,
    *(ScoreSpec("coverage", "top1", threshold) for threshold in PIXEL_THRESHOLDS),
    *(ScoreSpec("edge", "top1", threshold) for threshold in EDGE_THRESHOLDS),
    ScoreSpec("fft"),
)
"""The scores that a trace holds of every exit: cheap, and of the exit's own answer alone."""

LEARNED = (ScoreSpec("classifier"), ScoreSpec("regressor"), ScoreSpec("exit-choice"))
"""The scores that an auxiliary network computes (VIDEO §3.5.2); recorded once it is trained."""

_OTHERS = (
    *class_scores(1),
    ScoreSpec("exit-agreement"),
    ScoreSpec("frame-agreement"),
    *LEARNED,
)
_TWINS = tuple(
    ScoreSpec(spec.reduce, spec.confidence, spec.pixel_threshold, full=True) for spec in RECORDED
)
_NAMED = {spec.name: spec for spec in (*RECORDED, *_OTHERS, *_TWINS)}
