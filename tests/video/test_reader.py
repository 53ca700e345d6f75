"""Reading a camera, step by step on a clock of our own: whatever it does, every frame counts."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.video.picture import Corrupt, Still
from offramp.video.reader import Reader
from offramp.video.state import Phase
from offramp.video.stream import Denied
from tests.video.scripted import Clock, Opener, drive, reader, still


def phases(log: list[Phase]) -> list[Phase]:
    return [phase for i, phase in enumerate(log) if not i or phase != log[i - 1]]


def watched(opener: Opener, **options: object) -> tuple[Reader, list[Phase]]:
    log: list[Phase] = []
    made = reader(opener, on_change=lambda: log.append(made.status().state), **options)  # type: ignore[arg-type]
    return made, log


def test_the_newest_frame_waits_and_those_before_it_are_counted() -> None:
    clock = Clock()
    cam = reader(Opener(clock, [(0.1, still(value)) for value in range(5)] + [(9.0, None)]))
    drive(cam, clock, 0.55)
    shot = cam.take()
    assert shot is not None
    assert (int(shot.image[0, 0, 0]), shot.number) == (4, 4)
    assert shot.received == pytest.approx(100.5)
    assert cam.take() is None
    counters = cam.status().counters
    assert (counters.decoded, counters.dropped, counters.taken) == (5, 4, 1)


def test_a_file_waits_until_its_frame_was_taken_and_drops_none() -> None:
    clock = Clock()
    cam, log = watched(Opener(clock, [0.0] * 4), address="some/file.mp4")
    taken = []
    for _ in range(20):
        drive(cam, clock, 1.0)
        assert cam.step() is None
        shot = cam.take()
        taken += [shot.number] if shot is not None else []
    assert taken == [0, 1, 2, 3]
    status = cam.status()
    assert (status.state, status.counters.dropped) == (Phase.ENDED, 0)
    assert phases(log) == [Phase.RUNNING, Phase.ENDED]


def test_a_lost_camera_is_back_within_five_seconds_of_its_return() -> None:
    clock = Clock()
    refused = [ConnectionRefusedError("no") for _ in range(40)]
    opener = Opener(clock, [0.1] * 20, *refused)
    cam, log = watched(opener)
    drive(cam, clock, 20.0)
    assert cam.status().state is Phase.RECONNECTING
    assert cam.status().reason == "no"
    opener.scripts = [[0.1] * 1000]
    back = clock()
    while cam.status().state is not Phase.RUNNING:
        drive(cam, clock, 0.05)
    assert clock() - back <= 5.0
    assert cam.status().counters.reconnects == 1
    assert cam.status().epoch == 1
    assert phases(log) == [Phase.RUNNING, Phase.RECONNECTING, Phase.RUNNING]


def test_silence_is_seen_within_three_seconds_and_ends_the_connection() -> None:
    clock = Clock()
    opener = Opener(clock, [0.1] * 10 + [(0.5, None)] * 20, [0.1] * 1000)
    cam, log = watched(opener)
    drive(cam, clock, 1.0)
    lost = clock()
    while cam.status().state is Phase.RUNNING:
        drive(cam, clock, 0.1)
    assert clock() - lost <= 3.0 + 0.5  # a read takes half a second here
    drive(cam, clock, 5.0)
    assert phases(log) == [Phase.RUNNING, Phase.STALLED, Phase.RECONNECTING, Phase.RUNNING]
    assert opener.streams[0].closed


def test_a_read_that_hangs_shows_as_a_stall_to_whoever_asks_meanwhile() -> None:
    clock = Clock()
    cam = reader(Opener(clock, [0.1] * 10))
    drive(cam, clock, 0.9)
    assert cam.status().state is Phase.RUNNING
    clock.go(2.9)
    assert cam.status().state is Phase.STALLED


def test_damage_is_counted_and_the_next_frame_comes() -> None:
    clock = Clock()
    damaged = Still(np.zeros((6, 8, 3), dtype=np.uint8), corrupt=True)
    cam = reader(Opener(clock, [0.1, Corrupt("bad packet"), (0.1, damaged), 0.1, OSError("end")]))
    while cam.status().counters.decoded < 2:
        cam.step()
    counters = cam.status().counters
    assert (counters.received, counters.decoded, counters.corrupt) == (4, 2, 2)
    assert cam.status().state is Phase.RUNNING


def test_nothing_but_damage_is_a_stall() -> None:
    clock = Clock()
    cam, log = watched(Opener(clock, [0.1] + [(0.1, Corrupt("noise"))] * 100))
    drive(cam, clock, 4.0)
    assert phases(log)[:3] == [Phase.RUNNING, Phase.STALLED, Phase.RECONNECTING]


class Poisoned:
    """A picture whose conversion fails."""

    time_s = None
    size = (8, 6)
    corrupt = False

    def rgb(self) -> np.ndarray:
        raise MemoryError("poison")


@pytest.mark.parametrize("poison", [ValueError("odd"), MemoryError(), KeyError("x"), OSError(5)])
def test_no_exception_of_a_decoder_leaves_a_step(poison: Exception) -> None:
    clock = Clock()
    opener = Opener(clock, poison, [0.1, poison], [0.1, (0.0, Poisoned()), 0.1, (0.1, poison)])
    cam, log = watched(opener)
    drive(cam, clock, 30.0)
    assert cam.status().counters.decoded == 3
    assert cam.status().counters.corrupt == 1
    assert cam.status().reason == "nobody there"
    assert Phase.FAILED not in log


def test_what_can_never_work_fails_for_good_and_says_why() -> None:
    clock = Clock()
    opener = Opener(clock, BadInput("cameras at x are not allowed"))
    cam, log = watched(opener)
    drive(cam, clock, 100.0)
    assert log == [Phase.FAILED]
    assert cam.status().reason == "cameras at x are not allowed"
    assert cam.step() is None
    assert len(opener.at) == 1


def test_a_camera_that_lets_us_not_in_is_asked_seldom() -> None:
    clock = Clock()
    opener = Opener(clock, *[Denied("401") for _ in range(50)])
    drive(reader(opener), clock, 300.0)
    assert np.diff(opener.at).min() >= 15.0


def test_passwords_are_not_in_reasons_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    url = "rtsp://ann:hunter2@10.0.0.1/x"
    opener = Opener(clock, OSError(f"cannot open {url}"), [0.1, Corrupt(url), ValueError(url)])
    cam = reader(opener, address=url)
    drive(cam, clock, 1.5)
    reasons = cam.status().reason + caplog.text + repr(cam.status())
    assert "ann:***@10.0.0.1" in reasons
    assert "hunter2" not in reasons


def test_frames_beyond_the_cap_are_skipped_without_conversion() -> None:
    clock = Clock()
    converted = []

    class Counted(Poisoned):
        def rgb(self) -> np.ndarray:
            converted.append(clock())
            return np.zeros((6, 8, 3), dtype=np.uint8)

    cam = reader(Opener(clock, [(1 / 15, Counted())] * 150 + [(9.0, None)]), max_fps=10.0)
    drive(cam, clock, 10.0)
    counters = cam.status().counters
    assert 99 <= len(converted) <= 101
    assert counters.skipped == 150 - len(converted)
    assert counters.dropped == len(converted) - 1


def test_a_paused_camera_is_let_go_and_comes_back() -> None:
    clock = Clock()
    opener = Opener(clock, [0.1] * 1000, [0.1] * 1000)
    cam, log = watched(opener)
    drive(cam, clock, 1.0)
    cam.pause()
    assert cam.take() is None
    assert cam.status().state is Phase.PAUSED
    assert cam.step() is None
    assert opener.streams[0].closed
    cam.resume()
    drive(cam, clock, 1.0)
    assert phases(log) == [Phase.RUNNING, Phase.PAUSED, Phase.CONNECTING, Phase.RUNNING]
    assert cam.status().epoch == 1


def test_a_clock_that_jumps_begins_an_epoch_and_nothing_waits_for_it() -> None:
    clock = Clock()
    times = [0.0, 0.1, 0.2, 5000.0, 5000.1, 3.0, 3.1]
    cam = reader(Opener(clock, [(0.1, still(time_s=t + 1.0)) for t in times]))
    epochs: list[int] = []
    while len(epochs) < len(times):
        cam.step()
        shot = cam.take()
        epochs += [shot.epoch] if shot is not None else []
    assert epochs == [0, 0, 0, 1, 1, 2, 2]
    assert cam.status().counters.clock_jumps == 2


def test_changes_of_size_are_counted() -> None:
    clock = Clock()
    sizes = [(8, 6), (8, 6), (16, 12), (8, 6)]
    cam = reader(Opener(clock, [(0.1, still(size=s)) for s in sizes] + [(9.0, None)]))
    drive(cam, clock, 0.45)
    assert cam.status().counters.size_changes == 2
    assert cam.status().size == (8, 6)


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(
        st.one_of(
            st.sampled_from([0.01, 0.1, 1.0]),
            st.just(Corrupt("x")),
            st.just((3.0, None)),
            st.just(OSError("gone")),
        ),
        max_size=30,
    ),
    actions=st.lists(st.sampled_from(["take", "go", "go", "pause", "resume"]), max_size=40),
    address=st.sampled_from(["rtsp://10.0.0.1/x", "clip.mp4"]),
    max_fps=st.sampled_from([None, 3.0]),
)
def test_every_decoded_frame_is_accounted_for(
    events: list, actions: list, address: str, max_fps: float | None
) -> None:
    clock = Clock()
    cam = reader(Opener(clock, events, events), address=address, max_fps=max_fps)
    taken = 0
    for action in actions:
        if action == "go":
            drive(cam, clock, 0.7)
        elif action == "take":
            taken += cam.take() is not None
        else:
            getattr(cam, action)()
        counters = cam.status().counters
        waiting = counters.decoded - counters.skipped - counters.dropped - counters.taken
        assert counters.taken == taken
        assert waiting in (0, 1)
        if address == "clip.mp4" and "pause" not in actions:
            assert counters.dropped == 0
    cam.stop()
    counters = cam.status().counters
    assert counters.decoded == counters.skipped + counters.dropped + counters.taken
