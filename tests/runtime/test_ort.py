"""ONNX Runtime keeps the engine's contract, and one thread pool for all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, BundleError
from offramp.runtime import ort
from offramp.runtime.engine import Engine
from offramp.runtime.ort import OnnxRuntimeEngine, load_graph, share_pool
from tests.contracts.graph_engine import GraphEngineContract


class TestOnnxRuntime(GraphEngineContract):
    def make(self, bundle: Bundle) -> Engine:
        return OnnxRuntimeEngine(bundle)


def test_the_pool_of_a_process_keeps_its_size() -> None:
    assert share_pool() == share_pool(1) == 1
    with pytest.raises(BadInput, match="expected 1 threads as before; got 3"):
        share_pool(3)


def test_a_graph_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nonsense")
    with pytest.raises(BundleError, match=r"a\.onnx cannot be loaded"):
        load_graph(tmp_path / "a.onnx")


def test_onnx_runtime_keeps_no_record_for_its_maker(bundle: Bundle, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from offramp.runtime.ort import load_graph, share_pool
share_pool(1)
load_graph(Path({str(bundle.path(bundle.manifest.heads[0]))!r}))
"""
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    kept = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env={**kept, **places}, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_of_a_card_is_refused_where_the_build_has_none(bundle: Bundle) -> None:
    for kind in (ort.OnnxRuntimeCuda, ort.OnnxRuntimeTensorRt):
        if ort.has_provider(kind.providers[0]):
            pytest.skip(f"this build has {kind.providers[0]}")
        with pytest.raises(BadInput, match=f"has no {kind.providers[0]}; got .*CPUExec"):
            kind(bundle, 1)


def test_a_provider_that_does_not_work_is_not_silently_replaced(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ort.has_provider(ort.CUDA):
        pytest.skip("this build has CUDA")
    monkeypatch.setattr(ort, "has_provider", lambda provider: True)
    with (
        pytest.raises(BadInput, match="CUDAExecutionProvider of ONNX Runtime does not work"),
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
    ):
        ort.OnnxRuntimeCuda(bundle, 1)


def test_the_engines_of_cards_refuse_graphs_in_int8(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "has_provider", lambda provider: True)
    manifest = bundle.manifest.model_copy(update={"precision": "int8"})
    with pytest.raises(BadInput, match="onnxruntime-cuda cannot compute this bundle"):
        ort.OnnxRuntimeCuda(Bundle(bundle.folder, manifest), 1)
