"""A drift closes one exit after another; without one nothing is closed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offramp.core.errors import BadInput
from offramp.video import monitor as module
from offramp.video.monitor import Alarm, ShadowMonitor

FRAME = np.full((4, 6, 3), 7, dtype=np.uint8)


def feed(monitor: ShadowMonitor, camera: str, losses: np.ndarray) -> None:
    for loss in losses:
        monitor.note(camera, float(loss), FRAME)


def test_without_drift_no_exit_closes_and_the_bound_covers_the_mean() -> None:
    monitor = ShadowMonitor(3, 0.05)
    losses = np.random.default_rng(0).beta(0.6, 29.4, 2000)
    feed(monitor, "gate", losses)
    assert monitor.floor("gate") is None
    watch = monitor.watch("gate")
    assert watch is not None
    assert (watch.seen, watch.alarms) == (2000, 0)
    assert watch.mean == pytest.approx(losses.mean())
    assert 0.02 <= watch.upper < 0.03


def test_a_drift_closes_exits_one_by_one_up_to_the_last_and_for_its_camera_alone() -> None:
    alarms: list[Alarm] = []
    monitor = ShadowMonitor(3, 0.05, on_alarm=alarms.append)
    feed(monitor, "hall", np.full(50, 0.01))
    floors = []
    for _ in range(600):
        monitor.note("gate", 0.2, FRAME)
        floors.append(monitor.floor("gate") or 0)
    assert floors == sorted(floors)
    assert set(floors) == {0, 1, 2}
    assert [(a.camera, a.floor) for a in alarms] == [("gate", 1), ("gate", 2)]
    assert floors.index(2) >= 2 * floors.index(1)  # the test began anew
    assert monitor.floor("hall") is None
    monitor.reset("gate")
    assert monitor.floor("gate") is None
    assert monitor.watch("gate") is None


def test_without_a_limit_it_watches_and_does_nothing() -> None:
    monitor = ShadowMonitor(3)
    feed(monitor, "gate", np.ones(500))
    watch = monitor.watch("gate")
    assert watch is not None
    assert (watch.mean, watch.floor, watch.alarms) == (1.0, 0, 0)


def test_frames_above_the_limit_are_kept_and_old_ones_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    monitor = ShadowMonitor(2, 0.5, folder=tmp_path)
    feed(monitor, "gate", np.array([0.6, 0.4, 0.7, 0.5, 0.8, 0.9, 1.0]))
    names = sorted(path.name for path in (tmp_path / "gate").iterdir())
    assert names == ["00000003.png", "00000004.png", "00000005.png"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "gate" / names[0])), FRAME)
    again = ShadowMonitor(2, 0.5, folder=tmp_path)
    again.note("gate", 0.9, FRAME)
    assert sorted(path.name for path in (tmp_path / "gate").iterdir())[-1] == "00000006.png"


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a limit that cannot be kept"):
        ShadowMonitor(2, 1.5)
    with pytest.raises(BadInput, match="expected a limit"):
        ShadowMonitor(2, folder=tmp_path)
