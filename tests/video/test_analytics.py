"""Analytics: cameras and requests on one engine, every frame counted, faults kept apart."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, UnknownName
from offramp.data.images import Array
from offramp.runtime.session import Session
from offramp.video.analytics import Analytics
from offramp.video.answer import Answer, Overloaded, TooLate, Unanswered
from offramp.video.camera import CameraSpec
from offramp.video.counts import BOUNDS_MS, Counts
from offramp.video.events import Event
from offramp.video.monitor import Alarm, ShadowMonitor
from tests.video.fakes import POISON, Cameras, Clock, FakeEngine, fake_bundle, frame

WAIT_S = 20.0
"""Longer than anything here takes; what fails, fails after it."""


def spec(name: str, **keys: Any) -> CameraSpec:
    address = keys.pop("address", "rtsp://user:secret@camera.example/live")
    keys.setdefault("deadline_ms", None)
    return CameraSpec(name=name, address=address, **keys)


class Bench:
    """Analytics on fakes, with its engine and cameras at hand."""

    def __init__(self, **keys: Any) -> None:
        self.clock = Clock()
        self.engine = FakeEngine(self.clock)
        self.cameras = Cameras()
        keys = {"workers": 1, "clock": self.clock, **keys}
        self.analytics = Analytics(fake_bundle(), self.engine, open_camera=self.cameras, **keys)
        self.engine.ran.clear()
        while self.engine.busy.acquire(blocking=False):
            pass
        self.events = self.analytics.subscribe()

    def push(self, name: str, image: Array) -> None:
        self.cameras[name].push(image, self.clock.now)

    def event(self, kind: str) -> Event:
        while (event := self.events.get(WAIT_S)) is not None:
            if event.kind == kind:
                return event
        raise AssertionError(f"no event {kind}")

    def counts(self, name: str) -> Counts:
        return self.analytics.statistics().cameras[name]

    def settle(self) -> None:
        """Wait until no frame is under way; failures are no events."""
        end = time.monotonic() + WAIT_S
        while any(counts.pending for counts in self.analytics.statistics().cameras.values()):
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**keys: Any) -> Bench:
        made.append(Bench(**keys))
        made[-1].analytics.start()
        return made[-1]

    yield make
    for one in made:
        one.engine.gate.set()
        one.analytics.stop(WAIT_S)
    assert not [t for t in threading.enumerate() if t.name.startswith("analytics-")]


def balanced(counts: Counts) -> bool:
    ended = counts.answered + sum(counts.dropped.values()) + counts.shed + counts.failed
    return counts.received == ended + counts.pending and counts.answered == sum(counts.exits)


def test_each_frame_is_answered_by_the_exit_that_the_policy_picks(bench: Any) -> None:
    b = bench()
    b.engine.seconds = 0.012  # a segment moves the clock by so much
    b.analytics.add(spec("hall"))
    for exit in (0, 1, 2, 1):
        b.push("hall", frame(1, exit))
        payload = b.event("answer").payload
        assert (payload["exit"], payload["point"]) == (exit, ("one", "two", "end")[exit])
        latest = b.analytics.latest("hall")
        assert latest is not None
        assert latest.exit == exit
        assert latest.scores == ((0.0,),) * exit + ((1.0,),)
        assert latest.labels.shape == (16, 24)
        assert latest.latency_ms == pytest.approx(12.0 * (exit + 1))
    counts = b.counts("hall")
    assert counts.exits == (1, 2, 1)
    assert counts.received == counts.answered == 4
    buckets = dict(zip(BOUNDS_MS, counts.latency.counts, strict=False))
    assert (buckets[10.0], buckets[20.0], buckets[30.0], buckets[50.0]) == (0, 1, 2, 1)
    assert counts.latency.sum_ms == pytest.approx(96.0)


def test_the_events_of_an_answer_hold_plain_values(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    b.push("hall", frame(label=1))
    payload = b.event("answer").payload
    assert payload["area"] == {"a": 0.0, "b": 1.0, "c": 0.0}
    plain = (int, float, str, bool, type(None))
    values = [*payload.values(), *payload["area"].values(), *payload["scores"]]
    assert all(isinstance(v, (*plain, list, dict)) for v in values)


def test_a_camera_is_shown_without_its_password(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    (watched,) = b.analytics.cameras()
    assert "secret" not in repr(watched)
    assert watched.status.state == "running"
    assert (watched.level, watched.cap, watched.floor) == (0, 2, 0)
    assert (watched.p50_ms, watched.agreement) == (None, None)


def test_rates_and_latencies_of_a_camera(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    for _ in range(8):
        b.clock.now += 0.49
        b.push("hall", frame())
        b.event("answer")
    (watched,) = b.analytics.cameras()
    assert watched.fps == pytest.approx(2.0)
    assert watched.p50_ms == pytest.approx(10.0)
    b.clock.now += 20.0
    assert b.analytics.cameras()[0].fps == 0.0


def test_a_poisoned_camera_fails_alone(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    b = bench(workers=2)
    b.analytics.add(spec("bad"))
    b.analytics.add(spec("good"))
    for _ in range(5):
        b.push("bad", frame(poison=POISON))
        b.push("good", frame())
        assert b.event("answer").camera == "good"
    b.push("bad", frame())
    assert b.event("answer").camera == "bad"
    b.settle()
    counts = b.counts("bad")
    assert counts.failed + counts.dropped["displaced"] == 5
    assert counts.failed >= 1
    assert counts.answered == 1
    assert b.counts("good").answered == 5
    assert "camera bad: frame" in caplog.text


def test_a_live_camera_gets_its_newest_frame_answered(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    b.engine.gate.clear()
    b.push("hall", frame())
    assert b.engine.busy.acquire(timeout=WAIT_S)
    for _ in range(4):
        b.push("hall", frame())
    counts = b.counts("hall")
    assert (counts.pending, counts.dropped["displaced"]) == (2, 3)
    assert balanced(counts)
    b.engine.gate.set()
    assert [b.event("answer").payload["number"] for _ in range(2)] == [0, 4]


def test_a_file_loses_no_frame(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("clip", address="clip.mp4", deadline_ms=1.0))
    for _ in range(20):
        b.push("clip", frame(exit=2))
    assert [b.event("answer").payload["number"] for _ in range(20)] == list(range(20))
    assert b.counts("clip").exits == (0, 0, 20)


def test_the_exit_must_have_the_miou_that_a_camera_wants(bench: Any) -> None:
    b = bench()
    for name, wanted in (("any", None), ("some", 0.6), ("most", 0.99)):
        b.analytics.add(spec(name, min_miou=wanted))
        b.push(name, frame(exit=0))
        b.event("answer")
    assert [one.floor for one in b.analytics.cameras()] == [0, 1, 2]
    assert [b.counts(name).exits.index(1) for name in ("any", "some", "most")] == [0, 1, 2]


def test_the_deadline_ends_a_frame_early_and_is_counted(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall", deadline_ms=25.0))
    b.push("hall", frame(exit=2))
    payload = b.event("answer").payload
    assert (payload["exit"], payload["involuntary"], payload["late"]) == (1, True, False)
    b.cameras["hall"].push(frame(), b.clock.now - 1.0)  # it was old when it came
    answered = b.analytics.segment(frame())  # behind which it has been looked at
    assert answered.exit == 0
    counts = b.counts("hall")
    assert (counts.involuntary, counts.shed, counts.answered) == (1, 1, 1)


def test_a_removed_camera_gets_nothing_more_and_its_name_is_free(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    b.engine.gate.clear()
    b.push("hall", frame(label=1))
    assert b.engine.busy.acquire(timeout=WAIT_S)
    b.push("hall", frame(label=1))
    b.analytics.remove("hall")
    assert b.event("state").payload["state"] == "running"
    assert b.event("state").payload["state"] == "removed"
    b.analytics.add(spec("hall"))
    b.engine.gate.set()
    b.push("hall", frame(label=2))
    assert b.event("answer").payload["area"]["c"] == 1.0
    counts = b.counts("hall")
    assert (counts.received, counts.answered) == (1, 1)
    assert b.engine.ran[:2] == [("advance", 0), ("advance", 0)]  # not one step more


def test_names_are_checked(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    with pytest.raises(BadInput, match="'hall' already"):
        b.analytics.add(spec("hall"))
    for verb in (b.analytics.remove, b.analytics.pause, b.analytics.resume, b.analytics.latest):
        with pytest.raises(UnknownName, match="did you mean 'hall'"):
            verb("hal")


def test_pause_and_resume_reach_the_camera(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    b.event("state")
    b.analytics.pause("hall")
    assert b.event("state").payload["state"] == "paused"
    b.analytics.resume("hall")
    assert b.event("state").payload["state"] == "running"


def test_a_request_is_answered_among_the_cameras(bench: Any) -> None:
    b = bench()
    answer = b.analytics.segment(np.dstack([frame(1, 1)]).repeat(2, axis=0))
    assert (answer.camera, answer.exit, answer.labels.shape) == ("", 1, (32, 24))
    assert b.analytics.segment(frame(1, 0), exit=2).exit == 2
    assert b.analytics.segment(frame(1, 2), exit=0).exit == 0
    counts = b.analytics.statistics().requests
    assert (counts.received, counts.exits) == (3, (1, 1, 1))


def test_a_pinned_exit_reads_no_other(bench: Any) -> None:
    b = bench()
    b.analytics.segment(frame(), exit=2)
    assert [step for step in b.engine.ran if step[0] == "read"] == [("read", 2)]


def test_a_request_that_cannot_be_in_time_is_refused_at_once(bench: Any) -> None:
    b = bench()
    with pytest.raises(Overloaded) as refused:
        b.analytics.segment(frame(), deadline_ms=5.0)  # the first exit takes 10 ms
    assert refused.value.retry_after_s > 0
    b.engine.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(b.analytics.segment, frame())
        assert b.engine.busy.acquire(timeout=WAIT_S)
        with pytest.raises(Overloaded):
            b.analytics.segment(frame(), deadline_ms=25.0)
        b.engine.gate.set()
        assert first.result(WAIT_S).exit == 0
    assert b.analytics.statistics().requests.dropped["rejected"] == 2


def test_a_request_whose_time_runs_out_while_it_waits_is_told(bench: Any) -> None:
    b = bench()
    b.engine.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(b.analytics.segment, frame())
        assert b.engine.busy.acquire(timeout=WAIT_S)
        second = pool.submit(b.analytics.segment, frame(), deadline_ms=500.0)
        while not b.analytics.statistics().queued:
            pass
        b.clock.now += 1.0
        b.engine.gate.set()
        assert first.result(WAIT_S).exit == 0
        with pytest.raises(TooLate):
            second.result(WAIT_S)
    assert b.analytics.statistics().requests.shed == 1


def test_a_request_at_which_the_engine_fails_is_told(bench: Any) -> None:
    b = bench()
    with pytest.raises(Unanswered, match="engine failed"):
        b.analytics.segment(frame(poison=POISON))
    assert b.analytics.segment(frame()).exit == 0


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"image": np.zeros((4, 4), dtype=np.uint8)}, "not a frame"),
        ({"image": np.zeros((4, 4, 3))}, "not a frame"),
        ({"deadline_ms": 0.0}, "deadline"),
        ({"deadline_ms": float("nan")}, "deadline"),
        ({"exit": 3}, "no exit '3'"),
        ({"exit": -1}, "no exit '-1'"),
    ],
)
def test_a_bad_request_is_refused(bench: Any, keys: dict[str, Any], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        bench().analytics.segment(**{"image": frame(), **keys})


@pytest.mark.parametrize("keys", [{"workers": 0}, {"skip_same": 1.5}, {"shadow": -0.1}])
def test_bad_numbers_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Bench(**keys)


def test_stopping_answers_what_was_taken_in(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    b.engine.gate.clear()
    b.push("hall", frame())
    assert b.engine.busy.acquire(timeout=WAIT_S)
    b.push("hall", frame())
    stopping = threading.Thread(target=b.analytics.stop, args=(WAIT_S,))
    stopping.start()
    b.engine.gate.set()
    stopping.join(WAIT_S)
    assert [e.payload["number"] for e in b.events if e.kind == "answer"] == [0, 1]
    assert b.analytics.cameras() == ()
    with pytest.raises(Unanswered, match="start it first"):
        b.analytics.segment(frame())


def test_stopping_does_not_wait_for_an_engine_that_hangs(bench: Any) -> None:
    b = bench()
    b.engine.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        hung = pool.submit(b.analytics.segment, frame())
        assert b.engine.busy.acquire(timeout=WAIT_S)
        waiting = pool.submit(b.analytics.segment, frame())
        while not b.analytics.statistics().queued:
            pass
        b.analytics.stop(grace_s=0.0)
        for request in (hung, waiting):
            with pytest.raises(Unanswered, match="stopped"):
                request.result(WAIT_S)


def test_starts_again_after_a_stop(bench: Any) -> None:
    b = bench()
    b.analytics.stop(WAIT_S)
    b.analytics.start()
    b.analytics.add(spec("hall"))
    assert b.analytics.segment(frame()).exit == 0


def test_an_unchanged_scene_gets_the_answer_before_again(bench: Any) -> None:
    b = bench(skip_same=0.9)
    b.analytics.add(spec("hall"))
    payloads = []
    for label, exit in ((1, 2), (1, 2), (2, 2), (2, 2), (2, 1)):
        b.push("hall", frame(label, exit))
        payloads.append(b.event("answer").payload)
    assert [p["same"] for p in payloads] == [False, True, False, True, True]
    assert [p["exit"] for p in payloads] == [2] * 5
    latest = b.analytics.latest("hall")
    assert latest is not None
    assert latest.number == 4
    assert set(np.unique(latest.labels)) == {2}
    assert latest.latency_ms == pytest.approx(10.0)
    assert b.counts("hall").same == 3
    assert b.engine.ran.count(("advance", 2)) == 2


def test_an_answer_that_the_deadline_cut_short_does_not_stand(bench: Any) -> None:
    b = bench(skip_same=0.9)
    b.analytics.add(spec("hall", deadline_ms=25.0))
    for _ in range(2):
        b.push("hall", frame(1, 2))
        payload = b.event("answer").payload
        assert (payload["involuntary"], payload["same"]) == (True, False)


class Watcher:
    """Notes what it hears."""

    def __init__(self, floor: int | None = None) -> None:
        self.noted: list[tuple[str, float]] = []
        self.heard = threading.Semaphore(0)
        self._floor = floor

    def note(self, camera: str, loss: float, image: Array) -> None:
        assert image.shape == (16, 24, 3)
        self.noted.append((camera, loss))
        self.heard.release()
        raise RuntimeError("a monitor's fault costs no frames")

    def floor(self, camera: str) -> int | None:
        return self._floor

    def watch(self, camera: str) -> None:
        return None

    def reset(self, camera: str) -> None:
        self._floor = None


def test_a_share_of_the_answers_is_compared_with_the_end(bench: Any) -> None:
    watcher = Watcher()
    b = bench(shadow=1.0, monitor=watcher)
    b.analytics.add(spec("hall"))
    for exit in (0, 2, 1):
        b.push("hall", frame(1, exit))
        assert b.event("answer").payload["exit"] == exit
        assert watcher.heard.acquire(timeout=WAIT_S)
    # The end of the fake sees a quarter of the pixels otherwise; its own answer loses nothing.
    assert watcher.noted == [("hall", 0.25), ("hall", 0.0), ("hall", 0.25)]
    (watched,) = b.analytics.cameras()
    assert watched.counts.shadowed == 3
    assert watched.agreement == pytest.approx(1 - 0.5 / 3)
    assert watched.counts.answered == 3


def test_a_monitor_can_forbid_the_first_exits(bench: Any) -> None:
    b = bench(monitor=Watcher(floor=1))
    b.analytics.add(spec("hall"))
    b.push("hall", frame(1, 0))
    assert b.event("answer").payload["exit"] == 1


def test_a_drift_closes_an_exit_until_somebody_opens_it_again(bench: Any) -> None:
    alarms: list[Alarm] = []
    heard = threading.Semaphore(0)

    class Heard(ShadowMonitor):
        def note(self, camera: str, loss: float, image: Array) -> None:
            super().note(camera, loss, image)
            heard.release()

    b = bench(shadow=1.0, monitor=Heard(3, 0.05, delta=0.3, on_alarm=alarms.append))
    b.analytics.add(spec("hall"))
    taken = []
    while not alarms and len(taken) < 100:
        b.push("hall", frame(1, 0))
        taken.append(b.event("answer").payload["exit"])
        assert heard.acquire(timeout=WAIT_S)
    assert set(taken) == {0}
    assert [(alarm.camera, alarm.floor) for alarm in alarms] == [("hall", 1)]
    (watched,) = b.analytics.cameras()
    assert watched.floor == 1
    assert watched.monitored.mean == pytest.approx(0.25)
    assert watched.monitored.alarms == 1
    b.push("hall", frame(1, 0))
    assert b.event("answer").payload["exit"] == 1
    b.analytics.reopen("hall")
    b.push("hall", frame(1, 0))
    assert b.event("answer").payload["exit"] == 0


def test_without_exits_every_answer_is_the_full_networks(bench: Any) -> None:
    b = bench(use_exits=False)
    b.analytics.add(spec("hall"))
    b.push("hall", frame(1, 0))
    assert b.event("answer").payload["exit"] == 2
    assert [step for step in b.engine.ran if step[0] == "read"] == [("read", 2)]


def test_utilisation_and_level_are_told(bench: Any) -> None:
    b = bench()
    b.analytics.add(spec("hall"))
    for _ in range(31):
        b.clock.now += 0.03
        b.push("hall", frame())
        b.event("answer")
    b.analytics.segment(frame())
    statistics = b.analytics.statistics()
    assert statistics.utilisation == pytest.approx(0.25, abs=0.05)
    assert statistics.busy_s == pytest.approx(0.32)
    assert (statistics.level, statistics.level_name, statistics.levels) == (0, "full", 5)
    assert (statistics.queued, statistics.begun, statistics.workers) == (0, 0, 1)
    assert statistics.uptime_s == pytest.approx(31 * 0.04 + 0.01)


def play(b: Bench, until: float, interval_s: float) -> list[Event]:
    """Play worker and cameras on the bench's clock; gives changes of the level, and alarms."""
    desk, runner = b.analytics._desk, b.analytics._workers._runner
    due = dict.fromkeys(b.cameras.named, b.clock.now)
    levels = []
    while b.clock.now < until:
        for name in [name for name in due if due[name] <= b.clock.now]:
            b.push(name, frame(1, 2))
            due[name] += interval_s
        task = desk.next(b.clock.now)
        if task is None:
            b.clock.now = min(due.values())
        else:
            start = b.clock.now
            desk.done(task, runner.run(task), b.clock.now - start, b.clock.now)
        while (event := b.events.get(0)) is not None:
            levels += [event] if event.kind in ("level", "alarm") else []
    return levels


def test_a_machine_that_is_short_degrades_says_so_and_recovers() -> None:
    """Three cameras of 33 frames a second, where the full network can do 33 in all."""
    b = Bench()
    b.analytics._workers.going = True  # its workers are played by this thread
    for name in "abc":
        b.analytics.add(spec(name, deadline_ms=200.0))
    changes = play(b, until=b.clock.now + 8.0, interval_s=0.0310)
    assert [change.payload["name"] for change in changes] == ["exit 2", "exit 1"]
    assert "missed" in changes[0].payload["reason"]
    statistics = b.analytics.statistics()
    assert (statistics.level, statistics.level_name) == (2, "exit 1")
    assert [watched.cap for watched in b.analytics.cameras()] == [0, 0, 0]
    before = sum(counts.answered for counts in statistics.cameras.values())
    assert before > 0.9 * 3 * 5 / 0.031  # of the last five seconds alone
    changes = play(b, until=b.clock.now + 30.0, interval_s=0.2)
    assert [change.payload["name"] for change in changes] == ["exit 2", "full"]
    statistics = b.analytics.statistics()
    assert all(balanced(counts) for counts in statistics.cameras.values())
    b.analytics._workers.going = False


def test_frames_without_time_for_the_first_exit_raise_an_alarm_at_last() -> None:
    b = Bench()
    b.analytics._workers.going = True  # its workers are played by this thread
    b.analytics.add(spec("hall", deadline_ms=5.0))
    *changes, alarm = play(b, until=b.clock.now + 12.0, interval_s=0.0310)
    names = [change.payload["name"] for change in changes]
    assert names == ["exit 2", "exit 1", "rate", "shed"]
    assert (alarm.kind, alarm.payload["alarm"]) == ("alarm", "overload")
    assert alarm.payload["reason"] == changes[-1].payload["reason"]
    assert "no time even for the first exit" in alarm.payload["reason"]
    b.analytics._workers.going = False


def test_nothing_is_lost_under_load_from_many_threads(bench: Any) -> None:
    b = bench(workers=3, shadow=0.3)
    names = [f"c{k}" for k in range(4)]
    for name in names:
        b.analytics.add(spec(name))
    rng = np.random.default_rng(2)

    def feed(name: str) -> None:
        for number in range(100):
            poison = POISON if name == "c0" and number % 9 == 0 else 0
            b.push(name, frame(1, int(rng.integers(3)), poison))

    def ask(_: int) -> str:
        try:
            return "answered" if b.analytics.segment(frame(1, 1), deadline_ms=5000) else ""
        except (Overloaded, TooLate) as error:
            return type(error).__name__

    with ThreadPoolExecutor(6) as pool:
        fed = [pool.submit(feed, name) for name in names]
        asked = list(pool.map(ask, range(50)))
        for future in fed:
            future.result(WAIT_S)
    b.settle()
    statistics = b.analytics.statistics()
    for counts in statistics.cameras.values():
        assert counts.received == 100
        assert counts.pending == 0
        assert balanced(counts)
    assert statistics.cameras["c0"].failed >= 1
    requests = statistics.requests
    assert balanced(requests)
    assert requests.answered == asked.count("answered")
    assert requests.dropped["rejected"] == asked.count("Overloaded")


def test_answers_of_a_bundle_are_those_of_a_session(bundle: Bundle, frames: list[Array]) -> None:
    session = Session(bundle, threads=1)
    with Analytics(bundle, workers=2) as analytics:
        for image in frames:
            answer: Answer = analytics.segment(image)
            expected = session.segment(image)
            assert (answer.exit, answer.point) == (expected.exit, expected.point)
            assert answer.scores == expected.scores
            assert np.array_equal(answer.labels, expected.labels)
            whole = analytics.segment(image, exit=len(analytics.points) - 1)
            assert np.array_equal(whole.labels, session.full(image).labels)


def test_a_plan_that_stops_short_can_still_be_run_to_the_end(
    short_bundle: Bundle, frames: list[Array]
) -> None:
    session = Session(short_bundle, threads=1)
    with Analytics(short_bundle, workers=1, use_exits=False) as analytics:
        assert analytics.points == ("stem", "end")
        answer = analytics.segment(frames[0])
        assert (answer.exit, answer.point) == (1, "end")
        assert np.array_equal(answer.labels, session.full(frames[0]).labels)


def test_reads_real_cameras_by_default() -> None:
    with Analytics(fake_bundle(), FakeEngine(), workers=1) as analytics:
        with analytics.subscribe() as events:
            analytics.add(spec("drawn", address="synthetic:32x16@100"))
            seen = [next(e for e in events if e.kind == "answer") for _ in range(2)]
        assert seen[1].payload["number"] > seen[0].payload["number"]
        latest = analytics.latest("drawn")
        assert latest is not None
        assert latest.image.shape == (16, 32, 3)
        assert latest.latency_ms >= 0
