"""ONNX Runtime keeps the engine's contract, and one thread pool for all."""

from pathlib import Path

import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, BundleError, UnknownName
from offramp.runtime.engine import Engine
from offramp.runtime.engines import check_engine
from offramp.runtime.ort import OnnxRuntimeEngine, load_graph, share_pool
from tests.contracts.engine import EngineContract


class TestOnnxRuntime(EngineContract):
    @pytest.fixture
    def engine(self, bundle: Bundle) -> Engine:
        return OnnxRuntimeEngine(bundle)


def test_the_pool_of_a_process_keeps_its_size() -> None:
    assert share_pool() == share_pool(1) == 1
    with pytest.raises(BadInput, match="expected 1 threads as before; got 3"):
        share_pool(3)


def test_a_graph_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nonsense")
    with pytest.raises(BundleError, match=r"a\.onnx cannot be loaded"):
        load_graph(tmp_path / "a.onnx")


def test_an_unknown_engine_is_offered_its_neighbour() -> None:
    check_engine("onnxruntime")
    with pytest.raises(UnknownName, match="did you mean 'onnxruntime'"):
        check_engine("onnxruntme")
