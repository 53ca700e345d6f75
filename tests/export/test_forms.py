"""Further forms answer as the network, at several input sizes; the single graph stops for real."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper

from offramp.core.bundle import Bundle, FormParity, hash_files, save_manifest
from offramp.core.errors import BadInput, BundleError, ParityError, UnknownName
from offramp.core.head import HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import AtLeast, Rule
from offramp.data.images import Array, resize_image
from offramp.export import bundle as exporting
from offramp.export import export
from offramp.export.forms import FORMS, compare_form, three_sizes, write_forms
from offramp.export.single import stopping_graph
from offramp.models.network import MultiExitNetwork, build_network
from offramp.runtime.ort import load_graph
from offramp.runtime.session import Session

HEAD = HeadSpec.parse("r1-b0-fcn")
NOTHING = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)


def make_plan(size: tuple[int, int], rule: Rule | None, *scores: str) -> Plan:
    return Plan(
        setting="anytime" if rule is None else "input-dependent",
        scores=scores or ("mean-top1",),
        exits=(
            PlannedExit(point="stem", head=HEAD.name, rule=rule),
            PlannedExit(point="end", head="own"),
        ),
        expected=NOTHING,
        full=NOTHING,
        size=size,
        images=1,
    )


def answer(session: object, frame: Array, size: tuple[int, int]) -> tuple[Array, int, Array]:
    """Run a graph that stops by itself."""
    feed = {"frame": frame[None], "size": np.array(size)}
    labels, taken, scores = session.run(["labels", "exit", "scores"], feed)  # type: ignore[attr-defined]
    return labels[0], int(taken[0]), scores


@pytest.fixture(scope="module")
def formed(
    tmp_path_factory: pytest.TempPathFactory,
    bundle: Bundle,
    network: MultiExitNetwork,
) -> Bundle:
    """The shared bundle with prefixes and the single graph."""
    folder = tmp_path_factory.mktemp("forms") / "formed.offramp"
    folder.mkdir()
    for file in bundle.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = write_forms(("prefixes", "single"), network, bundle.manifest, folder)
    save_manifest(folder, manifest.model_copy(update={"files": hash_files(folder)}))
    return Bundle.open(folder)


def test_a_bundle_with_forms_lists_and_hashes_them(formed: Bundle) -> None:
    manifest = formed.manifest
    assert [graph.file for graph in manifest.prefixes] == [f"prefix_{k}.onnx" for k in range(3)]
    assert all(graph.takes == ("frame",) for graph in manifest.prefixes)
    assert manifest.single is not None
    assert {"prefix_0.onnx", "prefix_2.onnx", "single.onnx"} <= set(manifest.files)
    file = formed.folder / "prefix_1.onnx"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(BundleError, match=r"prefix_1\.onnx was changed"):
        Bundle.open(formed.folder)
    file.write_bytes(content)


def test_forms_answer_as_the_network_does(
    formed: Bundle, network: MultiExitNetwork, frames: list[Array]
) -> None:
    for name in ("prefixes", "single"):
        parity = compare_form(name, network, formed, frames)
        assert parity.label_agreement > 0.999
        assert parity.max_score_difference < 1e-4
        assert parity.same_exits == 1.0
        assert parity.images == len(frames)


def test_a_prefix_holds_no_other_head(formed: Bundle) -> None:
    def weights(name: str) -> list[tuple[int, ...]]:
        graph = onnx.load(formed.folder / name).graph
        return sorted(tuple(w.dims) for w in graph.initializer if len(w.dims) == 4)

    whole = weights("segment_0.onnx") + weights("segment_1.onnx") + weights("head_1.onnx")
    assert weights("prefix_1.onnx") == sorted(whole)


def test_the_single_graph_takes_the_exits_of_a_session(formed: Bundle, frames: list[Array]) -> None:
    session = Session(formed)
    assert formed.manifest.single is not None
    single, taken = load_graph(formed.path(formed.manifest.single)), []
    for frame in three_sizes(frames, (50, 70)):
        result = session.segment(frame)
        small = resize_image(frame, formed.manifest.model.size)
        labels, stopped, scores = answer(single, small, frame.shape[:2])
        assert stopped == result.exit
        assert labels.dtype == np.uint8
        assert (labels == result.labels).mean() > 0.999
        np.testing.assert_allclose(scores, result.scores[-1], atol=1e-5)
        taken.append(stopped)
    assert len(set(taken)) > 1


def failing(model: ModelProto) -> ModelProto:
    """Make a segment fail when it runs, and only then: a look-up beyond the end, from its input."""
    taken = model.graph.input[0]
    far = numpy_helper.from_array(np.array(10**6, np.int64), "far")
    nodes = [
        helper.make_node("Shape", [taken.name], ["shape"]),
        helper.make_node("ReduceMax", [taken.name], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["whole"], to=onnx.TensorProto.INT64),
        helper.make_node("Mul", ["whole", "zero"], ["none"]),
        helper.make_node("Add", ["none", "far"], ["index"]),
        helper.make_node("Gather", ["shape", "index"], ["beyond"]),
        helper.make_node("Cast", ["beyond"], ["number"], to=onnx.TensorProto.FLOAT),
    ]
    feature = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [name if name != feature else "intact" for name in node.output]
    nodes += [*model.graph.node, helper.make_node("Add", ["intact", "number"], [feature])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    zero = numpy_helper.from_array(np.array(0, np.int64), "zero")
    model.graph.initializer.extend([far, zero])
    return model


@pytest.mark.parametrize("spoilt", [1, 2])
def test_what_lies_behind_the_exit_that_is_taken_does_not_run(
    bundle: Bundle, copied: Path, frames: list[Array], spoilt: int
) -> None:
    file = copied / f"segment_{spoilt}.onnx"
    onnx.save(failing(onnx.load(file)), str(file))
    model = stopping_graph(Bundle(copied, bundle.manifest))
    onnx.save(model, str(copied / "single.onnx"))
    single, session = load_graph(copied / "single.onnx"), Session(bundle)
    stopped = []
    for frame in frames:
        taken = session.segment(frame).exit
        small = resize_image(frame, bundle.manifest.model.size)
        if taken < spoilt:
            assert answer(single, small, (9, 9))[1] == taken
        else:
            with pytest.raises(Exception, match=r"(?i)gather|indices"):
                answer(single, small, (9, 9))
        stopped.append(taken < spoilt)
    assert any(stopped)
    assert not all(stopped)


def test_a_budgeted_plan_needs_no_branch(
    short_bundle: Bundle, frames: list[Array], tmp_path: Path
) -> None:
    model = stopping_graph(short_bundle)
    assert "If" not in {node.op_type for node in model.graph.node}
    onnx.save(model, str(file := tmp_path / "single.onnx"))
    small = resize_image(frames[0], short_bundle.manifest.model.size)
    labels, stopped, _ = answer(load_graph(file), small, (33, 41))
    result = Session(short_bundle).segment(resize_image(frames[0], (33, 41)))
    assert (stopped, labels.shape) == (0, result.labels.shape)


@pytest.mark.parametrize(
    ("forms", "plan", "said"),
    [
        (("single",), make_plan((64, 96), None), "cannot follow an anytime plan"),
        (
            ("single",),
            make_plan((64, 96), AtLeast(threshold=0.5), "frame-agreement"),
            "cannot compute the score 'frame-agreement'",
        ),
        (("singel",), make_plan((64, 96), None), "no form 'singel'.* did you mean 'single'"),
    ],
)
def test_a_form_that_cannot_be_is_refused_before_anything_is_written(
    network: MultiExitNetwork,
    frames: list[Array],
    tmp_path: Path,
    forms: tuple[str, ...],
    plan: Plan,
    said: str,
) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        export(network, plan, frames, tmp_path / "a.offramp", forms)
    assert isinstance(caught.value, UnknownName) == (forms == ("singel",))
    assert list(tmp_path.iterdir()) == []


def test_a_form_that_strays_is_not_written(
    network: MultiExitNetwork,
    bundle: Bundle,
    plan: Plan,
    frames: list[Array],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(network: MultiExitNetwork, plan: Plan, folder: Path) -> object:
        for name in bundle.manifest.files:
            (folder / name).write_bytes((bundle.folder / name).read_bytes())
        return bundle.manifest

    strayed = FormParity(images=3, max_score_difference=0, label_agreement=0.5, same_exits=1)
    monkeypatch.setattr(exporting, "_write", write)
    monkeypatch.setattr(exporting, "compare_form", lambda *_: strayed)
    with pytest.raises(ParityError, match="the form 'prefixes' does not answer as the network"):
        export(network, plan, frames[:2], tmp_path / "a.offramp", ("prefixes",))
    assert list(tmp_path.iterdir()) == []


def test_frames_come_in_three_sizes() -> None:
    frame = np.zeros((10, 20, 3), np.uint8)
    sizes = [image.shape[:2] for image in three_sizes([frame], (64, 96))]
    assert sizes == [(64, 96), (39, 57), (97, 145)]
    assert len(three_sizes([frame] * 7, (64, 96))) == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "scores"),
    [
        ((64, 96), ("mean-top1",)),
        ((96, 128), ("mean-top1", "exit-agreement")),
        ((64, 160), ("mean-top1",)),
    ],
)
def test_every_form_is_right_at_every_size(
    size: tuple[int, int], scores: tuple[str, ...], tmp_path: Path
) -> None:
    """Pooling to fixed grids goes wrong silently where an exporter takes a size for another."""
    torch.manual_seed(sum(size))
    rng = np.random.default_rng(5)
    knobs = {"width": 0.25, "expansion": 2, "repetition": 1}
    spec = ModelSpec(name="fastscnn", names=("a", "b", "c"), size=size, knobs=knobs)
    network = build_network(spec, {"stem": [HEAD]}).eval()
    plan = make_plan(size, AtLeast(threshold=0.4), *scores)
    frames = [rng.integers(0, 256, (70, 90, 3), dtype=np.uint8) for _ in range(3)]
    forms = [name for name in FORMS if name != "ncnn"]
    if len(scores) == 1 and find_spec("ncnn") and find_spec("pnnx"):  # it compares no labels
        forms.append("ncnn")
    bundle = export(network, plan, frames, tmp_path / "a.offramp", forms)
    assert set(bundle.manifest.form_parity) == set(forms)
    for parity in bundle.manifest.form_parity.values():
        assert parity.label_agreement > 0.999
        assert parity.max_score_difference < 1e-3
