"""Which number an exit's prediction is boiled down to, and which way it points.

Names: `mean-top1`, `mean-entropy`, `coverage-top1@0.9`, `coverage-entropy@0.8`, `entropy`.
The first four are confidences in [0, 1], where more is surer; `entropy` is the mean entropy in
nats (VIDEO §3.4.4), where less is surer. The arithmetic is in `offramp.scores`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from offramp.core.errors import UnknownName

PIXEL_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Pixel thresholds at which coverage (MESS eq. 7) is recorded."""

_COVERAGE = re.compile(r"coverage-(top1|entropy)@(0\.\d+)")


@dataclass(frozen=True)
class ScoreSpec:
    """One image-level score.

    Attributes:
        reduce: "mean" or "coverage" of a per-pixel confidence, or "entropy" (its mean).
        confidence: per-pixel confidence: "top1" probability, or 1 − entropy / log M ("entropy").
        pixel_threshold: a pixel counts as covered from this confidence on; 0 for other scores.
    """

    reduce: Literal["mean", "coverage", "entropy"]
    confidence: Literal["top1", "entropy"] = "top1"
    pixel_threshold: float = 0.0

    @property
    def name(self) -> str:
        """The name under which traces, plans and bundles hold the score."""
        if self.reduce == "entropy":
            return "entropy"
        at = f"@{self.pixel_threshold:g}" if self.reduce == "coverage" else ""
        return f"{self.reduce}-{self.confidence}{at}"

    @property
    def more_is_surer(self) -> bool:
        """Tell whether an exit is taken from the threshold up (else from it down)."""
        return self.reduce != "entropy"

    @classmethod
    def parse(cls, name: str) -> "ScoreSpec":
        """Read a name.

        Raises:
            UnknownName: there is no such score.
        """
        plain = {spec.name: spec for spec in PLAIN}
        if name in plain:
            return plain[name]
        match = _COVERAGE.fullmatch(name)
        if match is None:
            raise UnknownName("score", name, [spec.name for spec in RECORDED])
        confidence: Literal["top1", "entropy"] = "top1" if match[1] == "top1" else "entropy"
        return cls("coverage", confidence, float(match[2]))


PLAIN = (ScoreSpec("mean", "top1"), ScoreSpec("mean", "entropy"), ScoreSpec("entropy", "entropy"))

RECORDED: tuple[ScoreSpec, ...] = PLAIN + tuple(
    ScoreSpec("coverage", "top1", threshold) for threshold in PIXEL_THRESHOLDS
)
"""The scores that a trace holds of every exit."""
