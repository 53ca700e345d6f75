"""What an exit strategy is fitted on: one chain of exits of one trace, and what things cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Cost, Costs
from offramp.core.errors import BadInput
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import Rule
from offramp.metrics.trace import Trace
from offramp.policies.calibration import Calibration
from offramp.policies.policy import RulePolicy, replay
from offramp.search.expectation import expect, full_network
from offramp.search.goal import MEAN_COSTS, Goal

Rules = tuple[Rule, ...]
CostKind = Literal["macs", "latency"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What a strategy is fitted on.

    Attributes:
        trace: recorded images.
        costs: what each piece costs.
        rows: the chain: rows of the trace in the order of the path, at least two.
        cost: what counts as time.
    """

    trace: Trace
    costs: Costs
    rows: tuple[int, ...]
    cost: CostKind = "macs"

    def calibration(self, names: Sequence[str]) -> Calibration:
        """Put scores, each image's mIoU, and times as shares of the full network's together."""
        return Calibration.of(self.trace.seen(self.rows, names).scores, self.gains(), self.times())

    def gains(self) -> Floats:
        """Give each image's mIoU at each exit, E×N; no number without a labelled pixel."""
        images = len(self.trace.images)
        return np.array([self.trace.miou_per_image(np.full(images, row)) for row in self.rows])

    def times(self) -> Floats:
        """What an image costs that stops at each exit, heads on the way included; full = 1."""
        return self.spent / self._counted(self.costs.of([self.trace.exits[-1]]))

    @cached_property
    def visits(self) -> tuple[Cost, ...]:
        """What an image costs that stops at each exit, heads on the way included."""
        exits = [self.trace.exits[row] for row in self.rows]
        return tuple(self.costs.of(exits[: i + 1]) for i in range(len(exits)))

    @cached_property
    def spent(self) -> Floats:
        """What counts as time of `visits`; shape E."""
        return np.array([self._counted(cost) for cost in self.visits])

    @cached_property
    def full(self) -> Expectation:
        """What the network without early exits does."""
        return full_network(self.trace, self.costs)

    def judge(self, names: Sequence[str], proposed: Sequence[Rules]) -> tuple[Floats, Floats]:
        """Replay many sets of rules; mean cost and dataset mIoU of each."""
        seen, rows = self.trace.seen(self.rows, names), np.array(self.rows)
        taken = [replay(RulePolicy(rules), seen) for rules in proposed]
        spent = [float(self.spent[exits].mean()) for exits in taken]
        return np.array(spent), np.array([self.trace.miou(rows[exits]) for exits in taken])

    def plan(self, policy: str, names: Sequence[str], rules: Rules) -> Plan:
        """Write a policy's rules as a plan, with what they do on the recorded images."""
        trace = self.trace
        exits = [
            PlannedExit(point=trace.exits[row][0], head=trace.exits[row][1], rule=rule,
                        miou=trace.exit_miou(row))
            for row, rule in zip(self.rows, [*rules, None], strict=True)
        ]  # fmt: skip
        raw = Plan(
            setting="input-dependent",
            policy=policy,
            scores=tuple(names),
            exits=tuple(exits),
            expected=self.full,
            full=self.full,
            size=trace.size,
            images=len(trace.images),
            precision=trace.precision,
            engine=trace.engine,
        )
        return expect(raw, trace, self.costs)

    def _counted(self, cost: Cost) -> float:
        return float(cost.macs) if self.cost == "macs" else cost.latency_ms


def counted(goal: Goal) -> CostKind:
    """Say which mean cost a goal counts.

    Raises:
        BadInput: it counts another kind of cost.
    """
    if goal.cost == "latency":
        return "latency"
    if goal.cost != "macs":
        raise BadInput(
            "the cost of a policy that is fitted on one chain of exits",
            expected=" or ".join(MEAN_COSTS),
            got=goal.cost,
        )
    return "macs"
