"""Evaluate a bundle on labelled images: accuracy, work and time, beside the run without exits."""

from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.metrics.confusion import intersections_unions, iou, mean_iou
from offramp.runtime.recording import check_classes
from offramp.runtime.session import Result, Session

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """What a session did on N images.

    Attributes:
        intersections: per image and class, pixels; N×C.
        unions: per image and class, pixels; N×C.
        taken: exit of each image, among the plan's; shape N.
        latency_ms: time of each image, resizing and decoding included; shape N.
    """

    intersections: Counts
    unions: Counts
    taken: NDArray[np.intp]
    latency_ms: NDArray[np.float64]

    @property
    def miou(self) -> float:
        """Dataset mIoU, from 0 to 1."""
        return float(mean_iou(self.intersections.sum(axis=0), self.unions.sum(axis=0)))

    @property
    def miou_per_image(self) -> NDArray[np.float64]:
        """Each image's mIoU; shape N, NaN for an image without a labelled pixel."""
        return mean_iou(self.intersections, self.unions)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Dataset IoU of each class; shape C."""
        return iou(self.intersections.sum(axis=0), self.unions.sum(axis=0))


def evaluate(
    session: Session, data: Dataset, split: str, track: Track = silent
) -> tuple[Outcome, Outcome]:
    """Answer every image twice in turn: by the plan, and as the network without early exits.

    Returns:
        The outcome by the plan, and that of the full network.

    Raises:
        BadInput: the data set has other classes than the bundle.
    """
    check_classes(session.bundle, data)
    model = session.bundle.manifest.model
    samples = data.samples(split)
    rows: tuple[list[_Row], list[_Row]] = ([], [])
    before: tuple[str, Result] | None = None
    for sample in track(samples, len(samples), f"evaluating {split}"):
        image, truth = data.read(sample)
        goes_on = before is not None and sample.clip != "" and sample.clip == before[0]
        early = session.segment(image, before[1] if before is not None and goes_on else None)
        before = sample.clip, early
        for kind, result in zip(rows, (early, session.full(image)), strict=True):
            counts = intersections_unions(
                result.labels, truth, model.classes, data.spec.ignore_index
            )
            kind.append(_Row(*counts, result))
    return _outcome(rows[0]), _outcome(rows[1])


@dataclass(frozen=True)
class _Row:
    intersections: Counts
    unions: Counts
    result: Result


def _outcome(rows: list[_Row]) -> Outcome:
    return Outcome(
        intersections=np.stack([row.intersections for row in rows]),
        unions=np.stack([row.unions for row in rows]),
        taken=np.array([row.result.exit for row in rows], dtype=np.intp),
        latency_ms=np.array([row.result.latency_ms for row in rows]),
    )


def mean_macs(session: Session, taken: NDArray[np.intp]) -> float:
    """Average the work of images that stopped at `taken` (shape N), heads read included."""
    paths = session.bundle.manifest.path_macs
    return fmean(paths[int(exit)] for exit in taken)
