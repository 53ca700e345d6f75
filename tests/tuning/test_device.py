"""Times of a target device: bundles go out, times come back, and steer a study."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from offramp.core.errors import BadInput
from offramp.data.dataset import Dataset
from offramp.tuning.clock import Latencies
from offramp.tuning.desk import Desk
from offramp.tuning.device import export_study
from offramp.tuning.propose import propose
from offramp.tuning.task import Task
from offramp.tuning.tune import tune
from tests.cli.test_cli import answer, call
from tests.tuning.whole import shrink, task

NAMES = ("96x64", "48x32")


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A folder of untrained candidates, as it goes to a device."""
    root = tmp_path_factory.mktemp("device")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        Desk(task(dataset, root / "study")).save()
        made = answer("device", "export", root / "study", "--out", root / "sent")
    assert made["bundles"] == len(NAMES)
    assert made["bytes"] > 0
    return root / "sent"


@pytest.fixture(scope="module")
def file(sent: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the device says."""
    said = answer("device", "measure", sent, "--rounds", 3, "--threads", 1)
    file = tmp_path_factory.mktemp("measured") / "latencies.json"
    file.write_text(json.dumps(said))
    return file


@pytest.fixture
def told(file: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task that those times steer."""
    shrink(monkeypatch)
    return replace(task(dataset, tmp_path / "study"), latencies=Latencies.load(file))


def test_the_devices_times_are_the_candidates(told: Task) -> None:
    latencies = told.latencies
    assert latencies is not None
    assert set(latencies.latencies) == set(NAMES)
    assert latencies.engine["threads"] == "1"
    desk = Desk(told)
    (baseline,) = propose(desk, "baseline", [desk.space.native])
    (half,) = propose(desk, "resolution", desk.space.proposals("resolution"))
    assert (baseline.id, half.id) == NAMES
    assert [baseline.latency, half.latency] == [latencies.latencies[name] for name in NAMES]
    assert desk.study.remote
    assert desk.study.engine == latencies.engine
    assert not desk.exits  # their paths were not timed there


def test_what_is_too_slow_there_is_not_trained(told: Task) -> None:
    latencies = told.latencies
    assert latencies is not None
    slow = latencies.latencies["48x32"].model_copy(update={"median_ms": 2000.0})
    times = {**latencies.latencies, "48x32": slow}
    desk = Desk(replace(told, latencies=latencies.model_copy(update={"latencies": times})))
    (half,) = propose(desk, "resolution", desk.space.proposals("resolution"))
    assert half.status == "too-slow"


def test_a_candidate_without_a_time_is_named(told: Task) -> None:
    latencies = told.latencies
    assert latencies is not None
    only = {"96x64": latencies.latencies["96x64"]}
    short = replace(told, latencies=latencies.model_copy(update={"latencies": only}))
    with pytest.raises(BadInput, match="lack 1 candidates; expected 48x32"):
        tune(short)
    assert not told.out.exists()


def test_times_of_another_network_are_refused(told: Task) -> None:
    latencies = told.latencies
    assert latencies is not None
    with pytest.raises(BadInput, match="another network"):
        replace(told, latencies=latencies.model_copy(update={"model": "bisenetv2"}))


def test_only_folders_of_candidates_are_written_over(
    sent: Path, told: Task, tmp_path: Path
) -> None:
    Desk(told).save()
    (tmp_path / "mine").mkdir()
    with pytest.raises(BadInput, match="holds no candidates"):
        export_study(told.out, tmp_path / "mine")
    with pytest.raises(BadInput):
        export_study(tmp_path / "mine", tmp_path / "out")


def test_a_folder_without_candidates_is_bad_input(tmp_path: Path) -> None:
    call("device", "measure", tmp_path, status=2)
