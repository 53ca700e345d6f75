"""Write pieces of a multi-exit network as ONNX graphs of fixed size, batch 1."""

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from offramp.core.bundle import CELLS, EXIT_BEFORE, FRAME, FRAME_BEFORE, Graph
from offramp.core.score import ScoreSpec
from offramp.core.wiring import LABELS, LOGITS, SCORES, SIZE
from offramp.models.network import MultiExitNetwork, Segment, State
from offramp.models.split import IMAGE
from offramp.scores import Context, labels

OPSET = 18


class Span(nn.Module):
    """The segments from `first` to `last` as one, normalisation included where it is the start.

    Args:
        network: what is exported.
        first: index of the first segment.
        last: index of the last segment.
    """

    def __init__(self, network: MultiExitNetwork, first: int, last: int) -> None:
        super().__init__()
        self.first = first
        points, segments = network.points[first : last + 1], list(network.segments)
        inside = segments[first : last + 1]
        self.network = _part(network, points, inside, {point: {} for point in points})
        produced = [name for segment in inside for name in segment.gives]
        wanted = {name for segment in segments[last + 1 :] for name in segment.takes}
        takes = dict.fromkeys(
            name for segment in inside for name in segment.takes if name not in produced
        )
        feature = inside[-1].gives[0]
        live = [name for name in dict.fromkeys(produced) if name in wanted and name != feature]
        if first == 0 and IMAGE in wanted:
            live.append(IMAGE)
        self.takes = (FRAME,) if first == 0 else tuple(takes)
        self.gives = (feature, *live)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Map the values `takes` to the values `gives`, both in order."""
        if self.first == 0:
            state = self.network.begin(values[0])
            seen = dict(state.values)
        else:
            seen = dict(zip(self.takes, values, strict=True))
            state = State(seen, values[0])
        for segment in self.network.segments:
            given = segment(*(seen[name] for name in segment.takes))
            seen.update(zip(segment.gives, given, strict=True))
        return tuple(seen[name] for name in self.gives)


class ScoredHead(nn.Module):
    """A head with its S scores.

    Takes the feature 1×D×h×w, then the labels 1×h×w of the exit and of the frame before, each
    only if a score compares with it. Gives logits 1×C×h×w and scores S; and its own labels
    1×h×w if any score compares.
    """

    def __init__(
        self, network: MultiExitNetwork, index: int, head: str, scores: Sequence[ScoreSpec]
    ) -> None:
        super().__init__()
        point = network.points[index]
        self.network = _part(network, (point,), (), {point: {head: network.head(point, head)}})
        if network.auxiliaries is not None:
            self.network.auxiliaries = network.auxiliaries.only(index, head)
        self.head = head
        self.scores = tuple(scores)
        needs = {spec.needs for spec in scores}
        pairs = (("exit", EXIT_BEFORE), ("frame", FRAME_BEFORE))
        self.takes = tuple(name for need, name in pairs if need in needs)
        self.gives = (LOGITS, SCORES, *((CELLS,) if self.takes else ()))

    def forward(self, feature: Tensor, *before: Tensor) -> tuple[Tensor, ...]:
        """Read the head."""
        context = Context(**dict(zip(self.takes, before, strict=True)))
        reading = self.network.read(0, State({}, feature), self.head, self.scores, context)
        given = reading.logits, torch.cat([reading.scores[spec.name] for spec in self.scores])
        return (*given, labels(reading.logits)) if self.takes else given


def write_span(
    span: Span, values: Sequence[Tensor], file: Path
) -> tuple[Graph, tuple[Tensor, ...]]:
    """Write a span; returns its description and what it gives for `values`."""
    write_module(span, tuple(values), file, span.takes, span.gives)
    with torch.inference_mode():
        given = span(*values)
    return Graph(file=file.name, takes=span.takes, gives=span.gives), given


def write_head(head: ScoredHead, feature: Tensor, feature_name: str, file: Path) -> Graph:
    """Write a head with its scores; labels that it takes are those of its own grid."""
    logits = head.network.read(0, State({}, feature), head.head).logits
    takes = (feature_name, *head.takes)
    before = [labels(logits) for _ in head.takes]  # the exporter takes one tensor for one input
    write_module(head, (feature, *before), file, takes, head.gives)
    return Graph(file=file.name, takes=takes, gives=head.gives)


def write_decoder(classes: int, file: Path) -> Graph:
    """Write the decoder: logits 1×C×h×w and size (int64: height, width) to labels uint8 1×H×W.

    The same arithmetic as `MultiExitNetwork.decode`: bilinear, pixel centres aligned, best class.
    The best class is found by comparing one class after another, which ONNX Runtime does faster
    than its arg-max over channels.
    """
    leading = helper.make_tensor("leading", TensorProto.INT64, [2], [1, classes])
    first = helper.make_tensor("first", TensorProto.INT64, [1], [1])
    numbers = [helper.make_tensor(f"k{k}", TensorProto.UINT8, [1], [k]) for k in range(classes)]
    nodes = [
        helper.make_node("Concat", ["leading", SIZE], ["sizes"], axis=0),
        helper.make_node(
            "Resize",
            [LOGITS, "", "", "sizes"],
            ["enlarged"],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node(
            "Split", ["enlarged"], [f"c{k}" for k in range(classes)], axis=1, num_outputs=classes
        ),
        *_best_of(classes),
        helper.make_node("Squeeze", [f"best{classes - 1}", "first"], [LABELS]),
    ]
    takes = [
        helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, classes, None, None]),
        helper.make_tensor_value_info(SIZE, TensorProto.INT64, [2]),
    ]
    gives = [helper.make_tensor_value_info(LABELS, TensorProto.UINT8, [1, None, None])]
    graph = helper.make_graph(nodes, "decoder", takes, gives, [leading, first, *numbers])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    return Graph(file=file.name, takes=(LOGITS, SIZE), gives=(LABELS,))


def _best_of(classes: int) -> list[onnx.NodeProto]:
    """Compare class k with the largest logit before it, for every k from 1; ties go to the first.

    The labels so far are `best0` to `bestK`, the largest logits `most0` to `mostK`.
    """
    nodes = [helper.make_node("Identity", ["c0"], ["most0"])]
    if classes > 1:  # a single number: the first comparison spreads it
        nodes.append(helper.make_node("Identity", ["k0"], ["best0"]))
    else:
        nodes.append(helper.make_node("Greater", ["c0", "c0"], ["over0"]))
        nodes.append(helper.make_node("Where", ["over0", "k0", "k0"], ["best0"]))
    for k in range(1, classes):
        nodes += [
            helper.make_node("Greater", [f"c{k}", f"most{k - 1}"], [f"over{k}"]),
            helper.make_node("Where", [f"over{k}", f"k{k}", f"best{k - 1}"], [f"best{k}"]),
        ]
        if k + 1 < classes:
            nodes.append(helper.make_node("Max", [f"most{k - 1}", f"c{k}"], [f"most{k}"]))
    return nodes


def write_module(
    module: nn.Module,
    values: tuple[Tensor, ...],
    file: Path,
    takes: Sequence[str],
    gives: Sequence[str],
) -> None:
    """Export with torch's exporter, and keep its chatter off the terminal."""
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                values,
                str(file),
                input_names=list(takes),
                output_names=list(gives),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)


def _part(
    network: MultiExitNetwork,
    points: Sequence[str],
    segments: Sequence[Segment],
    heads: Mapping[str, Mapping[str, nn.Module]],
) -> MultiExitNetwork:
    """Share some segments and heads; the exporter drags along every parameter that it finds."""
    part = MultiExitNetwork(network.spec, network.intake, points, segments, heads)
    return part.to(network.mean.device)
