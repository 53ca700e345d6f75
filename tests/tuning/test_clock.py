"""Times: their summary against numpy, each path of each bundle, and the file of a device."""

import json
from pathlib import Path

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.runtime.session import Session
from offramp.tuning import clock
from offramp.tuning.clock import Latencies, conditions, measure_folder, summary, time_paths


def test_median_and_spread() -> None:
    times = np.random.default_rng(0).exponential(size=101)
    found = summary(times.tolist())
    ordered = np.sort(times)
    assert (found.p5_ms, found.median_ms, found.p95_ms) == pytest.approx(
        (ordered[5], ordered[50], ordered[95])
    )
    assert found.rounds == 101
    assert found.fps == pytest.approx(1000 / ordered[50])


def test_every_path_is_timed_in_turn(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = []

    def path(session, frame, last):
        walked.append((session, last))
        assert frame.shape == (*bundle.manifest.model.size, 3)
        return float(len(walked))

    monkeypatch.setattr(clock, "_path", path)
    sessions = [Session(bundle, threads=1) for _ in range(2)]
    exits = len(bundle.manifest.plan.exits)
    found = time_paths(sessions, rounds=3)
    turn = [(session, last) for session in sessions for last in range(exits)]
    assert walked == turn * (3 + clock.WARM_UP)
    first = 1 + clock.WARM_UP * len(turn)  # rounds to warm up do not count
    assert found[0][0].median_ms == first + len(turn)
    assert [[one.rounds for one in paths] for paths in found] == [[3] * exits] * 2


def test_a_path_says_what_its_session_says(bundle: Bundle) -> None:
    assert time_paths([Session(bundle, threads=1)], rounds=3)[0][-1].p5_ms > 0


def test_conditions_name_the_machine() -> None:
    found = conditions(1)
    assert set(found) == {
        *("engine", "python", "threads", "host", "machine", "processor", "cores", "frequency"),
    }
    assert found["threads"] == "1"
    assert all(found.values())


@pytest.mark.parametrize("text", ["[]", "{}", '{"model": "a"}'])
def test_files_that_hold_no_latencies_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "latencies.json"
    file.write_text(text)
    with pytest.raises(BadInput):
        Latencies.load(file)
    with pytest.raises(BadInput):
        Latencies.load(tmp_path / "none.json")


def test_folders_that_hold_no_candidates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        measure_folder(tmp_path)
    (tmp_path / "device.json").write_text(json.dumps([1]))
    with pytest.raises(BadInput):
        measure_folder(tmp_path)
