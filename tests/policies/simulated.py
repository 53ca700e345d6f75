"""Calibrations drawn at random: tiny ones for brute force, and one shaped like a recorded trace."""

from collections.abc import Sequence

import numpy as np

from offramp.core.rule import Rule
from offramp.metrics.seen import Seen
from offramp.policies.calibration import Calibration
from offramp.policies.policy import RulePolicy, replay


def follow(rules: Sequence[Rule], scores: np.ndarray) -> np.ndarray:
    """Tell which exit each image takes; scores E×N×S."""
    return replay(RulePolicy(rules), Seen(scores))


def noise(rng: np.random.Generator, exits: int, images: int, scores: int = 1) -> Calibration:
    """Draw everything independently, on coarse grids so that ties happen."""
    return Calibration.of(
        scores=rng.integers(0, 8, (exits, images, scores)) / 8,
        gains=rng.integers(0, 6, (exits, images)) / 5,
        times=np.sort(rng.integers(1, 9, exits)) / 8,
    )


def like_recorded(seed: int, exits: int = 4, images: int = 240) -> Calibration:
    """Draw images that are easy or hard, and exits that see it the better the later they are.

    Gains rise along the chain by less for easy images; now and then a later exit is worse. The
    scores are entropies: they fall with the ease of the image, with noise of its own at each exit.
    """
    rng = np.random.default_rng(seed)
    depth = np.linspace(0, 1, exits)[:, None]
    ease = rng.beta(2, 2, images)
    gains = 0.35 + 0.3 * ease + 0.25 * depth * (1 - ease) + rng.normal(0, 0.05, (exits, images))
    entropy = 0.9 - 0.5 * ease - 0.2 * depth + rng.normal(0, 0.08, (exits, images))
    return Calibration.of(
        scores=entropy, gains=gains.clip(0, 1), times=np.linspace(1 / exits, 1, exits)
    )
