"""From a design and a front to the designs around it: next cheaper, next better, knee, bargains.

Everything here compares mIoU with one cost. A front may hold designs that a bound on something
else forbids, so the chosen design need not be on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offramp.search.axes import Axis
from offramp.search.point import Point

PRICE = 0.2
"""What a point of mIoU may cost in a bargain, as a share of the chosen design's cost."""

LITTLE_MIOU, MUCH_MIOU = 0.01, 0.005
"""Of mIoU: a bargain that is cheaper loses at most the first, one that is better gains at least
the second."""

MUCH_COST = 0.05
"""A bargain that is cheaper saves at least this share of the chosen design's cost."""

BENT = 0.05
"""A front has a knee only if it bends away from the straight line by this share of its height."""

_SAME = 1e-9
"""Costs and mIoUs closer than this, in relation to themselves, are sums in another order."""


@dataclass(frozen=True)
class Step:
    """The way from the chosen design to another.

    Attributes:
        point: the other design.
        cost: what it costs more, as a share of the chosen design's cost; negative if it saves.
        miou: what it gains, from -1 to 1.
    """

    point: Point
    cost: float
    miou: float


def same_design(one: Point, other: Point) -> bool:
    """Tell whether two points are one design, though their figures were summed differently."""
    return (one.network, one.exits, one.scores, one.thresholds) == (
        other.network,
        other.exits,
        other.scores,
        other.thresholds,
    )


def steps(chosen: Point, frontier: Sequence[Point], axis: Axis) -> list[Step]:
    """Measure the way to every design of the front, the cheapest first."""
    here = axis.of(chosen)
    return sorted(
        (Step(p, axis.of(p) / here - 1, p.miou - chosen.miou) for p in frontier),
        key=lambda step: (step.cost, -step.miou),
    )


def next_cheaper(chosen: Point, frontier: Sequence[Point], axis: Axis) -> Step | None:
    """Find the dearest of the designs that are cheaper and worse."""
    found = [s for s in steps(chosen, frontier, axis) if s.cost < -_SAME and s.miou < -_SAME]
    return max(found, key=lambda step: (step.cost, step.miou), default=None)


def next_better(chosen: Point, frontier: Sequence[Point], axis: Axis) -> Step | None:
    """Find the cheapest of the designs that are dearer and better."""
    found = [s for s in steps(chosen, frontier, axis) if s.cost > _SAME and s.miou > _SAME]
    return min(found, key=lambda step: (step.cost, -step.miou), default=None)


def forbidden(chosen: Point, frontier: Sequence[Point], axis: Axis) -> Step | None:
    """Find the cheapest design that is neither worse nor dearer, and one of both better.

    There is one only where something else than mIoU and this cost is bounded.
    """
    found = [
        s
        for s in steps(chosen, frontier, axis)
        if s.cost < _SAME and s.miou > -_SAME and (s.cost < -_SAME or s.miou > _SAME)
    ]
    return found[0] if found else None


def cheap_bargain(chosen: Point, frontier: Sequence[Point], axis: Axis) -> Step | None:
    """Find the cheapest design that saves much for little mIoU."""
    return _first(
        steps(chosen, frontier, axis),
        lambda s: -LITTLE_MIOU <= s.miou < 0 and s.cost <= min(-MUCH_COST, 100 * PRICE * s.miou),
    )


def good_bargain(chosen: Point, frontier: Sequence[Point], axis: Axis) -> Step | None:
    """Find the best design that gains much mIoU for little cost."""
    best_first = steps(chosen, frontier, axis)[::-1]
    return _first(
        best_first, lambda s: s.miou >= MUCH_MIOU and 0 < s.cost <= min(PRICE, 100 * PRICE * s.miou)
    )


def knee(frontier: Sequence[Point], axis: Axis) -> Point | None:
    """Find where a front bends most: before it mIoU is cheap, after it dear.

    It is the design farthest above the straight line from the cheapest to the best, both axes
    scaled to run from 0 to 1 (Kneedle: Satopää et al. 2011). None where the front is straight.
    """
    line = sorted(frontier, key=lambda p: (axis.of(p), p.miou))
    if len(line) < 3:
        return None
    wide, high = axis.of(line[-1]) - axis.of(line[0]), line[-1].miou - line[0].miou
    if wide <= 0 or high <= 0:
        return None

    def above(p: Point) -> float:
        return (p.miou - line[0].miou) / high - (axis.of(p) - axis.of(line[0])) / wide

    best = max(line, key=above)
    return best if above(best) >= BENT else None


def _first(found: Sequence[Step], wanted: Callable[[Step], bool]) -> Step | None:
    return next((step for step in found if wanted(step)), None)
