"""The best exits in hindsight for dataset mIoU: a bound for strategies, which cannot know it.

Dataset mIoU is a mean over classes of a ratio of sums over all images, so what is best for one
image depends on what the others take. `choose` improves one image's exit at a time, exactly,
until no image alone can be improved. That end may be a local optimum: there is no proof that
nothing lies above it.
"""

import numpy as np
from numpy.typing import NDArray

from offramp.metrics.confusion import mean_iou
from offramp.policies import oracle
from offramp.policies.calibration import Calibration
from offramp.search.problem import Problem

ROUNDING = 1e-12
"""Gains in reward that are no gains."""

Taken = NDArray[np.intp]


def known(problem: Problem) -> Calibration:
    """Let an oracle know all gains; an image without a labelled pixel gains nothing anywhere."""
    gains = np.nan_to_num(problem.gains())
    return Calibration(np.zeros((*gains.shape, 1)), gains, problem.times())


def choose(problem: Problem, weight: float) -> Taken:
    """Choose an exit for each image so that dataset mIoU − `weight` · mean time is large.

    It starts from the best choice for the mean of per-image mIoU, and from all images at the
    network's end, and gives the better outcome.

    Args:
        problem: exits, images, costs.
        weight: mIoU that the full network's time is worth.

    Returns:
        Indices into the chain, shape N.
    """
    calibration = known(problem)
    starts = (
        oracle.most_reward(calibration, weight),
        oracle.fixed(calibration, len(problem.rows) - 1),
    )
    climbed = [_climb(problem, start, weight) for start in starts]
    return max(climbed, key=lambda taken: reward(problem, taken, weight))


def reward(problem: Problem, taken: Taken, weight: float) -> float:
    """Compute dataset mIoU − `weight` · mean time, as a share of the full network's."""
    rows = np.array(problem.rows)[taken]
    return problem.trace.miou(rows) - weight * float(problem.times()[taken].mean())


def _climb(problem: Problem, start: Taken, weight: float) -> Taken:
    taken, rows = start.copy(), list(problem.rows)
    both = np.concatenate(
        [problem.trace.intersections[rows], problem.trace.unions[rows]], axis=2
    )  # E×N×2C
    classes, images = both.shape[2] // 2, both.shape[1]
    price = weight * problem.times() / images  # E
    total = both[taken, np.arange(images)].sum(axis=0)  # 2C
    improved = True
    while improved:
        improved = False
        for n in range(images):
            options = total - both[taken[n], n] + both[:, n]  # E×2C
            worth = mean_iou(options[:, :classes], options[:, classes:]) - price  # E
            best = int(np.argmax(worth))
            if worth[best] > worth[taken[n]] + ROUNDING:
                taken[n], total, improved = best, options[best], True
    return taken
