"""The protocol of a policy, and its replay on a trace."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Policy(Protocol):
    """The host-side decision "stop here or go on"."""

    def stops(self, index: int, score: float) -> bool:
        """Decide at early exit `index` of the plan, from its score."""
        ...


def replay(policy: Policy, scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Tell which exit each image takes.

    Args:
        policy: the decision.
        scores: one row per exit of the plan, E×N; the last row decides nothing.

    Returns:
        Indices into the plan's exits, shape N: what a session does on the same images.
    """
    exits, images = scores.shape
    taken = np.full(images, exits - 1, dtype=np.intp)
    for n in range(images):
        for index in range(exits - 1):
            if policy.stops(index, float(scores[index, n])):
                taken[n] = index
                break
    return taken
