"""The watchdog stops what is late, once, and nothing that has ended."""

import threading
import time

import pytest

from offramp.runtime.watchdog import Watchdog

LONG = 20.0
"""Seconds that no test waits unless it fails."""


def test_what_is_late_is_stopped_once() -> None:
    stopped = threading.Event()
    calls = []

    def stop() -> None:
        calls.append(threading.current_thread())
        stopped.set()

    dog = Watchdog()
    with dog.watching(time.perf_counter() + 0.01, stop):
        assert stopped.wait(LONG)
    with dog.watching(time.perf_counter() - 1, stopped.set):
        assert stopped.wait(LONG)
    assert len(calls) == 1
    assert calls[0] is not threading.current_thread()


def test_what_ended_is_not_stopped_any_more() -> None:
    now = 0.0
    dog = Watchdog(lambda: now)
    calls: list[str] = []
    with dog.watching(0.01, lambda: calls.append("early")):
        pass
    now = 2.0
    later = threading.Event()
    with dog.watching(0.02, later.set):
        assert later.wait(LONG)
    assert calls == []


def test_of_several_those_are_stopped_whose_time_is_up() -> None:
    dog = Watchdog()
    now = time.perf_counter()
    events = [threading.Event() for _ in range(3)]
    with dog.watching(now + 1000, events[0].set), dog.watching(now + 0.02, events[1].set):
        with dog.watching(now + 0.01, events[2].set):
            assert events[2].wait(LONG)
        assert events[1].wait(LONG)
    assert not events[0].is_set()


def test_a_block_that_fails_is_not_watched_any_more() -> None:
    dog = Watchdog()
    with pytest.raises(ZeroDivisionError), dog.watching(time.perf_counter() + 1000, lambda: None):
        raise ZeroDivisionError
    assert not dog._watched


def test_one_thread_serves_all_and_is_woken_for_the_earliest_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dog = Watchdog(lambda: 0.0)  # a clock that stands still: nothing is ever late
    woken = 0
    notify = dog._changed.notify

    def count() -> None:
        nonlocal woken
        woken += 1
        notify()

    monkeypatch.setattr(dog._changed, "notify", count)
    with dog.watching(50.0, lambda: None):
        assert woken == 1
        thread = dog._thread
        for _ in range(100):
            with dog.watching(50.0, lambda: None), dog.watching(60.0, lambda: None):
                pass
        assert woken == 1
        with dog.watching(40.0, lambda: None):
            assert woken == 2
    assert dog._thread is thread


def test_a_new_thread_takes_over_where_the_old_one_is_gone() -> None:
    dog = Watchdog()
    gone = threading.Thread(target=lambda: None)
    gone.start()
    gone.join()
    dog._thread, dog._wakes = gone, 0.0  # as a fork leaves it: about to wake, but not there
    stopped = threading.Event()
    with dog.watching(time.perf_counter() + 0.01, stopped.set):
        assert stopped.wait(LONG)
