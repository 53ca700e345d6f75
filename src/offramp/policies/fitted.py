"""Fitted rules, one per early exit, with what they do; and the choice among many of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from offramp.core.errors import Infeasible
from offramp.core.rule import Rule
from offramp.metrics.seen import Seen
from offramp.policies.calibration import Calibration, Outcome
from offramp.policies.policy import RulePolicy, replay

R = TypeVar("R", bound=Rule, covariant=True)


@dataclass(frozen=True)
class Fitted(Generic[R]):
    """A fitted strategy, and what it does to the images that it was fitted on.

    Attributes:
        rules: one for each exit but the last, in the order of the path.
        outcome: expected gain and time.
    """

    rules: tuple[R, ...]
    outcome: Outcome


def fitted(rules: Iterable[R], calibration: Calibration) -> Fitted[R]:
    """Judge rules by following them on the calibration images."""
    given = tuple(rules)
    return Fitted(given, calibration.outcome(replay(RulePolicy(given), Seen(calibration.scores))))


def cheapest(fits: Iterable[Fitted[R]], least_gain: float) -> Fitted[R]:
    """Choose the fit of least time whose gain is at least `least_gain`; of equals, most gain.

    Raises:
        Infeasible: no fit gains as much.
    """
    given = list(fits)
    able = [fit for fit in given if fit.outcome.gain >= least_gain]
    if not able:
        most = max((fit.outcome.gain for fit in given), default=float("nan"))
        raise Infeasible(f"no fit reaches a gain of {least_gain:.4f}; the most is {most:.4f}")
    return min(able, key=lambda fit: (fit.outcome.time, -fit.outcome.gain))
