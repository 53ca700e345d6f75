"""Reference choices that no rule can make or beat: the best exit in hindsight; always one exit.

Each returns the exit that each image takes, to be summed up by `Calibration.outcome`.
"""

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.policies.calibration import Calibration


def within_tolerance(calibration: Calibration, tolerance: float = 0.0) -> NDArray[np.intp]:
    """Give each image the cheapest exit whose gain is within `tolerance` of its best exit's.

    Among choices that lose no image more than that, none is cheaper. Shape N.
    """
    if tolerance < 0:
        raise BadInput("tolerance", expected="at least 0", got=str(tolerance))
    gains = calibration.gains  # E×N
    taken: NDArray[np.intp] = np.argmax(gains >= gains.max(axis=0) - tolerance, axis=0)  # N
    return taken


def most_reward(calibration: Calibration, weight: float) -> NDArray[np.intp]:
    """Give each image the exit of most gain − `weight` · time; of equals the first. Shape N.

    No strategy whatever has a higher mean of that reward on these images.
    """
    rewards = calibration.gains - weight * calibration.times[:, None]  # E×N
    taken: NDArray[np.intp] = np.argmax(rewards, axis=0)  # N
    return taken


def fixed(calibration: Calibration, exit_index: int) -> NDArray[np.intp]:
    """Give every image the same exit; shape N.

    `Calibration.times` counts the heads on the way; a network that only ever answers at one exit
    reads none of them, so its calibration should be given that exit's time without.
    """
    if not 0 <= exit_index < calibration.exits:
        expected = f"0 to {calibration.exits - 1}"
        raise BadInput("no such exit", expected=expected, got=str(exit_index))
    return np.full(calibration.images, exit_index, dtype=np.intp)
