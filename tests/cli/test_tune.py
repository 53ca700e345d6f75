"""offramp tune on the command line: keys, exit statuses, one JSON object, and an interrupt."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from offramp.data.dataset import Dataset
from offramp.tuning import knobs, propose
from offramp.tuning.candidate import Study
from offramp.tuning.frontier import front
from tests.cli.test_cli import answer, call
from tests.tuning.whole import RECIPE, shrink, whole_study


@pytest.fixture
def arguments(dataset: Dataset, tmp_path: Path) -> list[object]:
    """What the tiny study was told, but for its folder."""
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(RECIPE.model_dump(mode="json")))
    return [
        *("tune", "--data", dataset.file, "--model", "fastscnn", "--level", "entry"),
        *("--time-budget", "1h", "--recipe", file, "--rounds", 3, "--threads", 1),
        *("--max-latency-ms", 1000),
    ]


@pytest.fixture
def study(
    tmp_path_factory: pytest.TempPathFactory,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A copy of a study that ran to its end and found nothing that fits."""
    shrink(monkeypatch)
    shutil.copytree(whole_study(tmp_path_factory, dataset), tmp_path / "study")
    return tmp_path / "study"


def points(candidates: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(c["latency"]["median_ms"], c["iou"]) for c in candidates]


@pytest.mark.slow
def test_nothing_fits(
    study: Path, arguments: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Study.load(study)
    fit = [*arguments, "--min-iou", 1, "--exits", "--out", study]
    result = call(*fit, "--json", status=1)
    said = json.loads(result.stdout)
    assert {"study", "metric", "candidates", "frontier", "chosen", "notes"} <= set(said)
    known = [c for c in said["candidates"] if c["status"] == "trained"]
    assert said["frontier"] == [known[i]["id"] for i in front(points(known))]
    assert len(known) == len(before.candidates)
    assert not said["chosen"]["fits"]
    assert "not 1 or more" in said["chosen"]["missing"]
    assert (study / said["chosen"]["bundle"] / "manifest.json").is_file()
    assert json.loads((study / "candidates.json").read_text())["done"]
    monkeypatch.setattr("offramp.tuning.tune.finish", lambda desk: desk.save(done=True))
    spoken = call(*fit, status=1).output
    assert "nothing fits" in spoken
    assert "closest" in spoken
    assert all(c["id"] in spoken for c in said["candidates"])


@pytest.mark.slow
def test_something_fits_and_runs(
    arguments: list[object], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knobs, "OPENS", {"entry": ()})
    out = tmp_path / "study"
    said = answer(*arguments, "--min-iou", 0, "--out", out)
    assert [c["id"] for c in said["candidates"]] == said["frontier"] == ["96x64"]
    chosen = said["chosen"]
    assert chosen["fits"]
    assert 0 <= chosen["test_iou"] == chosen["baseline_test_iou"] <= 1
    images = dataset.samples("test")[0].image.parent
    ran = answer("run", out / chosen["bundle"], images, "--out", tmp_path / "masks")
    assert ran["frames"] == len(dataset.samples("test"))
    refused = call(*arguments, "--min-iou", 0.5, "--out", out, status=2).output
    assert "min_iou 0.5 instead of 0" in refused


def test_bad_input(arguments: list[object], tmp_path: Path) -> None:
    told = [*arguments, "--min-iou", 0.5, "--out", tmp_path / "study"]
    for wrong in (
        ("--max-latency-ms", 0),
        ("--max-latency-ms", "inf"),
        ("--min-iou", 2),
        ("--time-budget", "soon"),
        ("--data", tmp_path / "none"),
        ("--model", "nonesuch"),
        ("--level", "master"),
        ("--set", "stage1.epochs=none"),
        ("--set", "knobs.width=-1"),
        ("--set", "knobs.nonesuch=1"),
        ("--set", "weights=none.safetensors"),
        ("--exits", "--set", "exits.points=[nowhere]"),
        ("--exits", "--set", "exits.heads=[nonesuch]"),
        ("--threads", 0),
        ("--rounds", 2),
        ("--storage", "nonesuch://"),
        ("--latencies", tmp_path / "none.json"),
    ):
        call(*told, *wrong, status=2)
    assert not (tmp_path / "study").exists()


def test_an_interrupt_leaves_a_whole_record(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(propose, "_evidence", interrupted)
    out = tmp_path / "study"
    call(*arguments, "--min-iou", 0.5, "--out", out, status=130)
    record = Study.load(out)
    assert not record.done
    assert record.spent_s > 0


def test_exits_are_on_at_expert_level_only(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = []

    def kept(task: Any, track: Any) -> None:
        tasks.append(task)
        raise KeyboardInterrupt

    monkeypatch.setattr("offramp.tuning.tune.tune", kept)
    told = [*arguments, "--min-iou", 0.5, "--out", tmp_path / "study"]
    for level, flag in (
        ("entry", ()),
        ("expert", ()),
        ("expert", ("--no-exits",)),
        ("intermediate", ("--exits",)),
    ):
        call(*told, "--level", level, *flag, status=130)
    assert [task.exits for task in tasks] == [False, True, False, True]
