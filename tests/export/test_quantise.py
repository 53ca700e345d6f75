"""Which values become whole numbers, on which grounds, and how little the answers move."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, numpy_helper

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.data.dataset import Dataset
from offramp.data.images import Array, resize_image
from offramp.data.sample import Sample
from offramp.export import quantise as module
from offramp.export.precise import CONVOLUTIONS
from offramp.export.quantise import quantise, saturates
from offramp.runtime.ort import OnnxRuntimeEngine


class Graph:
    """A model, and who makes which value."""

    def __init__(self, file: Path) -> None:
        self.model: ModelProto = onnx.load(file)
        self.nodes = list(self.model.graph.node)
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.constants = {c.name: numpy_helper.to_array(c) for c in self.model.graph.initializer}

    def convolutions(self) -> list[NodeProto]:
        return [node for node in self.nodes if node.op_type in CONVOLUTIONS]

    def quantised(self, node: NodeProto) -> bool:
        """Tell whether all that a node computes with comes from whole numbers."""
        return all(self.dequantised(name) for name in node.input)

    def dequantised(self, name: str) -> bool:
        return name in self.makers and self.makers[name].op_type == "DequantizeLinear"

    def behind(self, name: str) -> Iterator[NodeProto]:
        """Walk back from a value over all that it is computed from, up to the convolutions."""
        node = self.makers.get(name)
        if node is not None:
            yield node
            if node.op_type not in CONVOLUTIONS:
                for taken in node.input:
                    yield from self.behind(taken)


@pytest.fixture(scope="module")
def samples(dataset: Dataset) -> list[Sample]:
    return dataset.samples("calib")


@pytest.fixture(scope="module")
def folder(
    bundle: Bundle,
    dataset: Dataset,
    samples: list[Sample],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The graphs of the shared bundle, quantised with weights of 8 bits."""
    made = tmp_path_factory.mktemp("int8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "saturates", lambda: False)
        quantise(bundle, dataset, samples, made)
    return made


@pytest.fixture(scope="module")
def eight(bundle: Bundle, folder: Path) -> Bundle:
    return Bundle(folder, bundle.manifest.model_copy(update={"precision": "int8"}))


def test_the_first_convolution_is_float_and_the_others_of_a_segment_are_not(folder: Path) -> None:
    for number in (0, 1):
        graph = Graph(folder / f"segment_{number}.onnx")
        told = [graph.quantised(node) for node in graph.convolutions()]
        assert told == [number > 0, *[True] * (len(told) - 1)]
        assert len(told) > 2


def test_the_last_convolution_of_an_exit_is_float_and_all_behind_it(folder: Path) -> None:
    # The own end's head has no convolution: the one that answers is in the last segment.
    for answering, name in (("head_0", "logits"), ("head_1", "logits"), ("segment_2", None)):
        graph = Graph(folder / f"{answering}.onnx")
        name = name or graph.model.graph.output[0].name
        reached = list(graph.behind(name))
        assert {"QuantizeLinear", "DequantizeLinear"}.isdisjoint(n.op_type for n in reached)
        last = [node for node in reached if node.op_type in CONVOLUTIONS]
        assert len(last) == 1
        assert not graph.dequantised(last[0].input[1])
        assert [graph.quantised(n) for n in graph.convolutions() if n != last[0]].count(False) == 0


def test_scores_are_float(folder: Path) -> None:
    for index in range(3):
        graph = Graph(folder / f"head_{index}.onnx")
        found = {node.op_type for node in graph.behind("scores")}
        assert len(found) > 2
        assert {"QuantizeLinear", "DequantizeLinear"}.isdisjoint(found)


def test_resizing_is_float(folder: Path) -> None:
    # Engines resize whole numbers where those before and after have one scale.
    graph = Graph(folder / "segment_2.onnx")
    resizing = [node for node in graph.nodes if node.op_type == "Resize"]
    for node in resizing:
        takers = [n for n in graph.nodes if node.output[0] in n.input]
        scales = {n.input[1] for n in takers if n.op_type == "QuantizeLinear"}
        if graph.dequantised(node.input[0]):
            assert graph.makers[node.input[0]].input[1] not in scales
    assert resizing


def test_weights_are_whole_numbers_per_channel_and_the_nearest(
    bundle: Bundle, folder: Path
) -> None:
    before, after = Graph(bundle.folder / "segment_1.onnx"), Graph(folder / "segment_1.onnx")
    pairs = list(zip(before.convolutions(), after.convolutions(), strict=True))
    for old, new in pairs:
        weight = before.constants[old.input[1]]  # O×I×k×k
        whole, scale, zero = (after.constants[n] for n in after.makers[new.input[1]].input)
        assert whole.dtype == np.int8
        assert scale.shape == (len(weight),)
        assert not zero.any()
        steps = scale.reshape(-1, 1, 1, 1)
        assert (np.abs(whole * steps - weight) <= 0.5001 * steps).all()
        assert np.abs(whole).max() > 64
    assert len(pairs) > 2


def test_the_range_of_a_value_is_what_it_had_on_the_calibration_images(
    bundle: Bundle, folder: Path, dataset: Dataset, samples: list[Sample]
) -> None:
    engine = OnnxRuntimeEngine(bundle)
    feature = bundle.manifest.heads[0].takes[0]
    seen = []
    for sample in samples:
        frame = resize_image(dataset.read(sample)[0], bundle.manifest.model.size)
        seen.append(engine.advance(0, engine.begin(frame)).values[feature])
    least, most = min(0.0, float(np.min(seen))), max(0.0, float(np.max(seen)))
    graph = Graph(folder / "head_0.onnx")
    first = next(n for n in graph.nodes if n.op_type == "QuantizeLinear" and n.input[0] == feature)
    assert graph.constants[first.input[1]] == pytest.approx((most - least) / 255, rel=1e-5)
    assert graph.constants[first.input[2]].dtype == np.uint8


def test_only_the_images_given_are_looked_at(
    bundle: Bundle,
    dataset: Dataset,
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []
    read = dataset.read

    def noted(sample: Sample) -> tuple[Array, Array]:
        looked.append(sample.name)
        return read(sample)

    monkeypatch.setattr(dataset, "read", noted)
    monkeypatch.setattr(module, "_quantise", lambda *_: None)  # the ranges are known before
    quantise(bundle, dataset, samples[:2], tmp_path)
    assert looked == [sample.name for sample in samples[:2]]


def test_seven_bits_where_products_saturate(
    bundle: Bundle,
    dataset: Dataset,
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "saturates", lambda: True)
    quantise(bundle, dataset, samples[:1], tmp_path)
    graph = Graph(tmp_path / "segment_1.onnx")
    for node in graph.convolutions():
        whole = graph.constants[graph.makers[node.input[1]].input[0]]
        assert whole.dtype == np.int8
        assert np.abs(whole.astype(int)).max() <= 64


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "sse4_2 avx2 fma", True),
        ("x86_64", "avx2 avx512f avx512_vnni", False),
        ("AMD64", "avx2 avx_vnni", False),
        ("aarch64", "neon asimd", False),
    ],
)
def test_saturation_is_told_by_the_processor(
    machine: str, flags: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.platform, "machine", lambda: machine)
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    assert saturates(file) is expected


def test_the_answers_are_close_to_those_in_float(
    bundle: Bundle, eight: Bundle, frames: list[Array]
) -> None:
    engines = OnnxRuntimeEngine(bundle), OnnxRuntimeEngine(eight)
    assert [engine.precision for engine in engines] == ["f32", "int8"]
    agreeing, gaps = [], []
    for image in frames:
        frame = resize_image(image, bundle.manifest.model.size)
        states = [engine.begin(frame) for engine in engines]
        for index in range(3):
            states = [e.advance(index, s) for e, s in zip(engines, states, strict=True)]
            told = [e.read(index, s) for e, s in zip(engines, states, strict=True)]
            labels = [
                e.decode(t.logits, frame.shape[:2]) for e, t in zip(engines, told, strict=True)
            ]
            agreeing.append(float((labels[0] == labels[1]).mean()))
            gaps.append(abs(told[0].scores[0] - told[1].scores[0]))
    assert np.mean(agreeing) > 0.97
    assert np.mean(agreeing) < 1
    assert max(gaps) < 0.05


def test_what_cannot_be_quantised_is_refused(
    bundle: Bundle, eight: Bundle, dataset: Dataset, samples: list[Sample], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="quantised already"):
        quantise(eight, dataset, samples, tmp_path)
    with pytest.raises(BadInput, match="at least one image"):
        quantise(bundle, dataset, [], tmp_path)
    assert not list(tmp_path.iterdir())
