"""Cameras by real RTSP: looped clips, another size, a bad wire, a server that hangs.

GStreamer's server runs as a process of its own; what is tested is the reader, with PyAV behind it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from offramp.data.images import Array
from offramp.video.state import Phase
from offramp.video.status import Counters
from tests.video.farm import Farm, NoFarm, write_clip
from tests.video.proxy import Proxy
from tests.video.scripted import Watch

FPS = 20
CLIP = 10
"""Frames of the clip: it begins anew twice a second."""
STEP = 14


@contextmanager
def serving(*arguments: object) -> Iterator[Farm]:
    """Serve streams, or skip where that cannot be."""
    farm = Farm(*arguments)
    try:
        farm.start()
    except NoFarm as error:
        pytest.skip(str(error))
    try:
        yield farm
    finally:
        farm.kill()


def grey(number: int) -> Array:
    """Frame k of the clip: each is brighter than the one before."""
    return np.full((96, 128, 3), 30 + STEP * number, dtype=np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    with av.open(str(folder / "video.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(CLIP + 5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(grey(number), format="rgb24")))
        out.mux(stream.encode(None))
    return write_clip(folder / "video.mp4", folder / "clip", (128, 96), FPS, frames=CLIP)


def test_a_clip_comes_over_and_over_in_its_order(clip: Path) -> None:
    with (
        serving("--cameras", 0, "--fps", FPS, clip) as farm,
        Watch(farm.url("clip0")) as watch,
    ):
        watch.until(lambda: len(watch.shots) >= 3 * CLIP)
    counters = watch.camera.status().counters
    assert counters.corrupt == 0
    assert counters.decoded == counters.dropped + counters.taken
    shown = [round((float(shot.image.mean()) - 30) / STEP) for shot in watch.shots]
    assert set(shown) == set(range(CLIP))  # no frame of the video beyond the clip's
    for before, after, number in zip(
        shown, shown[1:], np.diff([shot.number for shot in watch.shots]), strict=False
    ):
        assert (after - before) % CLIP == number % CLIP
    times = [shot.time_s for shot in watch.shots if shot.time_s is not None]
    rate = (len(shown) - 1) / (times[-1] - times[0])
    assert rate == pytest.approx(FPS, rel=0.3)


def test_a_camera_that_returns_with_another_size_is_taken_as_it_is() -> None:
    with (
        serving("--size", "128x96", "--fps", FPS) as farm,
        Watch(farm.url("cam0")) as watch,
    ):
        watch.until(lambda: len(watch.shots) >= 3)
        farm.kill()
        watch.until(lambda: watch.is_(Phase.RECONNECTING))
        before = len(watch.shots)
        farm.start("--size", "160x120", "--fps", FPS)
        watch.until(lambda: len(watch.shots) >= before + 3, most_s=40)
        status = watch.camera.status()
    assert {shot.image.shape for shot in watch.shots[:before]} == {(96, 128, 3)}
    assert {shot.image.shape for shot in watch.shots[before:]} == {(120, 160, 3)}
    assert (status.size, status.counters.size_changes) == ((160, 120), 1)
    assert status.counters.reconnects >= 1
    assert watch.shots[-1].epoch > watch.shots[0].epoch


def test_a_server_that_hangs_is_noticed_and_one_that_wakes_is_found() -> None:
    with serving("--fps", FPS) as farm, Watch(farm.url("cam0")) as watch:
        watch.until(lambda: len(watch.shots) >= 3)
        farm.freeze()
        watch.until(lambda: not watch.is_(Phase.RUNNING))
        before = len(watch.shots)
        farm.thaw()
        watch.until(lambda: len(watch.shots) >= before + 3, most_s=40)
        assert watch.is_(Phase.RUNNING)


def test_bytes_that_are_spoilt_cost_the_connection_at_most(clip: Path) -> None:
    with (
        serving("--cameras", 0, "--fps", FPS, clip) as farm,
        Proxy(farm.port, share=0.02) as proxy,
        Watch(f"rtsp://127.0.0.1:{proxy.port}/clip0") as watch,
    ):

        def status() -> Counters:
            return watch.camera.status().counters

        watch.until(lambda: len(watch.shots) >= 3)
        proxy.set("flip")
        watch.until(lambda: not watch.is_(Phase.RUNNING) or status().corrupt > 0)
        proxy.set("clean")
        before = status().decoded
        watch.until(lambda: watch.is_(Phase.RUNNING) and status().decoded > before + 3, most_s=40)
        counted = status()
        assert counted.decoded - (counted.dropped + counted.taken) in (0, 1)  # one may wait


def test_a_wire_that_was_cut_is_mended() -> None:
    with (
        serving("--fps", FPS) as farm,
        Proxy(farm.port) as proxy,
        Watch(f"rtsp://127.0.0.1:{proxy.port}/cam0") as watch,
    ):
        watch.until(lambda: len(watch.shots) >= 3)
        proxy.cut()
        watch.until(lambda: not watch.is_(Phase.RUNNING))
        watch.until(lambda: watch.is_(Phase.RUNNING), most_s=40)
        assert watch.camera.status().counters.reconnects >= 1
