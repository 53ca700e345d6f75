"""A population of images: easy ones that early exits get right and know it, and hard ones."""

import numpy as np

from offramp.metrics.trace import Trace
from tests.tiny import make_costs, make_trace

EXITS = (("a", "x"), ("b", "x"), ("b", "y"), ("end", "own"))
COSTS = make_costs(
    [100, 200, 400], {"a": {"x": 1}, "b": {"x": 10, "y": 30}, "end": {"own": 0}}, decode=7
)
PIXELS = 1000


def draw(rng: np.random.Generator, images: int) -> Trace:
    """Draw images of two classes; the deeper an exit, the less a hard image costs it."""
    hard = rng.beta(1, 3, images)
    reach = np.array([0.5, 0.35, 0.3, 0.1])[:, None]  # E×1
    wrong = np.clip(reach * hard + rng.normal(0, 0.03, (4, images)), 0, 1)  # E×N
    entropy = hard * (reach + 0.2) + rng.normal(0, 0.05, (4, images))
    right = np.rint(PIXELS * (1 - wrong))
    halves = np.stack([right, right], axis=2)  # E×N×C
    return make_trace(
        np.stack([1 - entropy, entropy], axis=2),
        halves,
        np.full_like(halves, PIXELS) + np.rint(PIXELS * wrong)[:, :, None],
        EXITS,
        ("mean-top1", "entropy"),
    )
