"""The front of mIoU against cost for any setting, and what could still be better."""

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.core.costs import Costs
from offramp.core.progress import Track, silent
from offramp.metrics.trace import Trace
from offramp.search.fixed import Entry, anytime, budgeted, costs_of
from offramp.search.goal import MEAN_COSTS, CostName, Goal

__all__ = ["Entry", "Front", "find_front"]


@dataclass(frozen=True)
class Front:
    """What was found in one network's space.

    Attributes:
        entries: cost, mIoU (or value) and design; cheapest first, none beaten.
        configurations: how many designs the space has.
        least: of each cost that is sought or bounded, the least of any exit alone.
        open: bounds on designs that were not looked at, see `solver.Solved`.
        present: by how many classes Σ y is divided.
        scale: what a solver's cost is divided by: the number of images where it is a mean.
    """

    entries: tuple[Entry, ...]
    configurations: int
    least: dict[CostName, float]
    open: Sequence[Sequence[tuple[float, float]]] = ()
    present: int = 1
    scale: float = 1.0

    @property
    def complete(self) -> bool:
        """Tell whether all designs were judged, or proven worse."""
        return len(self.open) == 0

    def gap(self, goal: Goal, chosen: Entry) -> float:
        """Bound how much better than `chosen` a design may be that was not looked at.

        Σ y ≤ b + λ·cost for every reference. Where the cheapest is sought, mIoU ≥ m makes
        Σ y ≥ m·C, so its cost is at least (m·C − b) / λ. Else the bound on cost limits Σ y.
        """
        cost, miou, _ = chosen
        worst = 0.0
        wanted = (goal.min_miou or 0.0) * self.present
        most = goal.most(goal.cost) * self.scale
        for row in self.open:
            if goal.bounds_accuracy:
                if any(b < wanted for b, price in row if price == 0):
                    continue  # at no cost
                least = max([0.0, *((wanted - b) / p / self.scale for b, p in row if p > 0)])
                worst = max(worst, 1 - least / cost if cost > 0 else 0.0)
            else:
                bounds = [b + price * most if price > 0 else b for b, price in row]
                worst = max(worst, min(1.0, *(b / self.present for b in bounds)) - miou)
        return worst


def find_front(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    track: Track = silent,
    *,
    seconds: float | None = None,
    scores: Sequence[str] = (),
) -> Front:
    """Find the front of one network; arguments as for `search.search`."""
    least = _least(trace, costs, goal)
    if goal.setting == "input-dependent":
        return _decided(trace, costs, goal, track, seconds, scores, least)
    entries = (budgeted if goal.setting == "budgeted" else anytime)(trace, costs, goal)
    return Front(_undominated(entries), _count(trace, goal), least)


def _decided(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    track: Track,
    seconds: float | None,
    scores: Sequence[str],
    least: dict[CostName, float],
) -> Front:
    from offramp.search.solver import solve
    from offramp.search.space import build_space

    space = build_space(trace, costs, goal, scores)
    most = min(goal.most_early_exits, len(costs.points) - 1)
    solved = solve(space, goal, most=most, seconds=seconds, track=track)
    scale = len(trace.images) if goal.cost in MEAN_COSTS else 1
    entries = tuple(
        (sketch.cost / scale, sketch.miou, space.design(sketch.deciders, sketch.levels))
        for sketch in solved.front
    )
    return Front(
        entries, space.count(most), least, solved.open, solved.present, scale,
    )  # fmt: skip


def _undominated(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Keep what no other beats, cheapest first; of equals the one with fewer exits."""
    kept: list[Entry] = []
    for entry in sorted(entries, key=lambda e: (e[0], -e[1], len(e[2].rows), e[2].rows)):
        if not kept or entry[1] > kept[-1][1]:
            kept.append(entry)
    return tuple(kept)


def _least(trace: Trace, costs: Costs, goal: Goal) -> dict[CostName, float]:
    """Find the least of each cost that is sought or bounded: it is that of an exit alone."""
    least: dict[CostName, float] = {}
    for pair in trace.exits:
        for name, value in costs_of(costs, [pair], goal).items():
            least[name] = min(least.get(name, value), value)
    return least


def _count(trace: Trace, goal: Goal) -> int:
    """Count the designs where no score decides."""
    if goal.setting == "budgeted":
        return len(trace.exits)
    last = trace.exits[-1][0]
    heads: dict[str, int] = {}
    for point, _ in trace.exits:
        heads[point] = heads.get(point, 0) + (point != last)
    ways = [1] + [0] * len(heads)
    for many in heads.values():
        for length in range(len(ways) - 1, 0, -1):
            ways[length] += ways[length - 1] * many
    return sum(ways) if goal.deadlines else ways[min(goal.most_early_exits, len(heads))]
