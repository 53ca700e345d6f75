"""Rules: how an exit decides from its scores whether an image stops there.

A plan holds one for each early exit that decides. A score that is no number never stops.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from offramp.core.spec import Spec


class AtLeast(Spec):
    """Stop where a score is at least `threshold` (MESS §5.2).

    Attributes:
        threshold: the score at which the decision turns.
        score: which of the plan's scores decides here, counted from 0.
    """

    kind: Literal["at-least"] = "at-least"
    threshold: float
    score: int = Field(default=0, ge=0)

    def stops(self, scores: Sequence[float]) -> bool:
        """Decide from this exit's scores."""
        return scores[self.score] >= self.threshold

    def __str__(self) -> str:
        return f"≥ {self.threshold:.4g}"


class AtMost(Spec):
    """Stop where a score is at most `threshold` (VIDEO §3.4.4).

    Attributes:
        threshold: the score at which the decision turns.
        score: which of the plan's scores decides here, counted from 0.
    """

    kind: Literal["at-most"] = "at-most"
    threshold: float
    score: int = Field(default=0, ge=0)

    def stops(self, scores: Sequence[float]) -> bool:
        """Decide from this exit's scores."""
        return scores[self.score] <= self.threshold

    def __str__(self) -> str:
        return f"≤ {self.threshold:.4g}"


class Range(Spec):
    """Stop where low ≤ score ≤ high; nowhere if low > high (VIDEO §3.5.1)."""

    kind: Literal["range"] = "range"
    low: float
    high: float

    def stops(self, scores: Sequence[float]) -> bool:
        """Decide from this exit's one score."""
        (score,) = scores
        return self.low <= score <= self.high

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}" if self.low <= self.high else "never"


class Levels(Spec):
    """Stop where every score, such as one a class, is at least its own threshold.

    Attributes:
        thresholds: one for each score.
    """

    kind: Literal["levels"] = "levels"
    thresholds: tuple[float, ...]

    def stops(self, scores: Sequence[float]) -> bool:
        """Compare score by score."""
        return all(score >= least for score, least in zip(scores, self.thresholds, strict=True))

    def __str__(self) -> str:
        return "≥ " + ", ".join(f"{threshold:.3g}" for threshold in self.thresholds)


Edges = tuple[tuple[float, ...], ...]


class Table(Spec):
    """Stop in some bins of the scores, go on in the others (VIDEO §3.5.3).

    Attributes:
        edges: for each score, rising edges; a score at an edge lies above it.
        stop: for each joint bin whether to stop, the first score's bin varying slowest.
    """

    kind: Literal["table"] = "table"
    edges: Edges
    stop: tuple[bool, ...]

    @model_validator(mode="after")
    def _one_decision_a_bin(self) -> "Table":
        bins = math.prod(len(edges) + 1 for edges in self.edges)
        if len(self.stop) != bins:
            raise ValueError(f"a table of {bins} bins needs {bins} decisions, not {len(self.stop)}")
        return self

    def stops(self, scores: Sequence[float]) -> bool:
        """Look up the bin."""
        index = 0
        for score, edges in zip(scores, self.edges, strict=True):
            if math.isnan(score):
                return False
            index = index * (len(edges) + 1) + bisect_right(edges, score)
        return self.stop[index]

    def __str__(self) -> str:
        return f"in {sum(self.stop)} of {len(self.stop)} bins"


Rule = Annotated[AtLeast | AtMost | Range | Levels | Table, Field(discriminator="kind")]
