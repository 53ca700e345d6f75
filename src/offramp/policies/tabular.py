"""Tables that stop or go on by the bin of the score, and the states and rewards they are fitted on.

VIDEO §3.5.3: states are exit index × bins "predicated on the input metric distribution", which
keeps the number of state-action pairs small; the reward weighs accuracy against latency. Here:
reward = this image's mIoU at the exit taken − weight · time share (nothing for going on).

VIDEO standardises scores before binning (§4.2.6.1) and does not say which bins. Here edges are
quantiles of the calibration scores of each exit, so that bins are about equally full; a
standardised score has the same quantile bins as the score itself, so edges stay in the score's
own unit and no mean and deviation have to travel along. Several scores make joint bins, one for
each combination.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.core.rule import Edges, Table
from offramp.policies.calibration import Calibration, Floats
from offramp.policies.fitted import Fitted, fitted

BINS = 8
"""Bins of one score; VIDEO says "a fixed number". Two scores want fewer, such as 4 each."""

WEIGHTS = (0.0, *np.geomspace(0.005, 1.0, 24).tolist())
"""What the full network's time is worth, in mIoU, from "nothing" to "more than any answer"."""

Counts = NDArray[np.intp]


@dataclass(frozen=True)
class States:
    """The calibration images as walks through states.

    Attributes:
        edges: of the scores, for each exit but the last.
        bins: (E−1)×N, the joint bin of each image; one past the last bin where a score is no
            number: there an image can only go on.
        sizes: for each exit but the last, its number of joint bins.
        rewards: E×N, what stopping at an exit is worth for an image.
    """

    edges: tuple[Edges, ...]
    bins: Counts
    sizes: tuple[int, ...]
    rewards: Floats

    @classmethod
    def of(cls, calibration: Calibration, weight: float, bins: int = BINS) -> "States":
        """Cut the scores into bins and compute the rewards.

        Args:
            calibration: what to fit on.
            weight: mIoU that the full network's time is worth.
            bins: bins of each score; fewer where scores tie.
        """
        if bins < 1:
            raise BadInput("bins", expected="at least 1", got=str(bins))
        early = calibration.scores[:-1]  # (E−1)×N×S
        edges = tuple(tuple(_quantiles(column, bins) for column in scores.T) for scores in early)
        sizes = tuple(math.prod(len(one) + 1 for one in each) for each in edges)
        rows = [_binned(s, e, b) for s, e, b in zip(early, edges, sizes, strict=True)]
        return cls(
            edges=edges,
            bins=np.array(rows, dtype=np.intp).reshape(len(rows), calibration.images),
            sizes=sizes,
            rewards=calibration.gains - weight * calibration.times[:, None],
        )

    def tables(self, stop: Sequence[NDArray[np.bool_]]) -> tuple[Table, ...]:
        """Make rules of decisions by joint bin, one array an exit."""
        return tuple(
            Table(edges=edges, stop=tuple(bool(bin_stops) for bin_stops in decisions))
            for edges, decisions in zip(self.edges, stop, strict=True)
        )

    def sums(self, exit_index: int, values: Floats) -> Floats:
        """Sum values of the images (shape N) by bin; the last entry is "no number"."""
        size = self.sizes[exit_index] + 1
        summed = np.bincount(self.bins[exit_index], weights=values, minlength=size)
        return summed.astype(np.float64)

    def replayed(self, stop: Sequence[NDArray[np.bool_]]) -> float:
        """Compute the mean reward over the images when each follows these decisions."""
        value = self.rewards[-1]
        for index in reversed(range(len(self.sizes))):
            stopping = np.append(stop[index], False)[self.bins[index]]  # N
            value = np.where(stopping, self.rewards[index], value)
        return float(value.mean())


@dataclass(frozen=True)
class Solution:
    """A solved table problem.

    Attributes:
        tables: the rule of each exit but the last.
        values: for each of these exits, bins×2: what stopping and what going on is worth there;
            no numbers where no image lay in the bin.
        reward: mean reward when the calibration images follow the tables.
    """

    tables: tuple[Table, ...]
    values: tuple[Floats, ...]
    reward: float

    @classmethod
    def of(cls, states: States, values: Sequence[Floats]) -> "Solution":
        """Stop where stopping is worth as much as going on; an empty bin goes on."""
        stop = [value[:, 0] >= value[:, 1] for value in values]  # false where no number
        return cls(states.tables(stop), tuple(values), states.replayed(stop))


def sweep(
    calibration: Calibration,
    solve: Callable[[States], Solution],
    weights: Iterable[float] = WEIGHTS,
    bins: int = BINS,
) -> list[Fitted[Table]]:
    """Fit tables for each weight of time.

    A weight finds fits on the convex frontier of gain and time alone, so many weights may find
    the same fit, and none one that lies behind a chord of others.

    Args:
        calibration: what to fit on.
        solve: a solver of `exact`, or `qlearning.learn` with its generator bound.
        weights: mIoU that the full network's time is worth.
        bins: bins of each score.
    """
    return [
        fitted(solve(States.of(calibration, weight, bins)).tables, calibration)
        for weight in weights
    ]


def _quantiles(scores: Floats, bins: int) -> tuple[float, ...]:
    """Find edges that part the numbers among the scores into about equal bins.

    Hazen's quantiles lie midway between neighbouring scores where bins divide them evenly, so a
    score that an engine computes a hair differently stays on its side.
    """
    numbers = scores[~np.isnan(scores)]
    if not len(numbers):
        return ()
    inner = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(numbers, inner, method="hazen"))
    return tuple(float(edge) for edge in edges[edges > numbers.min()])


def _binned(scores: Floats, edges: Edges, size: int) -> Counts:
    """Find the joint bin of each image; scores N×S."""
    index = np.zeros(len(scores), dtype=np.intp)
    for column, one in zip(scores.T, edges, strict=True):
        index = index * (len(one) + 1) + np.searchsorted(np.array(one), column, side="right")
    return np.where(np.isnan(scores).any(axis=1), size, index)  # N
