"""Graphs joined to one answer as the graphs one after another."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.data.images import Array, resize_image
from offramp.export.compose import chain, merge_segments
from offramp.runtime.ort import OnnxRuntimeEngine, load_graph


def small(
    operator: str, number: float, takes: Sequence[str], gives: str, version: int = 18
) -> ModelProto:
    """Make a graph of one operator on an input and a constant; inner names are always the same."""
    info = helper.make_tensor_value_info
    constant = numpy_helper.from_array(np.array(number, np.float32), "c")
    nodes = [
        helper.make_node(operator, [takes[0], takes[-1] if takes[1:] else "c"], ["t"], name="n"),
        helper.make_node("Add", ["t", "c"], [gives], name="m"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [info(name, TensorProto.FLOAT, [2]) for name in takes],
        [info(gives, TensorProto.FLOAT, [2])],
        [constant],
    )
    opset = [helper.make_opsetid("", version)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


Runs = Callable[..., list[np.ndarray]]


@pytest.fixture
def calculate(tmp_path: Path) -> Runs:
    """Run a model on values by name."""

    def ran(model: ModelProto, **values: object) -> list[np.ndarray]:
        onnx.save(model, str(tmp_path / "model.onnx"))
        session = load_graph(tmp_path / "model.onnx")
        return session.run(None, {k: np.array(v, np.float32) for k, v in values.items()})

    return ran


def test_a_chain_feeds_each_graph_by_name(calculate: Runs) -> None:
    first = small("Mul", 3, ["x"], "y")  # y = 3x + 3
    second = small("Sub", 5, ["y", "x"], "z")  # z = y - x + 5
    joined = chain([first, second], "joined", ["z", "y"])
    z, y = calculate(joined, x=[1, -2])
    np.testing.assert_array_equal(y, [6, -3])
    np.testing.assert_array_equal(z, [10, 4])
    assert [value.name for value in joined.graph.input] == ["x"]
    assert [value.name for value in joined.graph.output] == ["z", "y"]


def test_a_later_value_hides_an_earlier_one_of_its_name(calculate: Runs) -> None:
    models = [
        small("Mul", 2, ["x"], "y"),
        small("Mul", 10, ["y"], "y2"),
        small("Add", 1, ["y2"], "y"),
    ]
    (y,) = calculate(chain(models, "joined", ["y"]), x=[1, 0])
    np.testing.assert_array_equal(y, [(1 * 2 + 2) * 10 + 10 + 2, 2 * 10 + 10 + 2])


def test_graphs_within_graphs_see_the_renamed_values(calculate: Runs) -> None:
    info = helper.make_tensor_value_info

    def branch(name: str, operator: str) -> onnx.GraphProto:
        node = helper.make_node(operator, ["t", "x"], [f"{name}/out"])
        return helper.make_graph([node], name, [], [info(f"{name}/out", TensorProto.FLOAT, [2])])

    nodes = [
        helper.make_node("Neg", ["x"], ["t"]),
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["b"], to=TensorProto.BOOL),
        helper.make_node(
            "If", ["b"], ["x2"], then_branch=branch("a", "Sub"), else_branch=branch("b", "Mul")
        ),
    ]
    value = [info("x", TensorProto.FLOAT, [2])]
    graph = helper.make_graph(nodes, "if", value, [info("x2", TensorProto.FLOAT, [2])])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    joined = chain([small("Mul", 1, ["w"], "x"), model], "joined", ["x2"])
    np.testing.assert_array_equal(calculate(joined, w=[1, 2])[0], [-4, -6])  # x = 2, 3; -x - x
    np.testing.assert_array_equal(calculate(joined, w=[1, -3])[0], [-4, -4])  # x = 2, -2; -x * x


def test_graphs_of_different_operators_are_refused() -> None:
    with pytest.raises(BadInput, match=r"different versions .* ai\.onnx 18; got 17"):
        chain([small("Mul", 1, ["x"], "y"), small("Mul", 1, ["y"], "z", 17)], "joined", ["z"])


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 2), (0, 2), (1, 1)])
def test_merged_segments_give_what_the_segments_gave(
    bundle: Bundle, frames: list[Array], tmp_path: Path, first: int, last: int
) -> None:
    merged = merge_segments(bundle, first, last, tmp_path / "merged.onnx")
    onnx.checker.check_model(tmp_path / "merged.onnx")
    segments = bundle.manifest.segments
    behind = {name for segment in segments[last + 1 :] for name in segment.takes}
    assert merged.gives[0] == segments[last].gives[0]
    produced = {name for segment in segments[first : last + 1] for name in segment.gives}
    assert set(merged.gives[1:]) == behind & produced - {merged.gives[0]}
    frame = resize_image(frames[0], bundle.manifest.model.size)
    values, expected = {"frame": frame[None]}, {}
    for index, segment in enumerate(segments[: last + 1]):
        if index == first:
            expected = dict(values)
        session = load_graph(bundle.path(segment))
        given = session.run(list(segment.gives), {name: values[name] for name in segment.takes})
        values.update(zip(segment.gives, given, strict=True))
    feed = {name: expected[name] for name in merged.takes}
    given = load_graph(tmp_path / merged.file).run(list(merged.gives), feed)
    for name, array in zip(merged.gives, given, strict=True):
        np.testing.assert_allclose(array, values[name], rtol=1e-4, atol=1e-5)


def test_a_bundle_without_its_first_exit_answers_as_before(
    bundle: Bundle, copied: Path, frames: list[Array]
) -> None:
    old, merged = bundle.manifest, merge_segments(bundle, 0, 1, copied / "merged.onnx")
    changes = {"segments": (merged, *old.segments[2:]), "heads": old.heads[1:]}
    shorter = OnnxRuntimeEngine(Bundle(copied, old.model_copy(update=changes)))
    engine = OnnxRuntimeEngine(bundle)
    state = other = engine.begin(resize_image(frames[0], old.model.size))
    for index in range(3):
        state = engine.advance(index, state)
        if index:
            other = shorter.advance(index - 1, other)
            mine, theirs = shorter.read(index - 1, other), engine.read(index, state)
            np.testing.assert_allclose(mine.logits, theirs.logits, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-4)
