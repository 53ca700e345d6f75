"""Stop where the score lies in a range that is expected of good answers (VIDEO §3.5.1).

"Less accurate predictions […] will have either higher jitter in the output or outputs predicting
only one of the classes for the entire image": too high or too low a mean FFT magnitude. VIDEO
finds thresholds from training data, for a target mIoU (§4.2.4), "and by objective calculation by
setting a minimum size of the segment to be determined in the image coordinate" (`ceiling.py`).

Reading of the fit: at each exit, the interval of scores that stops most images while the mean
shortfall of those that it stops keeps within a bound. Of all intervals this one is found exactly.
Exits are fitted one after another, each on the images that come to it (greedily: an exit does not
know what later ones could do with its images), so all bounds hold for what is answered in the
end. The sweep tries every combination of bounds over the exits.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.core.rule import Range
from offramp.policies.calibration import Calibration, Floats
from offramp.policies.fitted import Fitted, fitted

LOSSES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
"""Bounds on the mean loss of mIoU, tried at each exit besides never stopping."""

MARGIN = 0.01
"""How far a range reaches past the outermost score that it was fitted on, in spreads of scores."""


NEVER = Range(low=1.0, high=0.0)


def within_loss(
    calibration: Calibration, losses: Sequence[float], ceilings: Sequence[float] | None = None
) -> Fitted[Range]:
    """Fit ranges whose images lose little against the last exit.

    Args:
        calibration: what to fit on, with one score.
        losses: for each exit but the last, the most mIoU that the images it stops may lose
            against the last exit, on average; −inf lets it stop none.
        ceilings: for each exit but the last, a score above which nothing stops; none if absent.
    """
    shortfalls = calibration.gains[-1] - calibration.gains[:-1]  # (E−1)×N
    return _fit(calibration, shortfalls, losses, ceilings)


def for_gain(
    calibration: Calibration, wanted: float, ceilings: Sequence[float] | None = None
) -> Fitted[Range]:
    """Fit ranges whose images reach a mean mIoU of `wanted` at each exit (VIDEO §4.2.4).

    Images that no range takes get what the last exit gives them, be it less.
    """
    shortfalls = wanted - calibration.gains[:-1]  # (E−1)×N
    return _fit(calibration, shortfalls, [0.0] * len(shortfalls), ceilings)


def sweep(
    calibration: Calibration,
    losses: Iterable[float] = LOSSES,
    ceilings: Sequence[float] | None = None,
) -> list[Fitted[Range]]:
    """Fit ranges within every combination of losses over the exits, and of never stopping."""
    shortfalls = calibration.gains[-1] - calibration.gains[:-1]  # (E−1)×N
    bounds = [-math.inf, *losses]
    limits = _checked(calibration, ceilings)
    begun: dict[tuple[Range, ...], NDArray[np.bool_]] = {
        (): np.ones(calibration.images, dtype=bool)
    }
    for scores, shortfall, limit in zip(
        calibration.scores[:-1, :, 0], shortfalls, limits, strict=True
    ):
        grown: dict[tuple[Range, ...], NDArray[np.bool_]] = {}
        for rules, reached in begun.items():
            for bound in bounds:
                rule = widest(scores[reached], shortfall[reached], bound, limit)
                grown[*rules, rule] = reached & ~_inside(scores, rule)
        begun = grown
    return [fitted(rules, calibration) for rules in begun]


def widest(scores: Floats, shortfall: Floats, bound: float, ceiling: float = math.inf) -> Range:
    """Find the interval with most images whose mean shortfall is at most `bound`.

    All intervals between different scores are judged, by differences of running sums; O(N²).
    Of equally full intervals the one of least shortfall is taken. Ends lie midway to the
    neighbouring scores, or a `MARGIN` further out where there is none.

    Args:
        scores: one for each image that comes to the exit, N.
        shortfall: what this exit lacks on each image, N.
        bound: most that the mean of `shortfall` may be.
        ceiling: a score above which nothing stops.

    Returns:
        The range, or `NEVER` if no interval keeps within the bound.
    """
    known = ~np.isnan(scores)
    levels, place = np.unique(scores[known], return_inverse=True)  # L rising, place of each image
    allowed = int(np.searchsorted(levels, ceiling, side="right"))
    counts = _running(np.bincount(place, minlength=len(levels))[:allowed])  # allowed+1
    sums = _running(np.bincount(place, shortfall[known], len(levels))[:allowed])
    images = counts[None, :] - counts[:, None]  # from level i up to, without, level j
    lacking = sums[None, :] - sums[:, None]
    able = (images > 0) & (lacking <= bound * np.maximum(images, 1) + ROUNDING)
    if not able.any():
        return NEVER
    most = able & (images == images[able].max())
    first, after = np.unravel_index(np.argmin(np.where(most, lacking, np.inf)), most.shape)
    low, high = _ends(levels, int(first), int(after))
    return Range(low=low, high=min(high, ceiling))


ROUNDING = 1e-12


def _fit(
    calibration: Calibration,
    shortfalls: Floats,
    bounds: Sequence[float],
    ceilings: Sequence[float] | None,
) -> Fitted[Range]:
    limits = _checked(calibration, ceilings)
    if len(bounds) != len(shortfalls):
        raise BadInput("bounds", expected=f"{len(shortfalls)}", got=str(len(bounds)))
    rules: list[Range] = []
    reached = np.ones(calibration.images, dtype=bool)
    for index, (bound, limit) in enumerate(zip(bounds, limits, strict=True)):
        scores = calibration.scores[index, :, 0]
        rules.append(widest(scores[reached], shortfalls[index][reached], bound, limit))
        reached &= ~_inside(scores, rules[-1])
    return fitted(rules, calibration)


def _checked(calibration: Calibration, ceilings: Sequence[float] | None) -> Sequence[float]:
    """Give one ceiling for each exit but the last."""
    early, scores = calibration.exits - 1, calibration.scores.shape[2]
    if scores != 1:
        raise BadInput("a range is of one score", got=f"{scores}")
    limits = [math.inf] * early if ceilings is None else ceilings
    if len(limits) != early:
        raise BadInput("ceilings", expected=f"{early}", got=str(len(limits)))
    return limits


def _running(values: NDArray[np.float64] | NDArray[np.intp]) -> Floats:
    """Sum up from the first on, beginning with 0."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _ends(levels: Floats, first: int, after: int) -> tuple[float, float]:
    """Place the ends around levels `first` up to, without, `after`."""
    margin = MARGIN * float(levels[-1] - levels[0])
    low = (levels[first - 1] + levels[first]) / 2 if first else levels[0] - margin
    high = (levels[after - 1] + levels[after]) / 2 if after < len(levels) else levels[-1] + margin
    return float(low), float(high)


def _inside(scores: Floats, rule: Range) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (scores >= rule.low) & (scores <= rule.high)
    return inside
