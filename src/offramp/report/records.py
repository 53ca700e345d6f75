"""Compute what each figure shows, as plain records that a test can check without drawing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.plan import Plan, Setting
from offramp.core.score import ScoreSpec
from offramp.metrics.trace import Trace
from offramp.report.headline import FITTED, full_cost
from offramp.report.material import Log, Material, NamedPlan

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spot:
    """A mark at some work and mIoU."""

    name: str
    macs: float
    miou: float


@dataclass(frozen=True)
class PlanSpot:
    """A plan's marks: one, or for an anytime plan one for each of its answers."""

    name: str
    setting: Setting
    answers: tuple[Spot, ...]


@dataclass(frozen=True)
class Frontier:
    """mIoU against work (MESS fig. 5).

    Attributes:
        singles: each exit alone, by position.
        lines: the frontier of a setting, cheapest first.
        full: the network without early exits.
        plans: the run's plans.
    """

    singles: dict[str, list[Spot]]
    lines: dict[Setting, list[Spot]]
    full: Spot
    plans: list[PlanSpot]


@dataclass(frozen=True)
class ShareBar:
    """Which share of the images takes each exit, by position."""

    name: str
    fitted: bool
    shares: dict[str, float]


@dataclass(frozen=True)
class ScorePanel:
    """What an exit's score is worth: the score of each image beside how right the exit was.

    Attributes:
        name: position and head.
        point: the position.
        score_name: what decides there.
        score: each image's score, shape N.
        miou: each image's mIoU at this exit, shape N; NaN without a labelled pixel.
        reached: the images that come here, shape N.
        threshold: where an image stops.
        more_is_surer: it stops at scores from the threshold up (else down).
        correlation: Spearman's rank correlation over all images; NaN if undefined.
    """

    name: str
    point: str
    score_name: str
    score: Floats
    miou: Floats
    reached: NDArray[np.bool_]
    threshold: float
    more_is_surer: bool
    correlation: float


@dataclass(frozen=True)
class HeadDot:
    """mIoU of one candidate head, and whether the headline plan uses it."""

    head: str
    miou: float
    macs: int
    chosen: bool


@dataclass(frozen=True)
class Heads:
    """Every candidate by position, lightest first, and the network's own end."""

    by_point: dict[str, list[HeadDot]]
    own: float


@dataclass(frozen=True)
class Curves:
    """How one training stage went.

    Attributes:
        stage: "stage1" or "stage2".
        loss: training loss by epoch.
        miou: validation mIoU by epoch, by exit ("point/head").
    """

    stage: str
    loss: dict[int, float]
    miou: dict[str, dict[int, float]]


def frontier(material: Material) -> Frontier:
    """Gather the marks and lines of the plane of mIoU and work."""
    trace, costs = material.trace, material.costs
    singles: dict[str, list[Spot]] = {}
    for row, (point, head) in enumerate(trace.exits[:-1]):
        spot = Spot(head, costs.of([(point, head)]).macs, trace.exit_miou(row))
        singles.setdefault(point, []).append(spot)
    lines: dict[Setting, list[Spot]] = {}
    for named in material.plans:
        setting = named.plan.setting
        # An anytime frontier's mIoU is that of the weakest answer: another quantity.
        if setting != "anytime" and named.frontier and setting not in lines:
            lines[setting] = [Spot("+".join(p.exits), p.macs, p.miou) for p in named.frontier]
    own = Spot("full network", full_cost(material).macs, trace.exit_miou(len(trace.exits) - 1))
    return Frontier(singles, lines, own, [_plan_spot(named, material) for named in material.plans])


def shares(material: Material) -> list[ShareBar]:
    """Gather the exits taken: of every plan, and beside the headline's those on other splits."""
    bars = []
    for named in material.plans:
        taken = {e.point: e.share for e in named.plan.exits}
        bars.append(ShareBar(named.name, True, taken))
        if named is material.headline:
            bars += [
                ShareBar(f"{named.name} on {split}", split in FITTED, found.exit_share)
                for split, found in material.evaluations.items()
                if set(found.exit_share) == set(taken)
            ]
    return bars


def score_panels(named: NamedPlan, trace: Trace) -> list[ScorePanel]:
    """Set each deciding exit's score against how right it was; none if no score decides."""
    plan = named.plan
    panels = []
    for index, (planned, row) in enumerate(zip(plan.exits, named.rows, strict=True)):
        if planned.threshold is None:
            continue
        name = plan.deciding_scores(planned)[0]
        score = trace.score(row, name)
        miou = trace.miou_per_image(np.full(len(trace.images), row))
        panels.append(
            ScorePanel(
                name=f"{planned.point}/{planned.head}",
                point=planned.point,
                score_name=name,
                score=score,
                miou=miou,
                reached=named.taken >= index,
                threshold=planned.threshold,
                more_is_surer=ScoreSpec.parse(name).more_is_surer,
                correlation=rank_correlation(score, miou),
            )
        )
    return panels


def heads(material: Material) -> Heads:
    """Gather the mIoU of every candidate head by position."""
    trace, costs = material.trace, material.costs
    used = {(e.point, e.head) for e in material.headline.plan.exits}
    by_point: dict[str, list[HeadDot]] = {}
    for row, (point, head) in enumerate(trace.exits[:-1]):
        macs = costs.heads[point][head].macs
        dot = HeadDot(head, trace.exit_miou(row), macs, (point, head) in used)
        by_point.setdefault(point, []).append(dot)
    ordered = {p: sorted(dots, key=lambda dot: dot.macs) for p, dots in by_point.items()}
    return Heads(ordered, trace.exit_miou(len(trace.exits) - 1))


def curves(log: Log) -> Curves:
    """Pick loss and each exit's mIoU out of a training log."""
    exits = {
        name.removeprefix("val/"): values
        for name, values in log.columns.items()
        if name.startswith("val/") and name != "val/miou"
    }
    return Curves(log.stage, log.columns.get("train/loss", {}), exits)


def rank_correlation(x: Floats, y: Floats) -> float:
    """Compute Spearman's rank correlation, ties sharing their mean rank; NaN if undefined."""
    kept = np.isfinite(x) & np.isfinite(y)
    if kept.sum() < 2:
        return float("nan")
    a, b = _ranks(x[kept]), _ranks(y[kept])
    spread = a.std() * b.std()
    if spread == 0:
        return float("nan")
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread)


def _plan_spot(named: NamedPlan, material: Material) -> PlanSpot:
    plan: Plan = named.plan
    end = Spot(named.name, plan.expected.macs, plan.expected.miou)
    if plan.setting != "anytime":
        return PlanSpot(named.name, plan.setting, (end,))
    visited: list[tuple[str, str]] = []
    answers = []
    for exit in plan.exits:
        visited.append((exit.point, exit.head))
        answers.append(Spot(exit.point, material.costs.of(visited).macs, exit.miou))
    return PlanSpot(named.name, plan.setting, tuple(answers))


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)
