"""What a plan must keep to, and what it should have least or most of (MESS eq. 5 and 6)."""

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from offramp.core.errors import BadInput
from offramp.core.plan import Expectation, Setting

CostName = Literal["macs", "latency", "worst-latency", "parameters", "bytes", "memory"]
COSTS: tuple[CostName, ...] = get_args(CostName)
"""What can be sought least of, or bounded."""

MEAN_COSTS: tuple[CostName, ...] = ("macs", "latency")
"""Costs that are means over images; the others are of the plan as a whole."""

MOST_EXITS = 5
"""Most early exits of a plan."""


@dataclass(frozen=True)
class Goal:
    """Bounds on a plan, and the setting it is for.

    With a bound on accuracy the cheapest plan that keeps all bounds is sought (MESS eq. 5),
    with bounds on cost alone the most accurate one (eq. 6).

    Attributes:
        setting: budgeted, anytime or input-dependent.
        max_miou_loss: most mIoU that may be lost against the full network, from 0 to 1.
        min_miou: least mIoU, from 0 to 1.
        max_macs: most multiply-accumulates an image, on average.
        max_latency_ms: most milliseconds an image, on average.
        max_worst_latency_ms: most milliseconds of an image that goes to the plan's last exit.
        max_parameters: most parameters that the plan can run.
        max_bytes: most bytes of the bundle's graphs.
        max_memory: most bytes at the peak: weights and activations.
        cost: what "cheapest" counts.
        early_exits: most early exits of an input-dependent plan; the number of those of an
            anytime plan.
        deadlines: of an anytime plan, milliseconds and how much the mIoU of the answer at that
            time counts; then the plan of most value is sought, within the bounds on cost.

    Raises:
        BadInput: there is no bound, or a bound is out of range.
    """

    setting: Setting = "input-dependent"
    max_miou_loss: float | None = None
    min_miou: float | None = None
    max_macs: float | None = None
    max_latency_ms: float | None = None
    max_worst_latency_ms: float | None = None
    max_parameters: float | None = None
    max_bytes: float | None = None
    max_memory: float | None = None
    cost: CostName = "macs"
    early_exits: int | None = None
    deadlines: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.deadlines and all(
            getattr(self, field.name) is None for field in fields(self) if field.name[0] == "m"
        ):
            raise BadInput(
                "a goal without a bound",
                expected="the least accuracy, or the most that something may cost",
                repair="max-miou-loss 0.01, for example",
            )
        for name in ("max_miou_loss", "min_miou"):
            bound = getattr(self, name)
            if bound is not None and not -1 <= bound <= 1:
                raise BadInput(f"{name} is a share", expected="0 to 1", got=str(bound))
        for name in COST_BOUNDS:
            bound = getattr(self, name)
            if bound is not None and not bound > 0:
                raise BadInput(f"{name} is a cost", expected="more than 0", got=str(bound))
        if self.cost not in COSTS:
            raise BadInput("no such cost", expected=", ".join(COSTS), got=str(self.cost))
        if self.early_exits is not None and not 1 <= self.early_exits <= MOST_EXITS:
            raise BadInput("early exits", expected=f"1 to {MOST_EXITS}", got=str(self.early_exits))
        self._check_deadlines()

    def _check_deadlines(self) -> None:
        if self.deadlines and self.setting != "anytime":
            raise BadInput("deadlines", expected="the setting anytime", got=self.setting)
        if self.deadlines and self.bounds_accuracy:
            raise BadInput("deadlines say what accuracy is worth; a bound on mIoU does not go too")
        for time, weight in self.deadlines:
            if not (time > 0 and weight > 0):
                raise BadInput(
                    "a deadline and its weight", expected="above 0", got=f"{time}:{weight}"
                )

    @classmethod
    def cheapest(cls, **bounds: float) -> "Goal":
        """Seek the least cost within bounds on accuracy."""
        return cls(**bounds)  # type: ignore[arg-type]

    @property
    def bounds_accuracy(self) -> bool:
        """Tell whether a bound on accuracy is given: then the cheapest is sought."""
        return self.max_miou_loss is not None or self.min_miou is not None

    @property
    def needs_time(self) -> bool:
        """Tell whether the goal asks for measured times."""
        bounds = (self.max_latency_ms, self.max_worst_latency_ms)
        asked = any(bound is not None for bound in bounds)
        return asked or bool(self.deadlines) or self.cost in ("latency", "worst-latency")

    @property
    def most_early_exits(self) -> int:
        """How many early exits a plan may have (input-dependent) or has (anytime)."""
        return self.early_exits or (1 if self.setting == "anytime" else 3)

    def without_bounds(self, *costs: CostName) -> "Goal":
        """The same goal with these costs, or all costs, unbounded."""
        loose = dict.fromkeys((BOUND_OF[cost] for cost in costs or COSTS), None)
        least = -1.0 if not self.bounds_accuracy and not self.deadlines else self.min_miou
        return replace(self, min_miou=least, **loose)  # type: ignore[arg-type]

    def least_miou(self, full: Expectation) -> float:
        """Translate the bounds on accuracy into one least mIoU."""
        bounds = [-1.0]
        if self.max_miou_loss is not None:
            bounds.append(full.miou - self.max_miou_loss)
        if self.min_miou is not None:
            bounds.append(self.min_miou)
        return max(bounds)

    def most(self, cost: CostName) -> float:
        """Look up the bound on a cost; infinite where there is none."""
        bound = getattr(self, BOUND_OF[cost])
        return float("inf") if bound is None else float(bound)


BOUND_OF: dict[CostName, str] = {
    "macs": "max_macs",
    "latency": "max_latency_ms",
    "worst-latency": "max_worst_latency_ms",
    "parameters": "max_parameters",
    "bytes": "max_bytes",
    "memory": "max_memory",
}
COST_BOUNDS = tuple(BOUND_OF.values())
