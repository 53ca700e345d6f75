"""What every engine must do that loads a bundle's ONNX graphs one by one."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from offramp.core.bundle import MANIFEST, Bundle, Manifest, hash_files, save_manifest
from offramp.core.errors import BadInput, BundleError
from offramp.data.images import Array
from offramp.runtime.engine import Engine, OutOfTime, State
from tests.contracts.engine import EngineContract, walk, watched

SIDE, TIMES = 512, 400
"""400 products of 512×512 matrices: 107 thousand million operations."""


class GraphEngineContract(EngineContract):
    """It cancels, forgets what no later graph takes, and refuses graphs that do not fit."""

    cancels = True

    def make(self, bundle: Bundle) -> Engine:
        """Load a bundle."""
        raise NotImplementedError

    @pytest.fixture
    def engine(self, bundle: Bundle) -> Engine:
        return self.make(bundle)

    def watch(self, engine: Engine) -> list[str] | None:
        return watched(engine)  # type: ignore[arg-type]

    def test_a_running_step_is_cancelled(self, copied: Path, frame: Array) -> None:
        engine = self.make(changed(copied, "segment_1.onnx", multiply))
        state = engine.advance(0, engine.begin(frame))
        before = engine.read(0, state)
        for seconds in (0.01, 0.03):
            with pytest.raises(OutOfTime):
                engine.advance(1, state, time.perf_counter() + seconds)
        again = engine.read(0, engine.advance(0, engine.begin(frame), time.perf_counter() + 60))
        assert np.array_equal(again.logits, before.logits)

    def test_a_state_holds_what_later_graphs_take_and_no_more(
        self, engine: Engine, bundle: Bundle, frame: Array
    ) -> None:
        def finish(index: int, state: State) -> Array:
            for later in range(index, len(bundle.manifest.segments)):
                state = engine.advance(later, state) if later > index else state
                logits: Array = engine.read(later, state).logits
            return logits

        state = engine.begin(frame)
        for index in range(len(bundle.manifest.segments)):
            state = engine.advance(index, state)
            expected = finish(index, state)
            for name in state.values:
                less = State({key: v for key, v in state.values.items() if key != name})
                with pytest.raises(KeyError, match=name):
                    finish(index, less)
            assert np.array_equal(finish(index, state), expected)

    def test_a_graph_that_fails_when_it_runs_is_told(self, engine: Engine, frame: Array) -> None:
        state = engine.advance(0, engine.begin(frame))
        narrow = State({name: value[:, :1] for name, value in state.values.items()})
        for until in (None, time.perf_counter() + 60):
            with pytest.raises(BundleError, match=r"segment_1\.onnx cannot be run; got .*\d"):
                engine.advance(1, narrow, until)
        assert engine.read(1, engine.advance(1, state)).scores == walk(engine, frame)[1].scores

    @pytest.mark.parametrize(("file", "other"), [("head_0", "segment_0"), ("segment_1", "head_1")])
    def test_a_graph_in_the_place_of_another_is_refused(
        self, copied: Path, file: str, other: str
    ) -> None:
        (copied / f"{file}.onnx").write_bytes((copied / f"{other}.onnx").read_bytes())
        with pytest.raises(BundleError, match=f"{file}.onnx is not the graph of the manifest"):
            self.make(sealed(copied))

    @pytest.mark.parametrize("file", ["head_0", "decoder"])
    def test_an_answer_of_another_kind_is_refused(
        self, copied: Path, frame: Array, file: str
    ) -> None:
        def double(model: ModelProto) -> None:
            name = "scores" if file == "head_0" else "labels"
            for node in model.graph.node:
                node.output[:] = ["once" if value == name else value for value in node.output]
            twice = helper.make_node("Concat", ["once", "once"], [name], axis=0)
            model.graph.node.append(twice)
            output = next(one for one in model.graph.output if one.name == name)
            output.type.tensor_type.shape.dim[0].dim_value = 2

        engine = self.make(changed(copied, f"{file}.onnx", double))
        state = engine.advance(0, engine.begin(frame))
        with pytest.raises(BundleError, match=r"gives no such answer; expected .*; got .*of .2,"):
            engine.decode(engine.read(0, state).logits, frame.shape[:2])

    def test_a_file_that_is_no_graph_is_refused(self, copied: Path) -> None:
        (copied / "segment_1.onnx").write_bytes(b"nonsense")
        with pytest.raises(BundleError, match=r"segment_1\.onnx cannot be loaded"):
            self.make(sealed(copied))

    def test_operations_of_others_are_refused(self, copied: Path) -> None:
        def foreign(model: ModelProto) -> None:
            model.opset_import.append(helper.make_opsetid("com.example", 1))
            model.graph.node[0].domain = "com.example"
            model.graph.node[0].op_type = "RunAnything"

        with pytest.raises(BundleError, match=r"segment_0\.onnx cannot be loaded"):
            self.make(changed(copied, "segment_0.onnx", foreign))

    def test_numbers_in_another_file_are_refused(self, copied: Path, tmp_path: Path) -> None:
        file = copied / "segment_0.onnx"
        model = onnx.load(file)
        onnx.save(model, file, save_as_external_data=True, location="numbers", size_threshold=0)
        (copied / "numbers").rename(tmp_path / "numbers")
        with pytest.raises(BundleError, match=r"segment_0\.onnx keeps numbers in another file"):
            self.make(sealed(copied))

    @pytest.mark.parametrize("precision", ["int8", "f16", ""])
    def test_a_precision_that_it_cannot_compute_in_is_refused(
        self, bundle: Bundle, engine: Engine, precision: str
    ) -> None:
        with pytest.raises(BadInput, match="cannot compute this bundle in that precision here"):
            type(engine)(bundle, 1, precision)

    @pytest.mark.parametrize("threads", [0, -1])
    def test_a_number_of_threads_below_one_is_refused(
        self, bundle: Bundle, engine: Engine, threads: int
    ) -> None:
        with pytest.raises(BadInput, match="number of threads; expected 1 or more"):
            type(engine)(bundle, threads)


def changed(folder: Path, file: str, change: Callable[[ModelProto], None]) -> Bundle:
    """Change a graph of a copied bundle, and seal it again as its author would."""
    model = onnx.load(folder / file)
    change(model)
    onnx.save(model, folder / file)
    return sealed(folder)


def sealed(folder: Path) -> Bundle:
    """Open a copied bundle whose files are no longer those of its manifest."""
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    changed = manifest.model_copy(update={"files": hash_files(folder)})
    return Bundle(folder, save_manifest(folder, changed))


def multiply(model: ModelProto) -> None:
    """Put much work before a graph that changes nothing in its answers."""
    graph, name = model.graph, model.graph.input[0].name
    for node in graph.node:
        node.input[:] = ["later" if value == name else value for value in node.input]
    constants = {
        "sides": np.array([SIDE, SIDE]),
        "mean": np.full((SIDE, SIDE), 1 / SIDE, dtype=np.float32),
        "nothing": np.float32(1e-30),
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()
    )
    nodes = [
        helper.make_node("ReduceMean", [name], ["number"], keepdims=0),
        helper.make_node("Expand", ["number", "sides"], ["product0"]),
        *(
            helper.make_node("MatMul", [f"product{i}", "mean"], [f"product{i + 1}"])
            for i in range(TIMES)
        ),
        helper.make_node("ReduceMean", [f"product{TIMES}"], ["result"], keepdims=0),
        helper.make_node("Mul", ["result", "nothing"], ["little"]),
        helper.make_node("Add", [name, "little"], ["later"]),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
