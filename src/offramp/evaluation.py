"""Run a multi-exit network over a data set once, and write down the trace."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offramp.core.progress import Track, silent
from offramp.core.score import RECORDED, ScoreSpec, class_scores
from offramp.data.dataset import Dataset
from offramp.data.images import Array, resize_image
from offramp.metrics.confusion import intersections_unions
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork
from offramp.scores import labels as cells_of
from offramp.scores.agreement import agreement


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
    specs = (*RECORDED, *class_scores(spec.classes), *network.learned)
    sheet = _Sheet(exits, len(samples), spec.classes, specs)
    for n, sample in enumerate(track(samples, len(samples), f"recording {split}")):
        image, truth = data.read(sample)
        frame = torch.from_numpy(resize_image(image, spec.size).copy())[None]
        state, answers = network.begin(frame), list[Array]()
        for index, point in enumerate(network.points):
            state = network.advance(index, state)
            for head in network.head_names(point):
                reading = network.read(index, state, head, specs)
                labels = network.decode(reading.logits, truth.shape)[0].numpy()
                counts = intersections_unions(labels, truth, spec.classes, spec.ignore_index)
                sheet.note(n, len(answers), counts, reading.scores, cells_of(reading.logits))
                answers.append(labels)
        sheet.compare(
            n, answers, follows=bool(sample.clip) and n > 0 and sample.clip == samples[n - 1].clip
        )
    return Trace(
        images=tuple(sample.name for sample in samples),
        exits=tuple(exits),
        names=spec.names,
        score_names=tuple(s.name for s in specs),
        scores=sheet.scores,
        intersections=sheet.intersections,
        unions=sheet.unions,
        size=spec.size,
        disagreement=sheet.disagreement,
        exit_agreement=sheet.exit_agreement,
        frame_agreement=sheet.frame_agreement,
        groups=tuple(sample.group for sample in samples),
        grids=tuple(sheet.grids),
    )


class _Sheet:
    """The tables of a trace as they fill, and the answers to the image before."""

    def __init__(
        self,
        exits: Sequence[tuple[str, str]],
        images: int,
        classes: int,
        specs: Sequence[ScoreSpec],
    ) -> None:
        e, n = len(exits), images
        self.specs = specs
        self.positions = [point for point, _ in exits]
        self.scores = np.zeros((e, n, len(specs)))
        self.intersections = np.zeros((e, n, classes), dtype=np.int64)
        self.unions = np.zeros_like(self.intersections)
        self.disagreement = np.zeros((e, n))
        self.exit_agreement = np.zeros((e, e, n), dtype=np.float32)
        self.frame_agreement = np.zeros_like(self.exit_agreement)
        self.grids = [(0, 0)] * e
        self.cells: list[Tensor] = []
        self.before: list[Tensor] = []

    def note(
        self,
        n: int,
        row: int,
        counts: tuple[NDArray[np.int64], NDArray[np.int64]],
        scores: Mapping[str, Tensor],
        cells: Tensor,
    ) -> None:
        """Write down one exit's answer to image n."""
        self.grids[row] = int(cells.shape[1]), int(cells.shape[2])
        self.intersections[row, n], self.unions[row, n] = counts
        self.scores[row, n] = [float(scores[spec.name]) for spec in self.specs]
        self.cells.append(cells)

    def compare(self, n: int, answers: Sequence[Array], follows: bool) -> None:
        """Compare all answers to image n with each other, and with those to the image before."""
        self.disagreement[:, n] = [float((a != answers[-1]).mean()) for a in answers]
        for row, cells in enumerate(self.cells):
            earlier = self.positions.index(self.positions[row])
            self.exit_agreement[row, :earlier, n] = _agreements(cells, self.cells[:earlier])
            if follows:
                self.frame_agreement[row, :, n] = _agreements(cells, self.before)
        self.before, self.cells = self.cells, []


def _agreements(cells: Tensor, others: Sequence[Tensor]) -> list[float]:
    """Compare one answer's cells 1×h×w with each of others."""
    mine = cells[:, None].float()
    return [float(agreement(mine, other)) for other in others]


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
