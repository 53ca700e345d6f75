"""A plan: which exits with which heads, when to stop, and what that is expected to do."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from offramp.core.certificate import Promise
from offramp.core.errors import BadInput
from offramp.core.files import read_json, write_text
from offramp.core.rule import AtLeast, AtMost, Rule
from offramp.core.spec import Spec

Setting = Literal["budgeted", "anytime", "input-dependent"]
SETTINGS: tuple[Setting, ...] = ("budgeted", "anytime", "input-dependent")


class PlannedExit(Spec):
    """One exit of a plan.

    Attributes:
        point: the position where it is attached.
        head: the short name of its head.
        rule: decides from the plan's scores whether an image stops here; absent where no score
            decides (the last exit of a plan, and every exit of a budgeted or anytime plan).
        share: the share of the calibration images that stop here.
        miou: dataset mIoU of this exit alone on the calibration images.
    """

    point: str
    head: str
    rule: Rule | None = None
    share: float = 0.0
    miou: float = 0.0

    @property
    def threshold(self) -> float | None:
        """The score at which the decision turns, where it is a single one."""
        return self.rule.threshold if isinstance(self.rule, AtLeast | AtMost) else None


class Expectation(Spec):
    """What a plan, or the full network beside it, does on the calibration images.

    Attributes:
        miou: dataset mIoU (one confusion matrix over the set), from 0 to 1.
        miou_per_image: mean over images of the per-image mIoU.
        macs: mean multiply-accumulates of an image, heads that were read included.
        latency_ms: mean predicted milliseconds of an image, decoding included; 0 if untimed.
    """

    miou: float
    miou_per_image: float
    macs: float
    latency_ms: float


class Part(Spec):
    """What a plan does on a part of the calibration images.

    Attributes:
        images: how many.
        expected: what the plan does there.
        full: what the full network does there.
    """

    images: int
    expected: Expectation
    full: Expectation

    @property
    def loss(self) -> float:
        """The mIoU that is lost against the full network."""
        return self.full.miou - self.expected.miou


class Division(Spec):
    """How the calibration images were divided: a plan flatters those that it was fitted on.

    Attributes:
        fitted: on which it was found, and keeps to the bounds.
        held_out: which the search did not see.
    """

    fitted: Part
    held_out: Part

    @property
    def gap(self) -> float:
        """How much more mIoU is lost on the images that the search did not see."""
        return self.held_out.loss - self.fitted.loss


class Plan(Spec):
    """How to run a multi-exit network.

    Attributes:
        setting: budgeted (one exit), anytime (all, refining), or input-dependent.
        policy: name of the exit strategy, see docs/policies.md.
        scores: names of the scores that every exit is asked for, in the order of the rules.
        exits: in the order of the path; an image that passes all thresholds stops at the last.
        expected: what the plan does on the calibration images.
        full: what the network without early exits does there.
        size: input height and width in pixels to which the plan belongs.
        images: how many calibration images stand behind it.
        division: which of them it was fitted on; absent: all.
        precision: of the numbers in which the network computed when the rules were fitted.
        engine: the engine on whose answers the rules were fitted, where its precision is not f32:
            engines round differently there; empty: any that computes in f32.
        certificate: what is promised about its loss, if anything was.
    """

    setting: Setting
    policy: str = "threshold"
    scores: tuple[str, ...] = Field(min_length=1)
    exits: tuple[PlannedExit, ...]
    expected: Expectation
    full: Expectation
    size: tuple[int, int]
    images: int
    division: Division | None = None
    precision: str = "f32"
    engine: str = ""
    certificate: Promise | None = None

    @model_validator(mode="after")
    def _rules_fit_setting(self) -> "Plan":
        for planned in self.exits:
            rule = planned.rule
            if isinstance(rule, AtLeast | AtMost) and rule.score >= len(self.scores):
                raise ValueError(f"a plan of {len(self.scores)} scores has none of {rule.score}")
        deciding = [planned.rule is not None for planned in self.exits]
        wanted = self.setting == "input-dependent" and len(deciding) > 1
        if not deciding or deciding[-1] or any(deciding) != wanted:
            raise ValueError(f"a plan that is {self.setting} cannot have rules {deciding}")
        return self

    def deciding_scores(self, planned: PlannedExit) -> tuple[str, ...]:
        """Name the scores that one of its exits decides by; none where it does not decide."""
        if planned.rule is None:
            return ()
        index = getattr(planned.rule, "score", None)
        return self.scores if index is None else (self.scores[index],)

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan from its JSON file.

        Raises:
            BadInput: the file is absent, is not JSON, or is not a plan.
        """
        value = read_json(path)
        if not isinstance(value, dict):
            raise BadInput(f"{path} is not a plan", expected="a JSON object")
        return cls.parse(value, str(path))

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        write_text(path, self.model_dump_json(indent=2) + "\n")
