"""`offramp bench`: its keys, what it times against, and its figure."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from offramp.core.bundle import Bundle
from tests.cli.test_cli import answer, call

FAST = ("--rounds", 6, "--threads", 1)


@pytest.fixture(scope="module")
def found(bundle: Bundle) -> dict[str, Any]:
    """A bundle beside its full network."""
    return answer("bench", bundle.folder, *FAST)


def test_every_exit_has_its_times(found: dict[str, Any], bundle: Bundle) -> None:
    exits = bundle.manifest.plan.exits
    assert [e["point"] for e in found["exits"]] == [e.point for e in exits]
    for path in (*found["exits"], found["full"]):
        low, high = path["p50_interval_ms"]
        assert 0 < low <= path["p50_ms"] <= high
        assert path["p50_ms"] <= path["p95_ms"] <= path["p99_ms"]
        assert 0 < path["decode_share"] < 1 - path["decision_share"]
    assert found["full"]["decision_share"] == 0 < found["exits"][0]["decision_share"]
    assert 0 < found["decision_ms"] < found["expected_ms"]


def test_what_follows_from_the_times(found: dict[str, Any], bundle: Bundle) -> None:
    shares = [e.share for e in bundle.manifest.plan.exits]
    expected = sum(s * e["p50_ms"] for s, e in zip(shares, found["exits"], strict=True))
    assert found["expected_ms"] == pytest.approx(expected)
    assert found["against_ms"] == found["full_ms"] == found["full"]["p50_ms"]
    assert found["ratio"] == found["full_ratio"] == pytest.approx(found["full_ms"] / expected)
    paired = found["paired_full_ratio"]
    assert paired == found["paired_ratio"]
    assert paired["low"] <= paired["median"] <= paired["high"]
    assert found["against"] is None


def test_conditions_are_told(found: dict[str, Any], bundle: Bundle) -> None:
    assert {"machine", "processor", "cores", "frequency"} <= set(found)
    assert {"offramp", "numpy", "onnxruntime", "python"} <= set(found["versions"])
    assert (found["threads"], found["rounds"], found["precision"]) == (1, 6, "f32")
    assert found["size"] == list(bundle.manifest.model.size)
    assert len(found["frequency_mhz"]) == 2


def test_another_bundle_is_timed_in_turn(bundle: Bundle, short_bundle: Bundle) -> None:
    found = answer("bench", short_bundle.folder, "--against", bundle.folder, *FAST)
    assert found["decision_ms"] == 0  # one exit, nothing to decide
    assert found["against"]["bundle"] == str(bundle.folder)
    assert len(found["against"]["exits"]) == 3
    assert found["ratio"] == pytest.approx(found["against_ms"] / found["expected_ms"])
    assert found["full_ratio"] != found["ratio"]


def test_the_same_bundle_on_another_engine(bundle: Bundle) -> None:
    found = answer("bench", bundle.folder, "--against-engine", "onnxruntime", *FAST)
    assert found["against"]["bundle"] == str(bundle.folder)
    assert found["against"]["engine"] == found["engine"]


def test_a_plain_graph_is_timed_in_turn(bundle: Bundle, tmp_path: Path) -> None:
    graph = tmp_path / "some.onnx"  # any graph of one image: here the way to the first exit
    graph.write_bytes((bundle.folder / bundle.manifest.segments[0].file).read_bytes())
    file = tmp_path / "deep" / "times.svg"
    found = answer("bench", bundle.folder, "--against", graph, "--plot", file, *FAST)
    against = found["against"]
    assert against["takes"] == {"frame": "uint8 1x64x96x3"}
    assert against["gives"] == list(bundle.manifest.segments[0].gives)
    assert found["against_ms"] == against["full"]["p50_ms"]
    assert found["plot"] == str(file)
    assert ET.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_too_few_rounds_give_no_interval(bundle: Bundle) -> None:
    text = call("bench", bundle.folder, "--rounds", 3, "--threads", 1).output
    assert "median" in text
    found = answer("bench", bundle.folder, "--rounds", 3, "--threads", 1)
    assert found["exits"][0]["p50_interval_ms"] is None
    assert (found["paired_ratio"]["low"], found["paired_ratio"]["high"]) == (None, None)


def test_what_cannot_be_timed_is_bad_input(bundle: Bundle, tmp_path: Path) -> None:
    decoder = bundle.folder / bundle.manifest.decoder.file
    for arguments, words in (
        (("--plot", tmp_path / "a.png"), "ends in .svg"),
        (("--against", decoder), "a graph that takes one image"),
        (("--against", decoder, "--against-engine", "onnxruntime"), "no --against-engine"),
        (("--against", tmp_path), "is not a bundle"),
        (("--against-engine", "onnxruntme"), "did you mean 'onnxruntime'"),
        (("--engine", "nothing"), "there is no engine 'nothing'"),
        (("--precision", "int8"), "precision"),
    ):
        said = call("bench", bundle.folder, *FAST, *arguments, status=2).output
        assert words in " ".join(said.split())


def test_energy_is_told_where_it_is_known(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, text in (("name", "package-0"), ("energy_uj", "7"), ("max_energy_range_uj", "99")):
        (zone / name).write_text(text)
    from offramp.runtime.energy import Meter

    here = Meter.find(tmp_path)
    monkeypatch.setattr(Meter, "find", lambda: here)
    said = call("bench", bundle.folder, "--json", *FAST)
    found = json.loads(said.stdout)
    assert [e["energy_mj"] for e in (found, found["full"], *found["exits"])] == [0.0] * 5
    assert "energy" in call("bench", bundle.folder, *FAST).output
