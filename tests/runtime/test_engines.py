"""The table of engines: names, classes, and which could run a bundle here."""

import importlib.util
from typing import Any

import pytest
from typer.testing import CliRunner

from offramp.cli.engine import NAMES
from offramp.cli.main import app
from offramp.core.bundle import Bundle, Ncnn
from offramp.core.errors import UnknownName
from offramp.runtime import engines
from offramp.runtime.engines import AUTO, ENGINES, check_engine, installed, open_engine

NCNN = Ncnn.model_construct()  # what it holds is no matter here


def varied(bundle: Bundle, planned: str = "f32", fitted_on: str = "", **keys: Any) -> Bundle:
    """Change what a manifest says."""
    plan = bundle.manifest.plan.model_copy(update={"precision": planned, "engine": fitted_on})
    return Bundle(bundle.folder, bundle.manifest.model_copy(update={"plan": plan, **keys}))


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Pretend that every library is installed, and every device present; remove to change."""
    libraries = {entry.library for entry in ENGINES.values()}
    monkeypatch.setattr(engines, "find_spec", lambda name: name if name in libraries else None)
    for name, entry in ENGINES.items():
        changed = engines.Entry(entry.module, entry.kind, entry.library, entry.able)
        monkeypatch.setitem(ENGINES, name, changed)
    return libraries


def test_an_unknown_engine_is_offered_its_neighbour() -> None:
    check_engine("onnxruntime")
    check_engine(AUTO)
    with pytest.raises(UnknownName, match="did you mean 'onnxruntime'"):
        check_engine("onnxruntme")


def test_an_unknown_engine_is_not_opened(bundle: Bundle) -> None:
    with pytest.raises(UnknownName, match="did you mean 'openvino'"):
        open_engine("openvinno", bundle)


@pytest.mark.parametrize("name", ENGINES)
def test_every_entry_is_a_class_of_that_name(name: str) -> None:
    if importlib.util.find_spec(ENGINES[name].library) is None:
        pytest.skip(f"{ENGINES[name].library} is not installed")
    assert ENGINES[name].find().name == name  # type: ignore[attr-defined]


def test_the_command_line_names_every_engine() -> None:
    assert (*ENGINES, AUTO) == NAMES


@pytest.mark.parametrize("verb", ["run", "eval"])
def test_an_unknown_engine_is_bad_input(verb: str, bundle: Bundle) -> None:
    more = ["x.png", "--out", "out"] if verb == "run" else ["--data", "data"]
    done = CliRunner().invoke(app, [verb, str(bundle.folder), *more, "--engine", "onnx"])
    assert done.exit_code == 2


def test_graphs_in_f32_run_in_what_computes_graphs(bundle: Bundle, everything: set[str]) -> None:
    graphs = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino")
    assert installed(bundle) == graphs
    assert installed(bundle, "bf16") == ("openvino",)
    assert installed(bundle, "int8") == ()


def test_further_forms_open_further_engines(bundle: Bundle, everything: set[str]) -> None:
    with_weights = varied(bundle, weights="weights.safetensors")
    assert installed(with_weights)[-2:] == ("torch", "torch-cuda")
    assert installed(with_weights, "bf16") == ("openvino", "torch", "torch-cuda")
    assert installed(varied(bundle, ncnn=NCNN))[-1] == "ncnn"
    assert installed(varied(bundle, ncnn=NCNN), "bf16") == ("openvino",)


def test_graphs_in_int8_run_where_int8_is_computed(bundle: Bundle, everything: set[str]) -> None:
    quantised = varied(bundle, "int8", precision="int8", weights="w.safetensors", ncnn=NCNN)
    assert installed(quantised) == ("onnxruntime", "openvino")


def test_rules_that_were_fitted_in_int8_hold_for_one_engine(
    bundle: Bundle, everything: set[str]
) -> None:
    assert installed(varied(bundle, "int8", "openvino", precision="int8")) == ("openvino",)
    assert installed(varied(bundle, "int8", "gone", precision="int8")) == ()
    assert installed(varied(bundle, "f32", "onnxruntime")) == installed(bundle)


def test_what_is_not_installed_is_left_out(bundle: Bundle, everything: set[str]) -> None:
    everything.discard("openvino")
    assert "openvino" not in installed(bundle)
    assert "onnxruntime" in installed(bundle)


def test_a_device_that_is_absent_is_left_out(
    bundle: Bundle, everything: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    entry = ENGINES["openvino"]

    def present(precision: str) -> bool:
        asked.append(precision)
        return False

    changed = engines.Entry(entry.module, entry.kind, entry.library, entry.able, present)
    monkeypatch.setitem(ENGINES, "openvino", changed)
    assert "openvino" not in installed(bundle)
    everything.discard("openvino")
    assert "openvino" not in installed(bundle)
    assert asked == ["f32"]  # what is not installed is not asked


def test_no_card_is_found_where_no_driver_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.Path, "exists", lambda self: False)
    assert not ENGINES["torch-cuda"].present("f32")
    monkeypatch.setattr(engines.Path, "exists", lambda self: str(self) == "/dev/nvidiactl")
    assert ENGINES["torch-cuda"].present("f32")
