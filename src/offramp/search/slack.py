"""From a goal and a design to what each bound leaves."""

import math
from dataclasses import dataclass

from offramp.search.axes import AXES, Axis
from offramp.search.goal import Goal
from offramp.search.point import Point

_ROUNDING = 1e-9
"""A bound that is missed by less than this, in relation to itself, is kept."""

_FIRST_ANSWER = ("max_macs", "max_latency_ms")
"""Of an anytime plan these are held against its first answer, which a point does not know."""


@dataclass(frozen=True)
class Slack:
    """What one bound leaves to a design.

    Attributes:
        name: of the bound in the goal, such as "max_macs".
        bound: the bound.
        got: what is held against it: mIoU lost, mIoU, or a cost.
        axis: the kind of cost that it limits; none for a bound on mIoU.
    """

    name: str
    bound: float
    got: float
    axis: Axis | None = None

    @property
    def room(self) -> float:
        """What is left before the bound is reached; negative where it is broken."""
        return self.got - self.bound if self.name == "min_miou" else self.bound - self.got

    @property
    def share(self) -> float:
        """The room as a share of the bound; infinite where the bound is 0 and there is room."""
        if self.bound == 0:
            return math.copysign(math.inf, self.room) if self.room else 0.0
        return self.room / abs(self.bound)

    @property
    def broken(self) -> bool:
        """Tell whether the bound is not kept."""
        return self.room < -_ROUNDING * max(abs(self.bound), abs(self.got))

    @property
    def option(self) -> str:
        """The command-line option that sets the bound."""
        return "--" + self.name.replace("_", "-")

    def said(self) -> str:
        """Write the option and what it leaves."""
        if self.name == "max_miou_loss":
            return (
                f"{self.option} {self.bound:g}: {100 * self.got:.2f} of {100 * self.bound:.2f} "
                "points are lost"
            )
        if self.axis is None:
            return f"{self.option} {self.bound:g}: {100 * self.room:.2f} points above it"
        return (
            f"{self.option} {self.bound:g}: {self.axis.said(self.got)} of "
            f"{self.axis.said(self.bound)}, {100 * self.share:.1f} % left"
        )

    def just_enough(self) -> str:
        """Write the option with the value that this design would just keep, rounded away."""
        if self.name == "min_miou":
            return f"{self.option} {math.floor(1e4 * self.got) / 1e4:g}"
        if self.axis is None:
            return f"{self.option} {math.ceil(1e4 * self.got) / 1e4:g}"
        return f"{self.option} {_up(self.got):.4g}"


def slacks(goal: Goal, point: Point, full: Point) -> tuple[Slack, ...]:
    """List what every bound of the goal leaves to a design, mIoU first.

    Left out are bounds on mean work and time of an anytime plan: its first answer keeps them.
    """
    found = []
    if goal.max_miou_loss is not None:
        found.append(Slack("max_miou_loss", goal.max_miou_loss, full.miou - point.miou))
    if goal.min_miou is not None:
        found.append(Slack("min_miou", goal.min_miou, point.miou))
    for axis in AXES.values():
        bound = getattr(goal, axis.bound)
        unknown = goal.setting == "anytime" and axis.bound in _FIRST_ANSWER
        if bound is not None and not unknown:
            found.append(Slack(axis.bound, float(bound), axis.of(point), axis))
    return tuple(found)


def _up(value: float) -> float:
    """Round up to four digits that count."""
    step = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.ceil(value / step - _ROUNDING) * step
