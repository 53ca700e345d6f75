"""OpenVINO keeps the engine's contract, and computes in the precision that it is told."""

import os
import sys

import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, MissingExtra
from offramp.data.images import Array, resize_image
from offramp.runtime import openvino
from offramp.runtime.engine import Engine
from offramp.runtime.engines import ENGINES
from offramp.runtime.openvino import OpenVinoEngine
from tests.contracts.engine import walk
from tests.contracts.graph_engine import GraphEngineContract


class TestOpenVino(GraphEngineContract):
    def make(self, bundle: Bundle) -> Engine:
        return OpenVinoEngine(bundle, threads=1)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "offramp.runtime.openvino")
    with pytest.raises(MissingExtra, match=r"offramp\[openvino\]"):
        ENGINES["openvino"].find()


def test_bf16_is_refused_where_the_processor_has_none(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "has_bf16", lambda: False)
    with pytest.raises(BadInput, match="expected f32; got bf16; bf16 takes a processor"):
        OpenVinoEngine(bundle, 1, "bf16")


def test_bf16_is_never_silently_f32(
    bundle: Bundle, frames: list[Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = resize_image(frames[0], bundle.manifest.model.size)
    if openvino.has_bf16():
        lower, exact = OpenVinoEngine(bundle, 1, "bf16"), OpenVinoEngine(bundle, 1, "f32")
        assert lower.precision == "bf16"
        difference = walk(lower, frame)[-1].logits - walk(exact, frame)[-1].logits
        assert 0 < abs(difference).max() < 0.5
    else:
        monkeypatch.setattr(openvino, "has_bf16", lambda: True)
        with pytest.raises(BadInput, match="took another precision; expected bf16; got f32"):
            OpenVinoEngine(bundle, 1, "bf16")


def test_graphs_in_int8_compute_in_nothing_else(bundle: Bundle) -> None:
    manifest = bundle.manifest.model_copy(update={"precision": "int8"})
    quantised = Bundle(bundle.folder, manifest)
    for precision in ("f32", "bf16"):
        with pytest.raises(BadInput, match=f"expected int8; got {precision}"):
            OpenVinoEngine(quantised, 1, precision)
    assert OpenVinoEngine(quantised, 1).precision == "int8"


def test_frames_find_as_many_streams_as_cores_allow(bundle: Bundle) -> None:
    cores = len(os.sched_getaffinity(0))
    for threads, streams in ((1, cores), (cores, 1), (2 * cores, 1)):
        graph = OpenVinoEngine(bundle, threads)._heads[0]
        assert graph._compiled.get_property("NUM_STREAMS") == streams  # type: ignore[attr-defined]
        told = graph._compiled.get_property("INFERENCE_NUM_THREADS")  # type: ignore[attr-defined]
        assert told == streams * min(threads, cores)
