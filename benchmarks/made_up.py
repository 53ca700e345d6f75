"""Make a trace and costs up that look like real ones, for questions about the search alone.

Images are easy or hard, for all exits and, to a lesser degree, for each position; later positions
and heavier heads are better; an exit's score follows how well it does on an image. A trained run's
heads at one position read the same features and so answer much alike, which is what a search finds
hard: `alike` is the share of what is particular to an exit that all heads at its position share.
On our FastSCNN (24 heads) what is left of an exit's pixel accuracy, once that of the other
positions explains what it can, correlates between the heads of a position by 0.6 to 0.9, on our
HRNet (9 heads) by 0.3 to 1.0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Cost, Costs
from offramp.core.head import FULL, HeadSpec
from offramp.core.headcost import head_cost
from offramp.metrics.trace import Trace

SIZE = (192, 320)
FEATURE = (128, 24, 40)
"""Channels, height and width of what a head reads."""
PIXELS = SIZE[0] * SIZE[1] // 4
"""Labelled pixels of an image."""
SEGMENT_MACS = 2_000_000_000
MACS_A_MS = 100_000_000
SCORE = "mean-top1"
SKILLS = (-0.6, -0.2, 0.2, 0.5, 0.7, 1.0)
"""How good exits are from the first position to the end, as an offset of the logit of recall."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """What to make up.

    Attributes:
        images: N.
        classes: C.
        positions: P, without the network's end.
        heads: at each of them; up to 56, spread over MESS's space.
        alike: from 0 (heads are independent) to 1 (heads of a position differ by skill alone).
        seed: of the generator.
    """

    images: int = 200
    classes: int = 21
    positions: int = 5
    heads: int = 56
    alike: float = 0.6
    seed: int = 0


def made_up(size: Size) -> tuple[Trace, Costs]:
    """Make a trace of P·heads + 1 exits and one score up, and costs that go with it."""
    generator = np.random.default_rng(size.seed)
    places = np.linspace(0, len(FULL) - 1, size.heads).round().astype(int)
    heads = tuple(FULL[place] for place in places)
    points = (*(f"block{position + 1}" for position in range(size.positions)), "end")
    exits = [(point, head.name) for point in points[:-1] for head in heads] + [("end", "own")]
    found = _answers(generator, size, heads)
    trace = Trace(
        images=tuple(f"{number:05}.png" for number in range(size.images)),
        exits=tuple(exits),
        names=tuple(f"class {number}" for number in range(size.classes)),
        score_names=(SCORE,),
        scores=np.stack([score for _, _, score in found])[..., None],  # E×N×1
        intersections=np.stack([right for right, _, _ in found]),  # E×N×C
        unions=np.stack([union for _, union, _ in found]),  # E×N×C
        size=SIZE,
    )
    return trace, _costs(points, heads, size.classes)


def _answers(
    generator: np.random.Generator, size: Size, heads: tuple[HeadSpec, ...]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """Draw each exit's intersections and unions (N×C) and scores (N), in the order of the path."""
    truth = _truth(generator, size)
    hard = 0.8 * generator.normal(size=size.images)
    weight = np.log([head_cost(head, FEATURE, size.classes).macs for head in heads])
    weight = (weight - weight.mean()) / max(weight.std(), 1e-9)
    answers = []
    for position in range(size.positions + 1):
        last = position == size.positions
        skill = np.interp((position + 1) / (size.positions + 1), np.arange(1, 7) / 6, SKILLS)
        shared = _particular(generator, size)
        hard_here = 0.2 * generator.normal(size=size.images)
        better = 0.15 * weight + 0.2 * generator.normal(size=len(heads))
        for offset in [0.0] if last else better:
            own = _particular(generator, size)
            mixed = [
                np.sqrt(size.alike) * a + np.sqrt(1 - size.alike) * b
                for a, b in zip(shared, own, strict=True)
            ]
            answers.append(
                _answer(generator, truth, skill + offset + 1.2 - hard - hard_here, mixed)
            )
    return answers


def _truth(generator: np.random.Generator, size: Size) -> Floats:
    """Draw how many pixels each class has in each image: the first, and one to four others; N×C."""
    truth = np.zeros((size.images, size.classes))
    for row in truth:
        many = min(int(generator.integers(1, 5)), size.classes - 1)
        others = generator.choice(np.arange(1, size.classes), many, replace=False)
        row[[0, *others]] = PIXELS * generator.dirichlet([2.8, *[0.8] * many])
    return np.rint(truth)


def _particular(generator: np.random.Generator, size: Size) -> list[Floats]:
    """Draw what may be particular to an exit: by image, by class, by both; and of its score."""
    return [
        0.3 * generator.normal(size=size.images),
        0.35 * generator.normal(size=size.classes),
        0.5 * generator.normal(size=(size.images, size.classes)),
        0.5 * generator.normal(size=size.images),
    ]


def _answer(
    generator: np.random.Generator, truth: Floats, logit: Floats, particular: list[Floats]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Find what one exit gets right; what it misses it takes for other classes, few absent."""
    by_image, by_class, by_both, of_score = particular
    quality = logit + by_image  # N
    recall = _share(quality[:, None] + by_class + by_both)  # N×C
    right = np.rint(truth * recall)
    missed = (truth - right).sum(axis=1, keepdims=True)  # N×1
    likely = (truth > 0) + 0.5 * (generator.random(truth.shape) < 0.1)
    wrong = np.rint(missed * likely / likely.sum(axis=1, keepdims=True))
    return right.astype(np.int64), (truth + wrong).astype(np.int64), _share(quality + of_score)


def _share(logit: Floats) -> Floats:
    shares: Floats = 1 / (1 + np.exp(-logit))
    return shares


def _costs(points: tuple[str, ...], heads: tuple[HeadSpec, ...], classes: int) -> Costs:
    """Count heads as they would be built, and give every segment the same work."""
    segment = _timed(Cost(macs=SEGMENT_MACS, parameters=500_000))
    ours = {head.name: _timed(head_cost(head, FEATURE, classes)) for head in heads}
    end = {"own": _timed(Cost(macs=SEGMENT_MACS // 20, parameters=20_000))}
    return Costs(
        points=points,
        segments=(segment,) * len(points),
        heads={**dict.fromkeys(points[:-1], ours), "end": end},
        decode=Cost(latency_ms=0.5),
        size=SIZE,
        engine={"engine": "made up"},
    )


def _timed(cost: Cost) -> Cost:
    return cost.model_copy(update={"latency_ms": cost.macs / MACS_A_MS + 0.05})
