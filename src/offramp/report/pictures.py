"""Send a few images through the exits of a plan, and keep what each exit says as a picture."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from offramp.core.errors import BadInput
from offramp.core.head import OWN
from offramp.core.progress import Track
from offramp.data.colour import overlay
from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.data.sample import Sample
from offramp.evaluation import answers as answers_at
from offramp.metrics.trace import Trace
from offramp.models.network import END, MultiExitNetwork
from offramp.report.examples import Example
from offramp.report.material import NamedPlan

WIDTH = 480
"""Pictures in the page are at most this wide, in pixels."""


@dataclass(frozen=True)
class Answer:
    """What one exit says of an image.

    Attributes:
        name: position and head.
        picture: the colour overlay as a data URI.
        miou: per-image mIoU, from 0 to 1; NaN without a labelled pixel.
        score: the deciding score; nothing where no score decides.
        threshold: the exit's threshold; nothing where no score decides.
        role: "passed", "stop" (the plan's answer), or "unread" (the plan never runs it).
    """

    name: str
    picture: str
    miou: float
    score: float | None
    threshold: float | None
    role: str


@dataclass(frozen=True)
class Walk:
    """An image's way through the exits.

    Attributes:
        name: of the image's file.
        example: why it was chosen, and where it stops.
        image: the input as a data URI.
        truth: the true labels over it as a data URI.
        answers: of the plan's exits, then the network's own end if it is not among them.
    """

    name: str
    example: Example
    image: str
    truth: str
    answers: tuple[Answer, ...]


def find_split(data: Dataset, trace: Trace) -> str:
    """Find the split that a trace was recorded on.

    Raises:
        BadInput: no split has these images.
    """
    for split in sorted(data.splits, key=lambda name: name != "calib"):
        if tuple(sample.name for sample in data.samples(split)) == trace.images:
            return split
    raise BadInput(
        f"no split of {data.file} has the images of the trace",
        expected=f"{len(trace.images)} images from {trace.images[0]} on",
        repair="record again: offramp record RUN",
    )


def walk_examples(
    network: MultiExitNetwork,
    data: Dataset,
    split: str,
    named: NamedPlan,
    trace: Trace,
    examples: Sequence[Example],
    track: Track,
) -> list[Walk]:
    """Show each example to the plan's exits and to the network's own end.

    Scores and mIoU come from the trace; the network only gives the pictures.

    Raises:
        DataFault: an image or mask cannot be read.
        UnknownName: the network lacks a head of the plan.
    """
    samples = data.samples(split)
    return [
        _walk(network, data, samples[example.image], named, trace, example)
        for example in track(examples, len(examples), "drawing examples")
    ]


def data_uri(picture: Array) -> str:
    """Write an RGB image H×W×3 as the address of a JPEG that lies in the address itself."""
    image = Image.fromarray(picture)
    if image.width > WIDTH:
        size = (WIDTH, max(round(image.height * WIDTH / image.width), 1))
        image = image.resize(size, Image.Resampling.LANCZOS)
    target = io.BytesIO()
    image.save(target, format="JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode("ascii")


def _walk(
    network: MultiExitNetwork,
    data: Dataset,
    sample: Sample,
    named: NamedPlan,
    trace: Trace,
    example: Example,
) -> Walk:
    image, truth = data.read(sample)
    visited = [(exit.point, exit.head) for exit in named.plan.exits]
    if visited[-1][0] != END:
        visited.append((END, OWN))
    answers = []
    for index, labels in enumerate(answers_at(network, image, truth.shape, visited)):
        planned = named.plan.exits[index] if index < len(named.plan.exits) else None
        row = trace.index(*visited[index])
        score = None
        if planned is not None and planned.threshold is not None:
            score = float(trace.score(row, named.plan.deciding_scores(planned)[0])[example.image])
        role = "stop" if index == example.stop else "passed" if index < example.stop else "unread"
        miou = trace.miou_per_image(np.full(len(trace.images), row))[example.image]
        answers.append(
            Answer(
                name="/".join(visited[index]),
                picture=data_uri(overlay(image, labels, data.palette)),
                miou=float(miou),
                score=score,
                threshold=planned.threshold if planned is not None else None,
                role=role,
            )
        )
    shown = data_uri(overlay(image, truth, data.palette))
    return Walk(sample.image.name, example, data_uri(image), shown, tuple(answers))
