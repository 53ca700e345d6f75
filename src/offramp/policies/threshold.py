"""Stop where the score reaches the exit's threshold (MESS §5.2, VIDEO §3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.core.plan import Plan
from offramp.core.score import ScoreSpec


@dataclass(frozen=True)
class ThresholdPolicy:
    """One threshold per early exit.

    Attributes:
        thresholds: one for each exit of the plan; none where no score decides.
        more_is_surer: stop at scores from the threshold up, else from it down.
    """

    thresholds: Sequence[float | None]
    more_is_surer: bool = True

    @classmethod
    def of(cls, plan: Plan) -> "ThresholdPolicy":
        """Read the thresholds of a plan; a budgeted or anytime plan never stops early by score."""
        surer = ScoreSpec.parse(plan.score).more_is_surer
        return cls(tuple(planned.threshold for planned in plan.exits), surer)

    def stops(self, index: int, score: float) -> bool:
        """Compare the score with the exit's threshold; a score that is no number goes on."""
        threshold = self.thresholds[index]
        if threshold is None:
            return False
        return score >= threshold if self.more_is_surer else score <= threshold
