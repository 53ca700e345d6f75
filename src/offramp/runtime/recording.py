"""Run an engine over a data set once, and write down the trace: what its exits said there.

The trace of `offramp.evaluation.record` says what the network says in torch. Engines that compute
in fewer bits say something else, and thresholds hold only for the scores that they were fitted on.
So they are fitted again on what the very engine says of the very graphs that will run.
"""

from collections.abc import Sequence

import numpy as np

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.core.head import OWN
from offramp.core.plan import Plan
from offramp.core.progress import Track, silent
from offramp.core.score import ScoreSpec
from offramp.data.dataset import Dataset
from offramp.data.images import Array, resize_image
from offramp.metrics.confusion import intersections_unions
from offramp.metrics.trace import Trace
from offramp.runtime.engine import Engine, Reading, on_grid

END = "end"
"""The position of the network's own end, as `models.network` names it."""


def record(
    engine: Engine, bundle: Bundle, data: Dataset, split: str = "calib", track: Track = silent
) -> Trace:
    """Read every exit of a bundle on every image of `split`, with the scores that its plan names.

    Answers are compared at the mask's own resolution, as they are returned to a user.

    Args:
        engine: holds `bundle`.
        bundle: what is recorded; its own end comes last, whether the plan goes there or not.
        data: labelled images.
        split: which of them.
        track: shows progress.

    Raises:
        BadInput: the data set has other classes than the bundle.
        UnknownName: there is no such split.
        DataFault: an image or mask cannot be read.
    """
    check_classes(bundle, data)
    samples = data.samples(split)
    model, scores = bundle.manifest.model, bundle.manifest.plan.scores
    exits = exits_to_end(bundle.manifest.plan)
    sheet = _Sheet(len(exits), len(samples), model.classes, scores)
    for n, sample in enumerate(track(samples, len(samples), f"recording {split}")):
        image, truth = data.read(sample)
        state, answers, readings = engine.begin(resize_image(image, model.size)), [], []
        for index in range(len(exits)):
            state = engine.advance(index, state)
            reading = engine.read(index, state.beside(None, None))
            labels = engine.decode(reading.logits, (truth.shape[0], truth.shape[1]))
            counts = intersections_unions(labels, truth, model.classes, data.spec.ignore_index)
            sheet.intersections[index, n], sheet.unions[index, n] = counts
            readings.append(reading)
            answers.append(labels)
        clip = samples[n - 1].clip if n else ""
        sheet.note(n, readings, answers, follows=sample.clip != "" and sample.clip == clip)
    plain = engine.precision == "f32"
    return Trace(
        images=tuple(sample.name for sample in samples),
        exits=tuple(exits),
        names=model.names,
        score_names=tuple(sheet.names),
        scores=sheet.scores,
        intersections=sheet.intersections,
        unions=sheet.unions,
        size=model.size,
        disagreement=sheet.disagreement,
        exit_agreement=sheet.exit_agreement,
        frame_agreement=sheet.frame_agreement,
        groups=tuple(sample.group for sample in samples),
        grids=tuple(sheet.grids),
        precision=engine.precision,
        engine="" if plain else engine.name,
    )


def exits_to_end(plan: Plan) -> list[tuple[str, str]]:
    """List the position and head of each exit of a plan's bundle, the own end always last."""
    exits = [(planned.point, planned.head) for planned in plan.exits]
    return exits if exits[-1] == (END, OWN) else [*exits, (END, OWN)]


def check_classes(bundle: Bundle, data: Dataset) -> None:
    """Refuse a data set of other classes than the bundle's.

    Raises:
        BadInput: it has.
    """
    model = bundle.manifest.model
    if data.names != model.names:
        raise BadInput(
            f"{data.file} has other classes than {bundle.folder}",
            expected=", ".join(model.names),
            got=", ".join(data.names),
        )


class _Sheet:
    """The tables of a trace as they fill, and the answers to the image before.

    Args:
        exits: E, how many.
        images: N, how many.
        classes: C, how many.
        scores: of the plan. Those that compare with other labels are kept as tables of pairs,
            and only if the plan names one: else engines give no labels of cells.
    """

    def __init__(self, exits: int, images: int, classes: int, scores: Sequence[str]) -> None:
        needs = {ScoreSpec.parse(name).needs for name in scores}
        self.columns = [i for i, name in enumerate(scores) if not ScoreSpec.parse(name).needs]
        self.names = [scores[i] for i in self.columns]
        self.scores = np.zeros((exits, images, len(self.names)))
        self.intersections = np.zeros((exits, images, classes), dtype=np.int64)
        self.unions = np.zeros_like(self.intersections)
        self.disagreement = np.zeros((exits, images))
        pairs = np.zeros((exits, exits, images), dtype=np.float32)
        self.exit_agreement = pairs.copy() if "exit" in needs else None
        self.frame_agreement = pairs.copy() if "frame" in needs else None
        self.grids = [(0, 0)] * exits
        self.before: list[Array] = []

    def note(
        self, n: int, readings: Sequence[Reading], answers: Sequence[Array], follows: bool
    ) -> None:
        """Write down what all exits say of image n, and how their answers compare."""
        cells = [reading.cells for reading in readings if reading.cells is not None]
        for row, reading in enumerate(readings):
            self.scores[row, n] = [reading.scores[i] for i in self.columns]
            self.disagreement[row, n] = float((answers[row] != answers[-1]).mean())
            height, width = reading.logits.shape[-2:]
            self.grids[row] = int(height), int(width)
            if self.exit_agreement is not None:
                self.exit_agreement[row, :row, n] = _agreements(cells[row], cells[:row])
            if self.frame_agreement is not None and follows:
                self.frame_agreement[row, :, n] = _agreements(cells[row], self.before)
        self.before = cells


def _agreements(cells: Array, others: Sequence[Array]) -> list[float]:
    """Compare one answer's cells 1×h×w with each of others: the share of equal labels."""
    return [float((cells == on_grid(other, *cells.shape[1:])).mean()) for other in others]
