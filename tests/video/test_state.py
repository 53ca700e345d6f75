"""The states of a camera, its waits, its clock and its rate, against formulas by hand."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.video.rate import Rate, RateCap, Stagger
from offramp.video.state import Epochs, Health, Phase


class Longest(random.Random):
    """Draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_waits_double_up_to_thirty_seconds_where_a_camera_was_never_there() -> None:
    health = Health(0.0, Longest())
    waits = [health.lost(float(n), "no") for n in range(8)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert health.phase is Phase.RECONNECTING


def test_waits_are_drawn_from_nothing_to_the_ceiling() -> None:
    drawn = [Health(0.0, random.Random(seed)).lost(0.0, "no") for seed in range(500)]
    assert min(drawn) < 0.05
    assert 0.95 < max(drawn) <= 1.0
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.05)


def test_a_camera_that_was_there_is_asked_often_for_two_minutes() -> None:
    health = Health(0.0, Longest())
    health.opened(0.0)
    health.frame(1.0)
    waits = {t: health.lost(t, "no") for t in (5.0, 6.0, 8.0, 10.0, 119.0)}
    assert list(waits.values()) == [1, 2, 2, 2, 2]
    assert health.lost(130.0, "no") == 30


def test_a_camera_that_comes_and_goes_is_asked_ever_less_until_it_stays_a_minute() -> None:
    health = Health(0.0, Longest())
    now, waits = 0.0, []
    for _ in range(9):
        health.opened(now)
        health.frame(now)
        waits.append(health.lost(now + 3.0, "gone"))
        now += 3.0 + waits[-1]
    assert waits == [1, 1, 4, 8, 16, 30, 30, 30, 30]
    health.opened(now)
    for second in range(62):
        health.frame(now + second)
    assert health.lost(now + 62, "gone") == 1


def test_patience_is_two_and_a_half_seconds_or_five_intervals() -> None:
    for interval, patience in ((0.04, 2.5), (0.4, 2.5), (1.0, 5.0)):
        health = Health(0.0, random.Random(0))
        health.opened(0.0)
        last = 0.0
        for n in range(100):
            last = n * interval
            health.frame(last)
        assert not health.silent(last + patience - 0.01)
        phase, since, _ = health.seen(last + patience + 0.01)
        assert (phase, since) == (Phase.STALLED, pytest.approx(last + patience))
        assert health.phase is Phase.RUNNING
        assert health.silent(last + patience + 0.01)
        assert health.phase is Phase.STALLED


def test_a_new_connection_has_ten_seconds_to_its_first_frame() -> None:
    health = Health(0.0, random.Random(0))
    health.opened(50.0)
    assert not health.silent(59.9)
    assert health.silent(60.1)


def test_since_is_when_the_phase_began() -> None:
    health = Health(3.0, random.Random(0))
    assert (health.phase, health.since) == (Phase.CONNECTING, 3.0)
    for now in (4.0, 5.0, 6.0):
        health.frame(now)
    assert (health.phase, health.since) == (Phase.RUNNING, 4.0)
    health.lost(7.0, "a")
    health.lost(8.0, "b")
    assert (health.phase, health.since, health.reason) == (Phase.RECONNECTING, 7.0, "b")


def test_frames_held_back_by_the_network_are_no_jump() -> None:
    epochs = Epochs(live=True)
    for n in range(30):  # two seconds without any, then thirty at once
        epochs.note(n / 15, 0.1 * n if n < 10 else 3.0)
    assert (epochs.epoch, epochs.jumps) == (0, 0)


def test_a_file_may_leap_forward_but_not_back() -> None:
    epochs = Epochs(live=False)
    assert [epochs.note(t, 0.0) for t in (0.0, 100.0, 200.0, None, 3.0)] == [0, 0, 0, 0, 1]
    epochs.connected()
    assert epochs.note(0.0, 0.0) == 2
    assert epochs.jumps == 1


@given(
    fps=st.floats(1, 120), cap=st.floats(0.5, 60), jitter=st.floats(0, 0.3), seed=st.integers(0, 99)
)
def test_a_capped_rate_is_the_smaller_of_both(
    fps: float, cap: float, jitter: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = np.arange(600) / fps + rng.uniform(0, jitter / fps, 600)
    kept = RateCap(cap)
    count = sum(kept.keeps(float(t)) for t in times)
    span = float(times[-1] - times[0])
    assert count <= cap * span + 2
    if fps <= 0.7 * cap:
        assert count == 600
    elif fps >= 2 * cap:
        assert count >= 0.9 * cap * span - 2


def test_a_rate_is_events_over_seconds_and_falls_in_silence() -> None:
    rate = Rate(5.0)
    assert rate.value(0.0) == 0.0
    for n in range(101):
        rate.note(n / 25)
    assert rate.value(4.0) == pytest.approx(25.0)
    assert rate.value(5.0) == pytest.approx(100 / (5.0 - 1 / 25))
    assert rate.value(20.0) == 0.0


def test_turns_keep_a_gap_on_average() -> None:
    stagger = Stagger(0.05, random.Random(1))
    turns = [stagger.claim(10.0) for _ in range(101)]
    gaps = np.diff(turns)
    assert turns[0] == 0.0
    assert gaps.min() >= 0.025
    assert gaps.max() <= 0.075
    assert turns[-1] == pytest.approx(5.0, abs=0.5)
    assert stagger.claim(100.0) == 0.0
