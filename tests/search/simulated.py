"""A recorded trace drawn at random: what an exit says and how right it is hang together."""

import numpy as np

from offramp.core.costs import Costs
from offramp.metrics.trace import Trace
from tests.tiny import SIZE, make_costs

EXITS = (("a", "x"), ("b", "x"), ("c", "x"), ("end", "own"))
SCORES = ("mean-top1", "entropy", "fft", "class-top1#0", "class-top1#1", "classifier", "regressor")
COSTS: Costs = make_costs(
    [100, 200, 300, 400], {"a": {"x": 10}, "b": {"x": 10}, "c": {"x": 10}, "end": {"own": 0}}
)


def like_recorded(seed: int, images: int = 60) -> Trace:
    """Draw images of two classes in clips of five; later exits are better, surer ones too."""
    rng = np.random.default_rng(seed)
    depth = np.linspace(0, 1, len(EXITS))[:, None]
    ease = rng.beta(2, 2, images)
    right = (0.35 + 0.3 * ease + 0.3 * depth * (1 - ease) + rng.normal(0, 0.05, (4, images))).clip(
        0.02, 0.98
    )
    unions = np.broadcast_to(rng.integers(200, 400, (1, images, 2)), (4, images, 2))
    intersections = (right[:, :, None] * unions).astype(np.int64)

    def noisy(sign: float) -> np.ndarray:
        return 0.5 + sign * (right - 0.5) + rng.normal(0, 0.08, right.shape)

    scores = np.stack([noisy(1), noisy(-1), noisy(-1), *(noisy(1) for _ in range(4))], axis=2)
    frames = rng.uniform(0.3, 1, (4, 4, images)).astype(np.float32)
    frames[:, :, ::5] = 0
    return Trace(
        images=tuple(f"{seed}/{n}.png" for n in range(images)),
        exits=EXITS,
        names=("floor", "box"),
        score_names=SCORES,
        scores=scores,
        intersections=intersections,
        unions=unions.astype(np.int64),
        size=SIZE,
        exit_agreement=rng.uniform(0.3, 1, (4, 4, images)).astype(np.float32),
        frame_agreement=frames,
        groups=tuple(f"clip{n // 5}" for n in range(images)),
    )
