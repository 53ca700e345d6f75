"""What stopping early saves, on which images and class by class, and what each piece costs."""

from dataclasses import dataclass

import numpy as np

from offramp.core.costs import Cost
from offramp.core.plan import Expectation
from offramp.metrics.confusion import iou
from offramp.report.material import Evaluation, Material, Measured, NamedPlan

FITTED = ("calib", "train")
"""Splits whose images had a part in the weights or thresholds: no figure on them is held out."""


@dataclass(frozen=True)
class Side:
    """What one way of running the network does on a set of images.

    Attributes:
        miou: dataset mIoU, from 0 to 1.
        miou_per_image: mean over images.
        macs: mean multiply-accumulates an image.
        latency_ms: mean milliseconds an image; 0 where nothing was timed.
        quantiles_ms: median and 95th percentile, where single images were timed.
    """

    miou: float
    miou_per_image: float
    macs: float
    latency_ms: float
    quantiles_ms: tuple[float, float] | None = None


@dataclass(frozen=True)
class Comparison:
    """The full network beside a plan, on one set of images.

    Attributes:
        split: name of the images.
        images: how many.
        fitted: thresholds or weights were chosen on these very images.
        plan: name of the plan; empty if it is none of the run's.
        full: without early exits.
        early: by the plan.
    """

    split: str
    images: int
    fitted: bool
    plan: str
    full: Side
    early: Side

    @property
    def macs_ratio(self) -> float:
        """How many times less work the plan takes."""
        return self.full.macs / self.early.macs

    @property
    def latency_ratio(self) -> float | None:
        """How many times less time the plan takes; nothing where it was not timed."""
        timed = self.early.latency_ms > 0 and self.full.latency_ms > 0
        return self.full.latency_ms / self.early.latency_ms if timed else None

    @property
    def miou_change(self) -> float:
        """Dataset mIoU of the plan minus that of the full network."""
        return self.early.miou - self.full.miou


@dataclass(frozen=True)
class ClassRow:
    """IoU of one class, without and with early exits; nothing where the class does not occur."""

    name: str
    full: float | None
    early: float | None


@dataclass(frozen=True)
class PieceRow:
    """One segment, or one head of the plan.

    Attributes:
        name: position, or position and head.
        head: it is a head.
        cost: of this piece alone.
        path: of an image that stops here, heads read on its way and decoding included; of a
            segment nothing.
        share: share of the calibration images that stop here; of a segment nothing.
    """

    name: str
    head: bool
    cost: Cost
    path: Cost | None = None
    share: float | None = None


def comparisons(material: Material, calib: str) -> list[Comparison]:
    """Compare on every split that was evaluated, then on the calibration images.

    Args:
        material: what the run holds.
        calib: name of the split on which the trace was recorded.
    """
    held = [
        Comparison(
            split=split,
            images=found.images,
            fitted=split in (*FITTED, calib),
            plan=_plan_of(found, material),
            full=_measured(found.full),
            early=_measured(found),
        )
        for split, found in material.evaluations.items()
    ]
    plan = material.headline.plan
    fitted = Comparison(
        split=calib,
        images=plan.images,
        fitted=True,
        plan=material.headline.name,
        full=_expected(plan.full),
        early=_expected(plan.expected),
    )
    return [*held, fitted]


def leading(rows: list[Comparison], plan: str) -> Comparison:
    """Choose the comparison that leads the report: held out if there is one of this plan."""
    held = [row for row in rows if not row.fitted and row.plan == plan]
    return held[0] if held else rows[-1]


def classes(material: Material, lead: Comparison) -> list[ClassRow]:
    """Compare class by class on the leading split."""
    found = material.evaluations.get(lead.split)
    if found is not None and found.iou and not lead.fitted:
        return [ClassRow(name, found.full.iou.get(name), e) for name, e in found.iou.items()]
    trace, plan = material.trace, material.headline
    images = np.arange(len(trace.images))
    last = np.full(len(images), len(trace.exits) - 1)

    def by_class(rows: np.ndarray) -> list[float | None]:
        inter, union = trace.intersections[rows, images], trace.unions[rows, images]  # N×C
        values = iou(inter.sum(axis=0), union.sum(axis=0))  # C
        return [None if np.isnan(value) else float(value) for value in values]

    full, early = by_class(last), by_class(np.array(plan.rows)[plan.taken])
    return [ClassRow(*row) for row in zip(trace.names, full, early, strict=True)]


def pieces(material: Material) -> list[PieceRow]:
    """List the segments in the order of the path, each followed by the plan's head there."""
    costs, plan = material.costs, material.headline.plan
    visited: list[tuple[str, str]] = []
    planned = {exit.point: exit for exit in plan.exits}
    rows = []
    for point, segment in zip(costs.points, costs.segments, strict=True):
        rows.append(PieceRow(point, False, segment))
        if point in planned:
            exit = planned[point]
            visited.append((point, exit.head))
            cost = costs.heads[point][exit.head]
            name = f"{point}/{exit.head}"
            rows.append(PieceRow(name, True, cost, costs.of(visited), exit.share))
    return rows


def full_cost(material: Material) -> Cost:
    """What an image costs without early exits, decoding included."""
    return material.costs.of([material.trace.exits[-1]])


def _plan_of(found: Evaluation, material: Material) -> str:
    """Name the plan that an evaluation followed: the first whose exits are at the same points."""

    def points(named: NamedPlan) -> set[str]:
        return {exit.point for exit in named.plan.exits}

    return next((p.name for p in material.plans if points(p) == set(found.exit_share)), "")


def _measured(value: Measured) -> Side:
    times = value.latency_ms
    return Side(
        value.miou, value.miou_per_image.mean, value.macs, times.mean, (times.p50, times.p95)
    )


def _expected(value: Expectation) -> Side:
    return Side(value.miou, value.miou_per_image, value.macs, value.latency_ms)
