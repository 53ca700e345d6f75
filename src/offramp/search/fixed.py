"""The front where no score decides: budgeted and anytime designs.

    budgeted: one exit answers; mIoU and cost are its own.
    anytime:  every exit is read on the way to the network's end. Its mIoU is that of its weakest
              early answer, which a deadline may force; or, with deadlines, the mean by weight of
              the best answer that is there at each of them.

Anytime designs are built position by position. A partial design is left out if another is no
worse in cost, in each bounded cost, and in mIoU (or, with deadlines, in what is at hand at each,
and at the last exit): whatever follows adds the same to both, so it stays no worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from offramp.core.costs import Cost, Costs
from offramp.metrics.trace import Trace
from offramp.search.design import Design
from offramp.search.goal import BOUND_OF, MEAN_COSTS, MOST_EXITS, CostName, Goal

Entry = tuple[float, float, Design]
"""Cost, mIoU or value, and the design."""


def budgeted(trace: Trace, costs: Costs, goal: Goal) -> list[Entry]:
    """List each exit alone that keeps the bounds on cost."""
    entries = []
    for row, pair in enumerate(trace.exits):
        values = costs_of(costs, [pair], goal)
        if all(values[name] <= goal.most(name) for name in values):
            entries.append((values[goal.cost], trace.exit_miou(row), Design((row,))))
    return entries


def anytime(trace: Trace, costs: Costs, goal: Goal) -> list[Entry]:
    """List anytime designs that keep the bounds on cost, all of the front among them."""
    partial = [_Partial()]
    last = len(trace.exits) - 1
    most = goal.early_exits or (MOST_EXITS if goal.deadlines else 1)
    mious = [trace.exit_miou(row) for row in range(len(trace.exits))]
    for point in costs.points[:-1]:
        rows = [row for row, (at, _) in enumerate(trace.exits) if at == point]
        grown = [
            grown
            for one in partial
            if len(one.rows) < most
            for row in rows
            if (grown := one.grow(trace, costs, goal, row, mious[row])) is not None
        ]
        partial = _undominated([*partial, *grown], goal)
    entries = []
    for one in partial:
        whole = one.grow(trace, costs, goal, last, mious[last])
        if whole is None or (not goal.deadlines and len(one.rows) != most):
            continue
        value = whole.value(goal) if goal.deadlines else one.weakest
        spent = costs_of(costs, [trace.exits[row] for row in whole.rows], goal)
        entries.append((spent[goal.cost], value, Design(whole.rows)))
    return entries


@dataclass(frozen=True)
class _Partial:
    """An anytime design up to a position.

    Attributes:
        rows: its exits.
        heads: what their heads cost; segments cost the same for all.
        weakest: the least mIoU of its answers.
        best: the most.
        at_hand: mIoU of the best answer that is there at each deadline, if nothing followed.
    """

    rows: tuple[int, ...] = ()
    heads: Cost = field(default_factory=Cost)
    weakest: float = 1.0
    best: float = 0.0
    at_hand: tuple[float, ...] = ()

    def grow(
        self, trace: Trace, costs: Costs, goal: Goal, row: int, miou: float
    ) -> "_Partial | None":
        """Read one more exit; none if that breaks a bound, or, with deadlines, is of no use."""
        end = row == len(trace.exits) - 1
        if goal.deadlines and self.rows and miou <= self.best and not end:
            return None  # without this exit, all later answers come sooner
        rows = (*self.rows, row)
        exits = [trace.exits[each] for each in rows]
        for name, value in costs_of(costs, exits, goal).items():
            by_first = name in MEAN_COSTS and not goal.deadlines
            if value > goal.most(name) and not (by_first and self.rows):
                return None
        arrival = costs.of(exits).latency_ms
        before = self.at_hand or (0.0,) * len(goal.deadlines)
        point, head = trace.exits[row]
        return _Partial(
            rows=rows,
            heads=self.heads + costs.heads[point][head],
            weakest=min(self.weakest, miou),
            best=max(self.best, miou),
            at_hand=tuple(
                max(had, miou) if time >= arrival else had
                for had, (time, _) in zip(before, goal.deadlines, strict=True)
            ),
        )

    def value(self, goal: Goal) -> float:
        """Average what is at hand at the deadlines."""
        total = sum(weight for _, weight in goal.deadlines)
        paired = zip(self.at_hand, goal.deadlines, strict=True)
        return sum(miou * weight for miou, (_, weight) in paired) / total

    def key(self, goal: Goal) -> tuple[float, ...]:
        """What must be no larger for this to be no worse than another of as many exits."""
        heads = self.heads
        asked = {goal.cost, *(name for name in BOUND_OF if goal.most(name) < float("inf"))}
        spent = [float(heads.macs)] if "macs" in asked else []
        if goal.needs_time:
            spent.append(heads.latency_ms)
        if asked & {"parameters", "memory"}:
            spent.append(heads.parameters)
        spent += [heads.bytes] if "bytes" in asked else []
        spent += [heads.memory] if "memory" in asked else []
        had = [*self.at_hand, self.best] if goal.deadlines else [self.weakest]
        return (*spent, *(-each for each in had))


def _undominated(partial: Sequence[_Partial], goal: Goal) -> list[_Partial]:
    """Leave out what another of as many exits is no worse than."""
    kept: list[_Partial] = []
    keys: list[tuple[float, ...]] = []
    for one in sorted(partial, key=lambda each: (len(each.rows), each.key(goal))):
        key = one.key(goal)
        if not any(
            len(other.rows) == len(one.rows) and all(a <= b for a, b in zip(was, key, strict=True))
            for other, was in zip(kept, keys, strict=True)
        ):
            kept.append(one)
            keys.append(key)
    return kept


def costs_of(costs: Costs, exits: Sequence[tuple[str, str]], goal: Goal) -> dict[CostName, float]:
    """Compute the costs that the goal seeks or bounds, where an image reads all these exits."""
    whole: Cost = costs.of(exits)
    values: dict[CostName, float] = {}
    for name in BOUND_OF:
        if name != goal.cost and goal.most(name) == float("inf"):
            continue
        if name == "bytes":
            values[name] = costs.bundle_bytes(exits)
        elif name == "memory":
            values[name] = costs.memory_of(exits)
        elif name == "parameters":
            values[name] = whole.parameters
        else:
            values[name] = float(whole.macs) if name == "macs" else whole.latency_ms
    return values
