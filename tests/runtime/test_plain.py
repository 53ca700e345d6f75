"""Any ONNX graph of one image is fed what it takes; others are refused with what they take."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from offramp.core.errors import BadInput, BundleError
from offramp.runtime.bench import bench
from offramp.runtime.paths import FULL
from offramp.runtime.plain import Plain

SIZE = (4, 6)


def write(
    folder: Path, kind: int, shape: list[int | str | None], names: tuple[str, ...] = ("image",)
) -> Path:
    """Write a graph that gives each of its inputs as float."""
    nodes = [helper.make_node("Cast", [n], [f"{n}_out"], to=TensorProto.FLOAT) for n in names]
    takes = [helper.make_tensor_value_info(n, kind, shape) for n in names]
    gives = [helper.make_tensor_value_info(f"{n}_out", TensorProto.FLOAT, shape) for n in names]
    graph = helper.make_graph(nodes, "plain", takes, gives)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "plain.onnx")
    return folder / "plain.onnx"


@pytest.mark.parametrize(
    ("kind", "shape", "fed"),
    [
        (TensorProto.UINT8, [1, 4, 6, 3], "uint8 1x4x6x3"),
        (TensorProto.UINT8, [1, 8, 10, 1], "uint8 1x8x10x1"),
        (TensorProto.UINT8, ["n", "h", "w", 3], "uint8 1x4x6x3"),
        (TensorProto.FLOAT, [1, 3, 8, 10], "float32 1x3x8x10"),
        (TensorProto.FLOAT, [None, 3, None, None], "float32 1x3x4x6"),
        (TensorProto.FLOAT, ["n", "c", "h", 12], "float32 1x3x4x12"),
    ],
)
def test_an_image_of_its_own_kind_is_fed(
    tmp_path: Path, kind: int, shape: list[int | str | None], fed: str
) -> None:
    plain = Plain(write(tmp_path, kind, shape), SIZE, threads=1)
    assert plain.takes == {"image": fed}
    assert plain.gives == ("image_out",)
    (timed,) = bench([plain], rounds=3, warm_up=0)
    assert timed.paths == ()
    assert (timed.full.total > 0).all()


def test_the_clock_runs_while_the_graph_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([5.0, 5.25])
    file = write(tmp_path, TensorProto.UINT8, [1, 4, 6, 3])
    plain = Plain(file, SIZE, threads=1, clock=lambda: next(times))
    fed: list[dict[str, np.ndarray]] = []
    monkeypatch.setattr(plain, "_session", Recorder(fed))
    assert plain.courses()[FULL]().total == pytest.approx(250)
    assert fed[0]["image"].std() > 50


class Recorder:
    """A session that keeps what it is fed."""

    def __init__(self, fed: list[dict[str, np.ndarray]]) -> None:
        self.fed = fed

    def run(self, names: None, feed: dict[str, np.ndarray]) -> None:
        assert names is None
        self.fed.append(feed)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TensorProto.FLOAT, [1, 4, 6, 3]),  # channels last
        (TensorProto.UINT8, [1, 3, 4, 6]),  # channels first
        (TensorProto.FLOAT, [2, 3, 4, 6]),  # two images
        (TensorProto.FLOAT, [1, 3, 4]),
        (TensorProto.FLOAT16, [1, 3, 4, 6]),
        (TensorProto.INT64, [1, 3, 4, 6]),
    ],
)
def test_what_takes_no_image_is_refused(
    tmp_path: Path, kind: int, shape: list[int | str | None]
) -> None:
    with pytest.raises(BadInput, match=r"takes no image; expected uint8 1xHxWxC or float 1xCxHxW"):
        Plain(write(tmp_path, kind, shape), SIZE, threads=1)


def test_a_graph_of_two_inputs_is_refused_by_their_names(tmp_path: Path) -> None:
    file = write(tmp_path, TensorProto.FLOAT, [1, 3, 4, 6], ("left", "right"))
    with pytest.raises(BadInput, match="one that takes left, right"):
        Plain(file, SIZE, threads=1)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        Plain(tmp_path / "no.onnx", SIZE, threads=1)
    (tmp_path / "a.onnx").write_text("nonsense")
    with pytest.raises(BundleError, match="cannot be loaded"):
        Plain(tmp_path / "a.onnx", SIZE, threads=1)
