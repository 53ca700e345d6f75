"""Stop where every class that an exit sees is seen surely enough.

The score of class k is the mean confidence of the cells predicted as k, and 1 where there are
none. A threshold for each class, because rare and small classes are never as sure as the ground
is: one threshold for all would be set by them. Thresholds of one exit follow from one level q:
the q-quantile, over the calibration images in which the exit sees the class, of the class's
score. A higher level stops fewer images.
"""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from offramp.core.errors import BadInput
from offramp.core.rule import Levels
from offramp.policies.calibration import Calibration, Floats
from offramp.policies.fitted import Fitted, fitted

ABSENT = 1.0
"""The score of a class that the exit does not see; also the threshold of one it never saw."""

UNREACHABLE = 2.0
"""The threshold of an exit that never stops."""

LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""Levels tried at each exit, besides never stopping."""


def fit(calibration: Calibration, levels: Sequence[float | None]) -> Fitted[Levels]:
    """Fit thresholds for one level an exit.

    Args:
        calibration: what to fit on; its scores are one a class.
        levels: for each exit but the last, q from 0 to 1; none for an exit that never stops.
    """
    if len(levels) != calibration.exits - 1:
        raise BadInput("levels", expected=f"{calibration.exits - 1}", got=str(len(levels)))
    rules = [thresholds(s, q) for s, q in zip(calibration.scores[:-1], levels, strict=True)]
    return fitted(rules, calibration)


def sweep(calibration: Calibration, levels: Iterable[float] = LEVELS) -> list[Fitted[Levels]]:
    """Fit every combination of levels over the exits, and of never stopping."""
    tried: list[float | None] = [None, *levels]
    rules = [[thresholds(scores, q) for q in tried] for scores in calibration.scores[:-1]]
    return [fitted(chosen, calibration) for chosen in product(*rules)]


def thresholds(scores: Floats, level: float | None) -> Levels:
    """Compute one exit's thresholds from its scores N×K.

    Hazen's quantiles: where q·n is whole, midway between neighbouring scores. A class that the
    exit saw in no image gets `ABSENT`: nothing is known of it, so an image in which it turns up
    goes on.
    """
    if level is None:
        return Levels(thresholds=(UNREACHABLE,) * scores.shape[1])
    if not 0 <= level <= 1:
        raise BadInput("a level", expected="0 to 1", got=str(level))
    seen = [column[column < ABSENT] for column in scores.T]  # false where it is no number
    return Levels(
        thresholds=tuple(
            float(np.quantile(column, level, method="hazen")) if len(column) else ABSENT
            for column in seen
        )
    )
