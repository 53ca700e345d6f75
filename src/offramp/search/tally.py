"""What happens when images take the exits that a strategy, or anything else, gives them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.policies.policy import RulePolicy, replay
from offramp.search.problem import Problem
from offramp.search.strategies import Fit


@dataclass(frozen=True)
class Tally:
    """What images got, and what it took.

    Attributes:
        miou: dataset mIoU.
        miou_per_image: mean over images of the per-image mIoU.
        miou_std: its standard deviation.
        macs: mean multiply-accumulates of an image, heads that were read included.
        latency_ms: mean predicted milliseconds of an image, one decoding included; 0 if untimed.
        latency_std_ms: its standard deviation.
        shares: for each exit, the share of the images that it answered.
    """

    miou: float
    miou_per_image: float
    miou_std: float
    macs: float
    latency_ms: float
    latency_std_ms: float
    shares: tuple[float, ...]


def tally(problem: Problem, taken: NDArray[np.intp]) -> Tally:
    """Sum up what happens when image n is answered by exit `taken[n]` of the chain; shape N."""
    rows = np.array(problem.rows)[taken]
    each = problem.trace.miou_per_image(rows)
    spent = np.array([(cost.macs, cost.latency_ms) for cost in problem.visits])[taken]  # N×2
    counts = np.bincount(taken, minlength=len(problem.rows))
    return Tally(
        miou=problem.trace.miou(rows),
        miou_per_image=float(np.nanmean(each)),
        miou_std=float(np.nanstd(each)),
        macs=float(spent[:, 0].mean()),
        latency_ms=float(spent[:, 1].mean()),
        latency_std_ms=float(spent[:, 1].std()),
        shares=tuple(float(count) / len(taken) for count in counts),
    )


def follow(problem: Problem, fit: Fit) -> NDArray[np.intp]:
    """Tell which exit of the chain each image of a problem takes by a fit's rules; shape N."""
    return replay(RulePolicy.of(fit.plan), problem.trace.seen(problem.rows, fit.plan.scores))
