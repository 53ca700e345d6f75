"""Fronts made by hand and by a seed, for tests of what is said and drawn of them."""

import numpy as np

from offramp.search.point import Point

POSITIONS = ("early", "middle", "late", "end")
SCORE = "mean-top1"


def point(miou: float, macs: float, *exits: str, **known: object) -> Point:
    """Make a design that costs as many milliseconds as GMACs; images stop evenly."""
    names = exits or ("end/own",)
    rules = len(names) - 1
    given = {
        "latency_ms": macs / 1e9,
        "worst_latency_ms": 2 * macs / 1e9,
        "parameters": 1_000_000 * len(names),
        "bytes": 4_100_000 * len(names),
        "memory": 50_000_000,
        "thresholds": tuple(0.5 + 0.1 * i for i in range(rules)),
        "scores": (SCORE,) * rules,
        "shares": (1 / len(names),) * len(names),
    } | known
    return Point(miou=miou, macs=macs, exits=names, **given)  # type: ignore[arg-type]


FULL = point(0.60, 100e9)
A = point(0.400, 20e9, "early/r4-b0-fcn")
B = point(0.560, 30e9, "early/r4-b0-fcn", "middle/r2-b1-fcn")
C = point(0.590, 50e9, "middle/r2-b1-fcn", "end/own")
D = point(0.594, 60e9, "middle/r2-b2-rapid-fcn", "end/own")
E = point(0.605, 66e9, "late/r1-b3-dlb", "end/own")
FRONT = (A, B, C, D, E)


def random_front(seed: int, designs: int = 60) -> tuple[Point, ...]:
    """Draw a front: cost and mIoU both rise."""
    rng = np.random.default_rng(seed)
    macs = 1e9 * np.cumsum(rng.uniform(0.1, 3, designs))
    miou = np.cumsum(rng.exponential(1, designs) / np.arange(1, designs + 1))
    miou = 0.7 * miou / miou[-1]
    heads = ("r4-b0-fcn", "r2-b1-fcn", "r2-b3-rapid-dlb")
    found = []
    for cost, gain in zip(macs, miou, strict=True):
        chosen = sorted(rng.choice(3, size=int(rng.integers(2, 4)), replace=False))
        exits = [f"{POSITIONS[i]}/{heads[rng.integers(3)]}" for i in chosen]
        rules = tuple(float(t) for t in rng.uniform(0.3, 0.9, len(exits) - 1))
        known = {"thresholds": rules, "held_out": float(gain - 0.01)}
        found.append(point(float(gain), float(cost), *exits, **known))
    return tuple(found)
