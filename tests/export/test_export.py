"""What may be exported, what a bundle holds, and that none leaves which strays."""

import copy
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch

from offramp.core.bundle import Bundle, Graph
from offramp.core.errors import BadInput, ParityError, UnknownName
from offramp.core.plan import Plan
from offramp.data.images import Array
from offramp.export import bundle as exporting
from offramp.export import export
from offramp.export.parity import compare
from offramp.models.count import count
from offramp.models.network import MultiExitNetwork
from offramp.runtime.recording import exits_to_end


@pytest.fixture
def other(network: MultiExitNetwork) -> MultiExitNetwork:
    """A copy of the network, to be spoilt."""
    return copy.deepcopy(network)


@pytest.fixture
def quick(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the graphs of the shared bundle instead of writing them again."""

    def copied(
        network: MultiExitNetwork, plan: Plan, folder: Path
    ) -> tuple[list[Graph], list[Graph]]:
        manifest = bundle.manifest
        for graph in (*manifest.segments, *manifest.heads):
            (folder / graph.file).write_bytes(bundle.path(graph).read_bytes())
        return list(manifest.segments), list(manifest.heads)

    monkeypatch.setattr(exporting, "_write_graphs", copied)


def test_a_bundle_holds_a_segment_and_a_head_per_exit(bundle: Bundle, plan: Plan) -> None:
    manifest = bundle.manifest
    assert manifest.plan == plan
    assert len(manifest.segments) == len(manifest.heads) == len(plan.exits) == 3
    assert {path.name for path in bundle.folder.iterdir()} == {*manifest.files, "manifest.json"}
    assert manifest.segments[0].takes == ("frame",)
    for segment, head in zip(manifest.segments, manifest.heads, strict=True):
        assert head.takes == segment.gives[:1]
        assert head.gives == ("logits", "scores")


def test_each_segment_takes_what_earlier_ones_gave(bundle: Bundle) -> None:
    known = {"frame"}
    for segment in bundle.manifest.segments:
        assert set(segment.takes) <= known
        known |= set(segment.gives)


def test_a_plan_short_of_the_end_gets_a_way_there(short_bundle: Bundle, short_plan: Plan) -> None:
    manifest = short_bundle.manifest
    assert len(manifest.plan.exits) == 1
    assert len(manifest.segments) == len(manifest.heads) == 2
    assert exits_to_end(short_plan) == [("stem", "r4-b1-fcn"), ("end", "own")]


def test_graphs_take_batches_of_one_and_a_fixed_size(bundle: Bundle) -> None:
    graph = onnx.load(bundle.path(bundle.manifest.segments[0])).graph
    (frame,) = graph.input
    assert [dim.dim_value for dim in frame.type.tensor_type.shape.dim] == [1, 64, 96, 3]
    assert frame.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_the_work_of_each_path_is_written_down(
    bundle: Bundle, network: MultiExitNetwork, plan: Plan
) -> None:
    costs, visited = count(network), [(e.point, e.head) for e in plan.exits]
    assert bundle.manifest.path_macs == tuple(costs.of(visited[: i + 1]).macs for i in range(3))
    assert bundle.manifest.full_macs == costs.of([("end", "own")]).macs


def test_the_parity_of_a_faithful_bundle_is_recorded(bundle: Bundle) -> None:
    parity = bundle.manifest.parity
    assert parity.images == 8
    assert parity.max_logit_difference < 1e-3
    assert parity.max_score_difference < 1e-4
    assert parity.label_agreement > 0.999
    assert parity.same_exits == 1.0


def test_versions_are_written_down(bundle: Bundle) -> None:
    assert bundle.manifest.versions["torch"] == torch.__version__.split("+")[0]
    assert set(bundle.manifest.versions) >= {"offramp", "onnx", "onnxruntime", "python"}


@torch.no_grad()
def spoil_backbone(network: MultiExitNetwork) -> None:
    weight = next(p for name, p in network.named_parameters() if name.startswith("segments.0"))
    weight.mul_(-1)


@torch.no_grad()
def spoil_head(network: MultiExitNetwork) -> None:
    next(network.head("bottleneck2", "r4-b1-fcn").parameters()).zero_()


@torch.no_grad()
def spoil_statistics(network: MultiExitNetwork) -> None:
    name, mean = next((n, b) for n, b in network.named_buffers() if n.endswith("running_mean"))
    assert name.startswith("segments.")
    mean.add_(3)


def spoil_normalisation(network: MultiExitNetwork) -> None:
    network.mean = network.mean.flip(1)


def spoil_colours(network: MultiExitNetwork) -> None:
    begin = network.begin
    network.begin = lambda image: begin(image.flip(3))  # type: ignore[method-assign]


SPOILS = (spoil_backbone, spoil_head, spoil_statistics, spoil_normalisation, spoil_colours)


@pytest.mark.parametrize("spoil", SPOILS)
def test_parity_sees_any_part_that_was_changed(
    bundle: Bundle,
    other: MultiExitNetwork,
    frames: list[Array],
    spoil: Callable[[MultiExitNetwork], None],
) -> None:
    faithful = compare(other, bundle, frames[:4])
    spoil(other)
    parity = compare(other, bundle, frames[:4])
    assert parity.max_logit_difference > 10 * max(faithful.max_logit_difference, 1e-4)
    assert parity.max_score_difference > 1e-3 or parity.label_agreement < 0.999


@pytest.mark.usefixtures("quick")
def test_a_bundle_that_strays_is_not_written(
    other: MultiExitNetwork, plan: Plan, frames: list[Array], tmp_path: Path
) -> None:
    spoil_backbone(other)
    with pytest.raises(ParityError, match="does not answer as the network does"):
        export(other, plan, frames[:2], tmp_path / "a.offramp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("field", ["label_agreement", "max_score_difference", "same_exits"])
@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_each_measure_of_parity_can_refuse_a_bundle(
    network: MultiExitNetwork,
    plan: Plan,
    frames: list[Array],
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    value: float,
) -> None:
    parity = bundle.manifest.parity.model_copy(update={field: value})
    monkeypatch.setattr(exporting, "compare", lambda *_: parity)
    with pytest.raises(ParityError):
        export(network, plan, frames, tmp_path / "a.offramp")


@pytest.mark.usefixtures("quick")
def test_a_bundle_that_strays_leaves_the_old_one(
    other: MultiExitNetwork, plan: Plan, frames: list[Array], copied: Path, bundle: Bundle
) -> None:
    spoil_head(other)
    with pytest.raises(ParityError):
        export(other, plan, frames[:2], copied)
    assert Bundle.open(copied).manifest == bundle.manifest


@pytest.mark.usefixtures("quick")
def test_a_bundle_replaces_an_older_one(
    network: MultiExitNetwork, plan: Plan, frames: list[Array], copied: Path
) -> None:
    again = export(network, plan, frames[:2], copied)
    assert again.manifest.parity.images == 2
    assert Bundle.open(copied).manifest == again.manifest


def test_a_folder_that_is_no_bundle_is_left_alone(
    network: MultiExitNetwork, plan: Plan, frames: list[Array], tmp_path: Path
) -> None:
    note = tmp_path / "thesis.tex"
    note.write_text("precious")
    with pytest.raises(BadInput, match="exists and is not a bundle"):
        export(network, plan, frames, tmp_path)
    with pytest.raises(BadInput, match="exists and is not a bundle"):
        export(network, plan, frames, note)
    assert note.read_text() == "precious"


def test_a_plan_of_another_size_is_refused(
    network: MultiExitNetwork, plan: Plan, frames: list[Array], tmp_path: Path
) -> None:
    larger = plan.model_copy(update={"size": (128, 192)})
    with pytest.raises(
        BadInput, match=r"another input size; expected \(64, 96\); got \(128, 192\)"
    ):
        export(network, larger, frames, tmp_path / "a.offramp")


def test_a_plan_of_an_exit_that_is_not_there_is_refused(
    network: MultiExitNetwork, plan: Plan, frames: list[Array], tmp_path: Path
) -> None:
    first = plan.exits[0].model_copy(update={"head": "r1-b1-fcn"})
    changed = plan.model_copy(update={"exits": (first, *plan.exits[1:])})
    with pytest.raises(UnknownName, match="head at stem"):
        export(network, changed, frames, tmp_path / "a.offramp")


def test_no_images_are_refused(network: MultiExitNetwork, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least one image"):
        export(network, plan, [], tmp_path / "a.offramp")
