"""A live camera as a source of a run: it ends in time, and counts what was lost."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.runtime.session import Session
from offramp.video.address import Address
from offramp.video.live import Live
from offramp.video.run import run
from tests.video.scripted import Clock, Opener


def test_a_run_over_a_live_camera_ends_in_time_and_counts_what_it_lost(
    bundle: Bundle, tmp_path: Path
) -> None:
    live = Live(Address.parse("synthetic:96x64@100"), seconds=0.6)
    tally = run(Session(bundle), [live], tmp_path)
    assert tally.frames > 0
    lines = (tmp_path / "synthetic" / "results.jsonl").read_text().splitlines()
    assert len(lines) == tally.frames
    assert [path.name for path in (tmp_path / "synthetic").iterdir()] == ["results.jsonl"]
    assert tally.dropped == live.dropped


def test_a_live_camera_ends_when_it_is_told() -> None:
    live = Live(Address.parse("synthetic:32x32@100"))
    frames = []
    for frame in live.frames():
        frames.append(frame)
        if len(frames) == 3:
            live.stop()
    assert len(frames) == 3


def test_a_live_camera_without_a_frame_says_why() -> None:
    opener = Opener(Clock(), BadInput("cameras there are not allowed"))
    live = Live(Address.parse("rtsp://ann:hunter2@cam/a"), opener=opener)
    with pytest.raises(BadInput, match=r"ann:\*\*\*@cam/a; got cameras there are not allowed"):
        list(live.frames())


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["rtsp://a/1", "rtsp://b/2"], "never ends"),
        (["clip.mp4", "synthetic:64x48@5"], "never ends"),
        (["clip.mp4", "--seconds", "3"], "--seconds is for live cameras"),
        (["rtsp://ann:hunter2@cam:99999/a"], "ann:***@cam:99999"),
    ],
)
def test_sources_that_do_not_go_together_are_refused_before_anything_runs(
    sources: list[str], said: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["run", "no.offramp", *sources, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert said in result.output
    assert "hunter2" not in result.output


def test_ctrl_c_ends_a_live_camera_and_sums_up(bundle: Bundle, tmp_path: Path) -> None:
    def interrupt() -> None:
        for _ in range(400):  # until the run has begun to write
            if any(f.stat().st_size for f in tmp_path.glob("*/.results*")):
                break
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=interrupt)
    thread.start()
    arguments = ["run", str(bundle.folder), "synthetic:96x64@100", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert result.exit_code == 0
    assert json.loads(result.stdout)["frames"] > 0
