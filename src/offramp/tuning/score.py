"""What IoU means in a study, and what a network reaches on a split."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.core.head import OWN
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.evaluation import answers
from offramp.metrics.confusion import intersections_unions, iou, mean_iou
from offramp.models.network import END, MultiExitNetwork


def metric(names: Sequence[str]) -> str:
    """Say which IoU counts: of the one class that is sought, or the mean of several."""
    return f"IoU of '{names[1]}'" if len(names) == 2 else f"mIoU of {len(names)} classes"


def score(intersections: NDArray[np.int64], unions: NDArray[np.int64]) -> float:
    """Boil summed counts (shape C) down: IoU of class 1 of two (IOT), else mIoU."""
    if len(unions) == 2:
        found = float(iou(intersections, unions)[1])
        return 0.0 if np.isnan(found) else found
    return float(mean_iou(intersections, unions))


def judge(network: MultiExitNetwork, data: Dataset, split: str, track: Track = silent) -> float:
    """Run a network to its own end on the images of a split, at the masks' own resolution."""
    classes, ignored = network.spec.classes, network.spec.ignore_index
    total = np.zeros((2, classes), dtype=np.int64)
    samples = data.samples(split)
    for sample in track(samples, len(samples), f"judging on {split}"):
        image, truth = data.read(sample)
        (labels,) = answers(network, image, truth.shape, [(END, OWN)])
        total += np.stack(intersections_unions(labels, truth, classes, ignored))
    return score(total[0], total[1])
