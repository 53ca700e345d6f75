"""Run a multi-exit network over a data set once, and write down the trace."""

from collections.abc import Sequence

import numpy as np
import torch

from offramp.core.progress import Track, silent
from offramp.core.score import RECORDED
from offramp.data.dataset import Dataset
from offramp.data.images import Array, resize_image
from offramp.metrics.confusion import intersections_unions
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork


@torch.inference_mode()
def record(
    network: MultiExitNetwork, data: Dataset, split: str = "calib", track: Track = silent
) -> Trace:
    """Read every head of every exit on every image of `split`.

    Answers are compared at the mask's own resolution, as they are returned to a user. Images
    go through one by one: no score may depend on its neighbours in a batch.

    Raises:
        UnknownName: there is no such split.
        DataFault: an image or mask cannot be read.
    """
    network.eval()
    samples = data.samples(split)
    spec = network.spec
    exits = [(point, head) for point in network.points for head in network.head_names(point)]
    shape = (len(exits), len(samples))
    scores = np.zeros((*shape, len(RECORDED)))
    intersections = np.zeros((*shape, spec.classes), dtype=np.int64)
    unions = np.zeros_like(intersections)
    for n, sample in enumerate(track(samples, len(samples), f"recording {split}")):
        image, truth = data.read(sample)
        frame = torch.from_numpy(resize_image(image, spec.size).copy())[None]
        state, row = network.begin(frame), 0
        for index, point in enumerate(network.points):
            state = network.advance(index, state)
            for head in network.head_names(point):
                reading = network.read(index, state, head, RECORDED)
                labels = network.decode(reading.logits, truth.shape)[0].numpy()
                counts = intersections_unions(labels, truth, spec.classes, spec.ignore_index)
                intersections[row, n], unions[row, n] = counts
                scores[row, n] = [float(reading.scores[s.name]) for s in RECORDED]
                row += 1
    return Trace(
        images=tuple(sample.name for sample in samples),
        exits=tuple(exits),
        names=spec.names,
        score_names=tuple(s.name for s in RECORDED),
        scores=scores,
        intersections=intersections,
        unions=unions,
        size=spec.size,
    )


@torch.inference_mode()
def answers(
    network: MultiExitNetwork,
    image: Array,
    size: tuple[int, ...],
    exits: Sequence[tuple[str, str]],
) -> list[Array]:
    """Walk one image's path once; the labels (uint8 H×W of `size`) of the exits named.

    Args:
        network: what answers.
        image: uint8 RGB H×W×3 of any size.
        size: height and width of the labels.
        exits: pairs of position and head name, in the order of the path.

    Raises:
        UnknownName: the network lacks a head.
    """
    network.eval()
    heads = dict(exits)
    state = network.begin(torch.from_numpy(resize_image(image, network.spec.size).copy())[None])
    labels = []
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        if point in heads:
            logits = network.read(index, state, heads[point]).logits
            labels.append(network.decode(logits, (size[0], size[1]))[0].numpy())
    return labels
