"""Cameras in threads: real files, the drawn camera, HTTP, and a server of real streams."""

import threading
from pathlib import Path

import numpy as np
import pytest

from offramp.video.address import Scene
from offramp.video.camera import Camera, CameraSpec
from offramp.video.picture import Corrupt, Decoded
from offramp.video.rate import Stagger
from offramp.video.sinks import Movie
from offramp.video.sources import open_source
from offramp.video.state import Phase
from offramp.video.synthetic import Drawing, SyntheticStream
from tests.video.scripted import Clock, Opener, ScriptedStream, Watch, still

FRAMES = 12


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of 12 frames, 64×48, each of another grey."""
    movie = Movie(tmp_path / "clip.mp4", 10.0)
    for number in range(FRAMES):
        movie.write(np.full((48, 64, 3), 20 * number, dtype=np.uint8))
    movie.close()
    return tmp_path / "clip.mp4"


def test_a_file_gives_every_frame_once_and_in_order(clip: Path) -> None:
    with Watch(str(clip)) as watch:
        watch.until(lambda: watch.is_(Phase.ENDED))
    assert [shot.number for shot in watch.shots] == list(range(FRAMES))
    expected = [frame.image for frame in open_source(str(clip)).frames()]
    for shot, image in zip(watch.shots, expected, strict=True):
        assert np.array_equal(shot.image, image)
    times = [shot.time_s for shot in watch.shots if shot.time_s is not None]
    assert np.diff(times) == pytest.approx([0.1] * (FRAMES - 1))
    assert watch.camera.status().counters.dropped == 0


def test_a_capped_file_is_thinned_by_its_own_time(clip: Path) -> None:
    with Watch(str(clip), max_fps=5) as watch:
        watch.until(lambda: watch.is_(Phase.ENDED))
    assert [shot.number for shot in watch.shots] == list(range(0, FRAMES, 2))
    assert watch.camera.status().counters.skipped == FRAMES // 2


def test_a_file_that_is_none_fails_and_says_why(tmp_path: Path) -> None:
    with Watch(str(tmp_path / "nothing.mp4")) as watch:
        watch.until(lambda: watch.is_(Phase.FAILED))
    assert "does not exist" in watch.camera.status().reason


def test_a_paused_file_goes_on_where_it_was(clip: Path) -> None:
    with Watch(str(clip)) as watch:
        watch.until(lambda: len(watch.shots) == 3)
        watch.camera.pause()
        assert watch.camera.take() is None
        lost = watch.camera.status().counters.dropped
        watch.camera.resume()
        watch.until(lambda: watch.is_(Phase.ENDED))
    assert len(watch.shots) == FRAMES - lost
    assert [shot.number for shot in watch.shots][-1] == FRAMES - 1
    assert watch.camera.status().counters.reconnects == 0


def test_a_drawn_camera_runs_at_its_rate_and_ends_when_told() -> None:
    with Watch("synthetic:64x48@200?seed=4") as watch:
        watch.until(lambda: len(watch.shots) >= 20)
    drawing = Drawing(Scene(64, 48, 200.0, 4))
    for shot in watch.shots:
        assert shot.time_s is not None
        assert np.array_equal(shot.image, drawing.draw(round(shot.time_s * 200)))
    counters = watch.camera.status().counters
    assert counters.decoded == counters.taken + counters.dropped


def test_a_listener_that_fails_does_not_stop_its_camera(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    camera = Camera(
        CameraSpec(name="cam", address="clip.mp4"),  # type: ignore[arg-type]
        opener=Opener(clock, [0.1] * 3),
        on_frame=lambda _: 1 / 0,  # type: ignore[arg-type, return-value]
    )
    camera.start()
    taken = 0
    while camera.status().state is not Phase.ENDED or camera.status().counters.taken < 3:
        taken += camera.take() is not None
    assert taken == 3
    assert camera.stop()
    assert "a listener failed" in caplog.text


def test_stopping_does_not_wait_for_a_camera_that_hangs() -> None:
    inside, release = threading.Event(), threading.Event()

    class Hanging(ScriptedStream):
        def read(self) -> tuple:
            inside.set()
            release.wait(20)
            return (still(),)

    camera = Camera(
        CameraSpec(name="cam", address="rtsp://10.0.0.1/x"),  # type: ignore[arg-type]
        opener=lambda _: Hanging(Clock(), []),
        stagger=Stagger(0.0),
    )
    camera.start()
    assert inside.wait(10)
    assert not camera.stop(wait_s=0.01)
    release.set()
    assert camera.stop()
    counters = camera.status().counters
    assert (counters.taken, counters.dropped) == (0, counters.decoded)


def test_a_drawn_camera_that_is_read_late_misses_frames() -> None:
    clock = Clock()
    stream = SyntheticStream(Scene(32, 32, 10.0), clock, clock.go)
    times = []
    for late in (0.0, 0.0, 0.35, 0.0):
        clock.go(late)
        (picture,) = stream.read()
        times.append(picture.time_s)
    assert times == pytest.approx([0.0, 0.1, 0.4, 0.5])


def test_a_drawn_camera_that_is_slow_does_not_hold_its_reader_up() -> None:
    clock = Clock()
    stream = SyntheticStream(Scene(32, 32, 0.25), clock, clock.go)
    begun = clock()
    reads = [len(stream.read()) for _ in range(9)]
    assert reads == [1] + [0] * 7 + [1]
    assert clock() - begun == pytest.approx(4.0)


def test_frames_that_are_too_large_are_not_converted() -> None:
    class Huge:
        time, width, height, is_corrupt = 0.0, 20_000, 20_000, False

    with pytest.raises(Corrupt, match="20000x20000"):
        Decoded(Huge()).rgb()
