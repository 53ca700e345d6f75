"""What a plan must keep to, and what it should have least or most of (MESS eq. 5 and 6)."""

from dataclasses import dataclass
from typing import Literal

from offramp.core.errors import BadInput
from offramp.core.plan import Expectation, Setting


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
        cost: what "cheapest" counts.
        early_exits: most early exits of an input-dependent plan; the number of those of an
            anytime plan.

    Raises:
        BadInput: there is no bound, or a bound is out of range.
    """

    setting: Setting = "input-dependent"
    max_miou_loss: float | None = None
    min_miou: float | None = None
    max_macs: float | None = None
    max_latency_ms: float | None = None
    cost: Literal["macs", "latency"] = "macs"
    early_exits: int | None = None

    def __post_init__(self) -> None:
        bounds = (self.max_miou_loss, self.min_miou, self.max_macs, self.max_latency_ms)
        if all(bound is None for bound in bounds):
            raise BadInput(
                "a goal without a bound",
                expected="one of max-miou-loss, min-miou, max-macs, max-latency-ms",
            )
        for name in ("max_miou_loss", "min_miou"):
            bound = getattr(self, name)
            if bound is not None and not -1 <= bound <= 1:
                raise BadInput(f"{name} is a share", expected="0 to 1", got=str(bound))
        for name in ("max_macs", "max_latency_ms"):
            bound = getattr(self, name)
            if bound is not None and not bound > 0:
                raise BadInput(f"{name} is a cost", expected="more than 0", got=str(bound))
        if self.early_exits is not None and not 1 <= self.early_exits <= 3:
            raise BadInput("early exits", expected="1 to 3", got=str(self.early_exits))

    @classmethod
    def cheapest(cls, **bounds: float) -> "Goal":
        """Seek the least cost within bounds on accuracy."""
        return cls(**bounds)  # type: ignore[arg-type]

    @property
    def bounds_accuracy(self) -> bool:
        """Tell whether a bound on accuracy is given: then the cheapest is sought."""
        return self.max_miou_loss is not None or self.min_miou is not None

    @property
    def most_early_exits(self) -> int:
        """How many early exits a plan may have (input-dependent) or has (anytime)."""
        return self.early_exits or (1 if self.setting == "anytime" else 2)

    def least_miou(self, full: Expectation) -> float:
        """Translate the bounds on accuracy into one least mIoU."""
        bounds = [-1.0]
        if self.max_miou_loss is not None:
            bounds.append(full.miou - self.max_miou_loss)
        if self.min_miou is not None:
            bounds.append(self.min_miou)
        return max(bounds)
