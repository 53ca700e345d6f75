"""Every network of the zoo keeps what all promise: shapes, gradients, claims, costs, export."""

import copy
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from offramp.core.bundle import FRAME, Graph
from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import OWN
from offramp.core.headcost import head_cost
from offramp.core.model import ModelSpec, Size
from offramp.core.score import ScoreSpec
from offramp.export.graphs import ScoredHead, Span, write_head, write_span
from offramp.models import zoo
from offramp.models.blocks import profile, usual_exits
from offramp.models.count import count, count_macs, count_parameters
from offramp.models.layers import cropped
from offramp.models.network import END, MultiExitNetwork, attach
from offramp.runtime.ort import load_graph

TIMMS = ("timm:test_resnet", "timm:tf_efficientnet_lite0")
NAMES = (*zoo.ZOO, *TIMMS)
CLASSES = 3

SIZES: dict[str, Size] = {"lenet": (28, 28), "hrnet_w18_small_v2": (60, 92)}
"""Other sizes than 64×96: HRNet's is one that must be padded to it."""

NARROW = {
    name: {"width": 0.25} for name, entry in zoo.ZOO.items() if entry.knobs.get("width") == 1.0
}
STRIDES = {"lenet": 28, "hrnet_w18": 4, "hrnet_w18_small_v2": 4, **dict.fromkeys(TIMMS, 4)}
"""Output strides other than 8."""

IDLE = {
    "bisenetv2": ("context.average.0.bias",),
    "ddrnet23_slim": ("stem.0.bias", "stem.3.bias"),
    "hrnet_w18": ("classifier.0.bias",),
    "hrnet_w18_small_v2": ("classifier.0.bias",),
}
"""Published, but batch norm subtracts them again: in training their gradient is nought."""

SCORE = ScoreSpec.parse("mean-top1")


@dataclass(frozen=True)
class Case:
    """A network as its author built it, and the same with exits at its usual points."""

    spec: ModelSpec
    module: nn.Module
    network: MultiExitNetwork

    @property
    def name(self) -> str:
        return self.spec.name


def frames(size: Size, images: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, *size, 3), dtype=torch.uint8, generator=generator)


def walk(network: MultiExitNetwork, images: Tensor) -> dict[tuple[str, str], Tensor]:
    """Read every head; logits by position and name."""
    state, read = network.begin(images), {}
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        for name in network.head_names(point):
            read[point, name] = network.read(index, state, name).logits
    return read


@functools.cache
def make(name: str) -> Case:
    """Build a network, and let it see images, so that its batch norms have something to say.

    Leave its weights alone.
    """
    spec = ModelSpec(
        name=name,
        names=tuple("abc"),
        size=SIZES.get(name, (64, 96)),
        knobs=NARROW.get(name, {}),
    )
    torch.manual_seed(0)
    module = zoo.build_spec(spec)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)  # timm begins with noughts, which stop gradients
    network = attach(module, spec, dict.fromkeys(usual_exits(spec), (zoo.entry(name).head,)))
    with torch.no_grad():
        walk(network.train(), frames(spec.size, 2))
    return Case(spec, module.eval(), network.eval())


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    """Each network in turn, in eval mode."""
    return make(request.param)


@torch.no_grad()
def test_logits_come_at_the_stride_of_the_end(case: Case) -> None:
    stride = STRIDES.get(case.name, 8)
    height, width = (math.ceil(side / stride) for side in case.spec.size)
    read = walk(case.network, frames(case.spec.size, 2))
    assert read[END, OWN].shape == (2, CLASSES, height, width)
    assert len(read) == len(case.network.points)
    for exit_, logits in read.items():
        assert logits.shape[:2] == (2, CLASSES), exit_
        assert torch.isfinite(logits).all(), exit_


@torch.no_grad()
def test_the_end_answers_as_the_original_bit_for_bit(case: Case) -> None:
    images = frames(case.spec.size, 2)
    begun = case.network.begin(images).feature
    whole = case.module(begun)
    if case.network.intake.size != case.spec.size:
        whole = cropped(whole, case.spec.size, case.network.intake.size)
    assert torch.equal(walk(case.network, images)[END, OWN], whole)


@torch.no_grad()
def test_each_segment_to_be_exported_gives_what_the_path_gives(case: Case) -> None:
    network, image = case.network, frames(case.spec.size)
    values, state = {FRAME: image}, network.begin(image)
    for index in range(len(network.points)):
        span = Span(network, index, index)
        values.update(zip(span.gives, span(*(values[n] for n in span.takes)), strict=True))
        state = network.advance(index, state)
        assert torch.equal(values[span.gives[0]], state.feature)
        assert all(torch.equal(values[name], value) for name, value in state.values.items())


def test_pieces_cost_what_the_uncut_network_costs(case: Case) -> None:
    network, module = case.network, case.module
    costs = count(network)
    whole = costs.of([(END, OWN)])
    image = network.intake.sample(module)
    assert whole.macs == count_macs(lambda: module(image))
    assert whole.parameters == count_parameters(module)


@torch.no_grad()
def test_heads_cost_what_arithmetic_says(case: Case) -> None:
    network, head = case.network, zoo.entry(case.name).head
    costs, state = count(network), network.begin(frames(case.spec.size))
    for index, point in enumerate(network.points[:-1]):
        state = network.advance(index, state)
        _, d, height, width = state.feature.shape
        expected = head_cost(head, (d, height, width), CLASSES)
        (counted,) = costs.heads[point].values()
        assert (counted.macs, counted.parameters) == (expected.macs, expected.parameters)


def test_the_gradient_reaches_every_parameter_and_a_step_leaves_numbers(case: Case) -> None:
    torch.manual_seed(0)
    network = copy.deepcopy(case.network).train()
    images = frames(case.spec.size, 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = [logits.square().mean() for logits in walk(network, images).values()]
    torch.stack(losses).sum().backward()
    idle = IDLE.get(case.name, ())
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if name.endswith(idle) and "segments" in name:
            assert parameter.grad.abs().max() < 1e-4, name
        else:
            assert parameter.grad.any(), name
    optimizer.step()
    with torch.no_grad():
        for mode in (True, False):
            read = walk(network.train(mode), images)
            assert all(torch.isfinite(logits).all() for logits in read.values())


@pytest.mark.parametrize("name", zoo.ZOO)
def test_points_claim_what_is_measured(name: str) -> None:
    entry = zoo.ZOO[name]
    classes, side = (10, 28) if name == "lenet" else (21, 512)
    with torch.device("meta"):
        module = zoo.build(name, classes)
    *blocks, end = profile(module, (side, side), entry.blocks).blocks
    assert end.name == END
    for point, block in zip(entry.points, blocks, strict=True):
        assert (point.name, point.channels, point.stride) == (
            block.name,
            block.channels,
            block.stride,
        )
        assert point.share == pytest.approx(block.path_macs / end.path_macs, abs=1e-3), block.name
    assert set(entry.exits) <= set(entry.blocks)


@torch.no_grad()
@pytest.mark.parametrize("name", zoo.ZOO)
def test_features_have_the_channels_and_strides_that_points_claim(name: str) -> None:
    entry = zoo.ZOO[name]
    size = (28, 28) if name == "lenet" else (64, 128)
    spec = ModelSpec(name=name, names=tuple("abc"), size=size)
    network = attach(zoo.build_spec(spec), spec, dict.fromkeys(entry.blocks, ())).eval()
    assert network.points == (*entry.blocks, END)
    state = network.begin(frames(size))
    for index, point in enumerate(entry.points):
        state = network.advance(index, state)
        d, height, width = state.feature.shape[1:]
        assert d == point.channels, point.name
        strides = [round(side / cells) for side, cells in zip(size, (height, width), strict=True)]
        assert strides == [point.stride] * 2, point.name


# --------------------------------------------------------------------------------- export

WITH_HEADS = {"fastscnn": (1, 4), "hrnet_w18_small_v2": (3,), "lenet": (0, 1)}
"""Positions whose heads are exported: plain, own, on maps that were padded, fully connected."""

LIKE = {
    "fcn_resnet50": "deeplabv3_resnet50",
    "fcn_mobilenetv2": "deeplabv3_mobilenetv2",
    "hrnet_w18": "hrnet_w18_small_v2",
}
"""Networks of which only the last segment is exported: the others do only what another's do."""


def operations(segment: nn.Module) -> set[str]:
    """Name what a segment consists of: modules with all their settings, and functions."""
    graphs = [part.graph for part in segment.modules() if isinstance(part, fx.GraphModule)]
    called = {
        str(node.target)
        for graph in graphs
        for node in graph.nodes
        if node.op in ("call_function", "call_method")
    }
    return called | {repr(part) for part in segment.modules() if not list(part.children())}


def assert_same(graph: Graph, file: Path, values: list[Tensor], wanted: tuple[Tensor, ...]) -> None:
    """Compare what the engine gives, relative to the largest of what torch gives."""
    feeds = {name: value.numpy() for name, value in zip(graph.takes, values, strict=True)}
    given = load_graph(file).run(list(graph.gives), feeds)
    for name, ours, theirs in zip(graph.gives, given, wanted, strict=True):
        assert tuple(ours.shape) == tuple(theirs.shape), name
        gap = (torch.from_numpy(ours) - theirs).abs().max() / theirs.abs().max()
        assert gap < 1e-4, name


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_every_segment_s_graph_gives_what_torch_gives(name: str, tmp_path: Path) -> None:
    network = make(name).network
    other = make(LIKE[name]).network if name in LIKE else None
    values = {FRAME: frames(network.spec.size)}
    for index in range(len(network.points)):
        span = Span(network, index, index)
        taken = [values[key] for key in span.takes]
        if other is not None and index < len(network.points) - 1:
            ours = operations(network.segments[index])
            assert len(ours) > 3
            assert ours <= operations(other.segments[index])
            values.update(zip(span.gives, span(*taken), strict=True))
            continue
        graph, given = write_span(span, taken, tmp_path / "segment.onnx")
        assert_same(graph, tmp_path / "segment.onnx", taken, given)
        values.update(zip(span.gives, given, strict=True))
        if index in WITH_HEADS.get(name, ()):
            (head_name,) = network.head_names(network.points[index])
            head = ScoredHead(network, index, head_name, [SCORE])
            graph = write_head(head, given[0], span.gives[0], tmp_path / "head.onnx")
            assert_same(graph, tmp_path / "head.onnx", [given[0]], head(given[0]))


# ---------------------------------------------------------------------------------- knobs

OTHER: dict[str, Any] = {"width": 0.5, "expansion": 2, "repetition": 1, "pyramid": False}
KNOBS = [(name, knob, default) for name in NAMES for knob, default in zoo.entry(name).knobs.items()]


def shapes(name: str, **knobs: Any) -> dict[str, torch.Size]:
    """Build a network without memory where that can be; the shapes of its parameters."""
    with torch.device("cpu" if name.startswith(zoo.TIMM) else "meta"):
        module = zoo.build(name, CLASSES, **knobs)
    return {key: value.shape for key, value in module.named_parameters()}


@pytest.mark.parametrize(("name", "knob", "default"), KNOBS)
def test_a_knob_is_at_its_default_and_turns(name: str, knob: str, default: Any) -> None:
    usual = shapes(name)
    assert shapes(name, **{knob: default}) == usual
    other = {"channels": 4 - default} if knob == "channels" else {knob: OTHER[knob]}
    turned = shapes(name, **other)
    assert sum(map(math.prod, turned.values())) < sum(map(math.prod, usual.values())) or (
        name == "lenet" and turned["block1.0.weight"][1] == 3
    )


@pytest.mark.parametrize(("name", "knob", "default"), KNOBS)
def test_a_value_of_the_wrong_kind_is_refused(name: str, knob: str, default: Any) -> None:
    wrong = ["1", None, [1], 1 if isinstance(default, bool) else True]
    wrong += [1.5] if type(default) is int else []
    for value in wrong:
        with pytest.raises(BadInput, match=rf"knob '{knob}' of {name}.*expected (a |true).*got"):
            zoo.build(name, CLASSES, **{knob: value})


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_knob_is_told_those_that_there_are(name: str) -> None:
    with pytest.raises(UnknownName) as refused:
        zoo.build(name, CLASSES, depth=3)
    message = str(refused.value)
    assert f"no knob of {name} 'depth'" in message
    known = zoo.entry(name).knobs
    assert f"one of {', '.join(known)}" in message if known else "none is known" in message


@pytest.mark.parametrize(
    ("name", "knob", "value"),
    [
        (name, knob, value)
        for name, knob, default in KNOBS
        for value in ((math.nan, math.inf, -1.0) if isinstance(default, float) else (-1,))
        if type(default) is not bool
    ]
    + [("timm:test_resnet", "channels", 0), ("fastscnn", "channels", 10**12)],
)
def test_a_value_out_of_range_is_refused(name: str, knob: str, value: float) -> None:
    with pytest.raises(BadInput):
        zoo.build(name, CLASSES, **{knob: value})


def test_a_factory_that_fails_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("def net(classes, depth=1):\n    raise KeyError('stage')\n")
    with pytest.raises(
        BadInput, match=r"broken\.py:net cannot be built like that.*KeyError: 'stage'"
    ):
        zoo.build(f"{file}:net", CLASSES)
