"""Small spaces drawn at random: traces as a network could have left them, with costs."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from offramp.core.costs import Cost, Costs
from offramp.metrics.trace import Trace
from offramp.search.goal import BOUND_OF, COSTS, CostName, Goal
from tests.search import brute

SCORES = (
    ("mean-top1",),
    ("entropy",),
    ("mean-top1", "entropy"),
    ("coverage-top1@0.5", "coverage-top1@0.9"),
    ("coverage-top1@0.9", "mean-top1", "coverage-top1@0.5"),
)
SIZE = (8, 8)


@dataclass(frozen=True)
class Shape:
    """What a space is like.

    Attributes:
        seed: of all numbers.
        heads: how many each early position has.
        images, classes: how many.
        scores: which are recorded.
        grades: how many different values a score has; few make ties.
        pixels: a class has fewer in an image; few make ties.
        absent: whether the first class is nowhere.
        untrue: whether the last class is never in truth, but now and then in an answer.
        blank: whether the first image has no valid pixel.
        nan: whether some scores are no numbers.
        flat: whether the first exit's scores tell nothing apart.
    """

    seed: int
    heads: tuple[int, ...] = (1, 2)
    images: int = 6
    classes: int = 2
    scores: tuple[str, ...] = ("mean-top1",)
    grades: int = 3
    pixels: int = 9
    absent: bool = False
    untrue: bool = False
    blank: bool = False
    nan: bool = False
    flat: bool = False


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Draw a shape whose designs can all be judged in a moment."""
    flags = {name: draw(st.booleans()) for name in ("absent", "untrue", "blank", "nan", "flat")}
    heads = draw(st.lists(st.integers(1, 2), min_size=1, max_size=4).map(tuple))
    scores = draw(st.sampled_from(SCORES))
    if sum(heads) * len(scores) > 12:
        scores = scores[:2] if len(heads) < 4 else scores[:1]
    return Shape(
        seed=draw(st.integers(0, 2**32 - 1)),
        heads=heads,
        images=draw(st.integers(1, 12)),
        classes=draw(st.integers(1, 4)),
        scores=scores,
        grades=draw(st.integers(2, 4 if len(heads) < 4 else 3)),
        pixels=draw(st.sampled_from((2, 8, 1000))),
        **flags,
    )


def make(shape: Shape) -> tuple[Trace, Costs]:
    """Draw the numbers of a space."""
    rng = np.random.default_rng(shape.seed)
    points = [f"p{i}" for i in range(len(shape.heads))]
    exits = [(p, f"h{i}") for p, many in zip(points, shape.heads, strict=True) for i in range(many)]
    exits.append(("end", "own"))
    hits, unions = _counts(rng, shape, len(exits))
    trace = Trace(
        images=tuple(f"{n}.png" for n in range(shape.images)),
        exits=tuple(exits),
        names=tuple(f"class{c}" for c in range(shape.classes)),
        score_names=shape.scores,
        scores=_scores(rng, shape, len(exits)),
        intersections=hits,
        unions=unions,
        size=SIZE,
    )
    return trace, make_costs(rng, trace)


def make_costs(rng: np.random.Generator, trace: Trace) -> Costs:
    """Draw costs that no rounding can part: whole numbers, and quarters of milliseconds."""

    def cost() -> Cost:
        return Cost(
            macs=int(rng.integers(0, 50)),
            parameters=int(rng.integers(0, 9)),
            latency_ms=float(rng.integers(0, 9)) / 4,
            bytes=int(rng.integers(1, 9)),
            memory=int(rng.integers(1, 90)),
        )

    points = tuple(dict.fromkeys(point for point, _ in trace.exits))
    return Costs(
        points=points,
        segments=tuple(cost() for _ in points),
        heads={at: {h: cost() for p, h in trace.exits if p == at} for at in points},
        decode=cost(),
        size=trace.size,
        engine={"engine": "drawn"},
    )


def random_goal(rng: np.random.Generator, table: np.ndarray, bounds: int) -> Goal:
    """Draw a goal of the most accurate whose bounds are met exactly by some designs."""
    names: list[CostName] = [COSTS[i] for i in rng.permutation(len(COSTS))[:bounds]]
    met = table[rng.integers(len(table))]
    limits = {BOUND_OF[name]: max(float(met[COSTS.index(name)]), 1e-9) for name in names}
    cost = COSTS[rng.integers(len(COSTS))]
    if not limits:
        limits = {"min_miou": -1.0}
    return Goal(cost=cost, **limits)  # type: ignore[arg-type]


def feasible(table: np.ndarray, goal: Goal) -> bool:
    """Tell whether any design keeps to the bounds on cost."""
    return len(brute.within(table, goal)) > 0


def _counts(rng: np.random.Generator, shape: Shape, exits: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw truth, what each exit hits of it, and what it says besides; E×N×C each."""
    truth = rng.integers(0, shape.pixels, (shape.images, shape.classes))
    wide = (exits, shape.images, shape.classes)
    wrong = rng.integers(0, shape.pixels, wide) * (rng.random(wide) < 0.7)
    if shape.absent and shape.classes > 1:
        truth[:, 0], wrong[..., 0] = 0, 0
    if shape.untrue and shape.classes > 1:
        truth[:, -1] = 0
        wrong[..., -1] *= rng.random(wide[:2]) < 0.2
    if shape.blank and shape.images > 1:
        truth[0], wrong[:, 0] = 0, 0
    hits = rng.integers(0, np.broadcast_to(truth, wide) + 1)
    return hits, np.broadcast_to(truth, wide) + wrong


def _scores(rng: np.random.Generator, shape: Shape, exits: int) -> np.ndarray:
    wide = (exits, shape.images, len(shape.scores))
    scores = rng.integers(0, shape.grades, wide) / 8.0
    if shape.nan:
        scores[rng.random(wide) < 0.2] = np.nan
    if shape.flat:
        scores[0] = 0.5
    return scores
