"""Read what a run folder holds of a story: trace, costs, plans, evaluations and logs. No torch."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from offramp.core.costs import Costs
from offramp.core.errors import BadInput
from offramp.core.files import read_json
from offramp.core.plan import SETTINGS, Plan
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay

FRONTIER = ".frontier.json"


class FrontierPoint(BaseModel):
    """One design on the frontier, as `offramp search` writes it."""

    miou: float
    macs: float
    latency_ms: float
    exits: tuple[str, ...]


class PerImage(BaseModel):
    """Mean and spread over images of the per-image mIoU."""

    mean: float
    std: float = 0.0


class Times(BaseModel):
    """Milliseconds an image."""

    p50: float
    p95: float
    mean: float


class Measured(BaseModel):
    """What a bundle did on labelled images, one way of running it."""

    miou: float
    miou_per_image: PerImage
    macs: float
    latency_ms: Times
    iou: dict[str, float | None] = Field(default_factory=dict)


class Evaluation(Measured):
    """The object that `offramp eval --json` prints; keys that this version ignores may follow."""

    exit_share: dict[str, float]
    full: Measured
    images: int
    engine: str = ""


@dataclass(frozen=True)
class NamedPlan:
    """A plan of the run.

    Attributes:
        name: the stem of its file.
        plan: the plan.
        rows: the rows of the trace at which its exits stand.
        taken: which of its exits each calibration image takes; shape N.
        frontier: the designs among which it was chosen, cheapest first; may be empty.
    """

    name: str
    plan: Plan
    rows: tuple[int, ...]
    taken: NDArray[np.intp]
    frontier: tuple[FrontierPoint, ...]


@dataclass(frozen=True)
class Log:
    """What training wrote of one stage: by column, the value of each epoch that has one."""

    stage: str
    columns: dict[str, dict[int, float]]


@dataclass(frozen=True)
class Material:
    """All that the figures and tables are computed from.

    Attributes:
        trace: what each exit said of each calibration image.
        costs: what each piece costs.
        plans: at least one; the headline's first, then by setting and name.
        evaluations: by split, held-out ones first.
        logs: by training stage, in their order.
    """

    trace: Trace
    costs: Costs
    plans: tuple[NamedPlan, ...]
    evaluations: dict[str, Evaluation]
    logs: tuple[Log, ...]

    @property
    def headline(self) -> NamedPlan:
        """The plan that the report is about."""
        return self.plans[0]


def gather(folder: Path) -> Material:
    """Read all there is in a run's folder.

    Raises:
        BadInput: there is no trace, no cost table or no plan, or a file is not understood; says
            which command makes what is missing.
    """
    trace = Trace.load(folder / "trace.npz")
    file = folder / "costs.json"
    if not file.is_file():
        raise BadInput(
            f"there is no cost table at {file}", repair=f"record one first: offramp record {folder}"
        )
    costs = Costs.parse(read_json(file), str(file))
    return Material(
        trace=trace,
        costs=costs,
        plans=_plans(folder, trace),
        evaluations=_evaluations(folder / "eval"),
        logs=tuple(
            read_log(stage, file)
            for stage in ("stage1", "stage2")
            if (file := folder / "log" / stage / "metrics.csv").is_file()
        ),
    )


def follow(name: str, plan: Plan, trace: Trace, frontier: tuple[FrontierPoint, ...]) -> NamedPlan:
    """Replay a plan on the trace.

    Raises:
        BadInput: the plan was not made from this trace.
    """
    rows = tuple(trace.index(planned.point, planned.head) for planned in plan.exits)
    taken = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    miou = trace.miou(np.array(rows)[taken])
    if plan.images != len(trace.images) or abs(miou - plan.expected.miou) > 1e-6:
        raise BadInput(
            f"the plan '{name}' was not made from this run's trace",
            expected=f"mIoU {miou:.6f} on {len(trace.images)} images",
            got=f"{plan.expected.miou:.6f} on {plan.images}",
            repair=f"search again: offramp search RUN --setting {plan.setting}",
        )
    return NamedPlan(name, plan, rows, taken, frontier)


def read_log(stage: str, file: Path) -> Log:
    """Read the table that Lightning's CSVLogger writes: a row per epoch and kind, many cells empty.

    Raises:
        BadInput: a cell is no number.
    """
    columns: dict[str, dict[int, float]] = {}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                epoch = int(row.pop("epoch"))
                for name, cell in row.items():
                    if cell:  # of an epoch that was run again after a resume, the last counts
                        columns.setdefault(name, {})[epoch] = float(cell)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file} is not a training log", got=str(error)) from None
    return Log(stage, columns)


def _plans(folder: Path, trace: Trace) -> tuple[NamedPlan, ...]:
    files = sorted(f for f in folder.glob("plans/*.json") if not f.name.endswith(FRONTIER))
    if not files:
        raise BadInput(
            f"{folder} has no plan",
            expected=f"at least one file in {folder / 'plans'}",
            repair=f"search one: offramp search {folder} --setting input-dependent"
            " --max-miou-loss 0.01",
        )
    plans = [follow(f.stem, Plan.load(f), trace, _frontier(f.with_suffix(FRONTIER))) for f in files]
    order = ("input-dependent", *(s for s in SETTINGS if s != "input-dependent"))
    return tuple(
        sorted(
            plans,
            key=lambda p: (order.index(p.plan.setting), p.name != p.plan.setting, p.name),
        )
    )


def _frontier(file: Path) -> tuple[FrontierPoint, ...]:
    if not file.is_file():
        return ()
    try:
        return TypeAdapter(tuple[FrontierPoint, ...]).validate_python(read_json(file))
    except ValidationError as error:
        raise BadInput(f"{file} is not a frontier", got=error.errors()[0]["msg"]) from None


def _evaluations(folder: Path) -> dict[str, Evaluation]:
    """Read every evaluation; `test` first, splits that were fitted on last."""
    order = {"test": 0, "val": 2, "calib": 3, "train": 4}
    files = sorted(folder.glob("*.json"), key=lambda f: (order.get(f.stem, 1), f.stem))
    found = {}
    for file in files:
        try:
            found[file.stem] = Evaluation.model_validate(read_json(file))
        except ValidationError as error:
            first = error.errors()[0]
            raise BadInput(
                f"{file} is not the answer of offramp eval --json",
                got=f"'{'.'.join(map(str, first['loc']))}': {first['msg']}",
                repair=f"make it again: offramp eval BUNDLE --data DATA --json > {file}",
            ) from None
    return found
