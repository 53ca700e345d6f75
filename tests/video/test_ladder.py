"""The ladder: what is given up first, that it comes back in reverse, and does not swing."""

import itertools

import numpy as np
import pytest

from offramp.video.counts import Reason
from offramp.video.gauge import Gauge
from offramp.video.job import Ended, Fate, Job
from offramp.video.ladder import (
    HASTE,
    LONGEST_PATIENCE_S,
    MOST_BUSY,
    PATIENCE_S,
    TRIAL_S,
    Change,
    Ladder,
    Level,
    Load,
)

SHORT = Load(frames=100, missed=20, lost=0, busy=1.0)
LOST = Load(frames=100, missed=30, lost=10, busy=1.0)
CALM = Load(frames=100, missed=0, lost=0, busy=0.4)
FLOORS = {"a": 0, "b": 1}


class Clock:
    """Looks once a second."""

    def __init__(self, ladder: Ladder, floors: dict[str, int]) -> None:
        self.ladder = ladder
        self.floors = floors
        self.now = 0.0

    def look(self, load: Load, times: int = 1) -> list[Change]:
        changes = []
        for _ in range(times):
            self.now += 1.0
            change = self.ladder.update(self.now, load, self.floors)
            changes += [change] if change else []
        return changes


def test_depth_goes_first_then_frames_then_what_is_late() -> None:
    clock = Clock(Ladder(2), FLOORS)
    changes = clock.look(LOST, 40)
    assert [c.name for c in changes] == ["exit 2", "exit 1", "rate", "shed"]
    assert [c.after - c.before for c in changes] == [1] * 4
    assert all("30 of 100" in c.reason for c in changes[:3])
    assert ["newer frames" in c.reason for c in changes] == [False, False, True, False]
    assert "10 of 100 frames had no time even for the first exit" in changes[3].reason


def test_displaced_frames_alone_are_no_overload() -> None:
    clock = Clock(Ladder(2), FLOORS)
    assert [c.name for c in clock.look(SHORT, 100)] == ["exit 2", "exit 1", "rate"]
    assert [c.name for c in clock.look(LOST, HASTE)] == ["shed"]
    (change,) = clock.look(SHORT, 100)  # none is lost any more, but it is still too much
    assert change.name == "rate"
    assert "without frames given up" in change.reason


def test_the_last_levels_change_no_exit() -> None:
    ladder = Ladder(2)
    clock = Clock(ladder, FLOORS)
    clock.look(SHORT, 2 * HASTE)
    lowest = ladder.caps(FLOORS)
    for load in (SHORT, LOST):
        clock.look(load, HASTE)
        assert ladder.caps(FLOORS) == lowest == {"a": 0, "b": 1}
    assert ladder.current.name == "shed"


def test_comes_back_in_reverse() -> None:
    clock = Clock(Ladder(2), FLOORS)
    down = [c.name for c in clock.look(LOST, 40)]
    up = [c.name for c in clock.look(CALM, 200)]
    assert up == ["full", *down][-2::-1]
    assert clock.ladder.level == 0


def test_no_camera_is_taken_below_its_floor() -> None:
    ladder = Ladder(2)
    clock = Clock(ladder, FLOORS)
    caps = []
    for _ in range(3 * HASTE):
        clock.look(SHORT)
        caps.append(ladder.caps(FLOORS))
    assert {c["a"] for c in caps} == {2, 1, 0}
    assert {c["b"] for c in caps} == {2, 1}


def test_levels_that_would_change_nothing_are_left_out() -> None:
    clock = Clock(Ladder(2), {"a": 2})
    assert [change.name for change in clock.look(LOST, 2 * HASTE)] == ["rate", "shed"]


def test_one_bad_second_changes_nothing() -> None:
    clock = Clock(Ladder(2), FLOORS)
    for _ in range(20):
        assert clock.look(SHORT, HASTE - 1) == []
        assert clock.look(CALM) == []


def test_a_busy_machine_without_misses_stays_where_it_is() -> None:
    clock = Clock(Ladder(2), FLOORS)
    clock.look(SHORT, HASTE)
    assert clock.look(Load(100, 0, 0, MOST_BUSY + 0.01), 100) == []
    assert clock.look(Load(100, 0, 0, MOST_BUSY - 0.01), 100) != []


def test_a_trial_that_fails_doubles_the_calm_before_the_next() -> None:
    """A machine that can do level 1 and not level 0: trials become rare instead of swinging."""
    clock = Clock(Ladder(2), FLOORS)
    climbs = []
    for _ in range(600):
        for change in clock.look(SHORT if clock.ladder.level == 0 else CALM):
            climbs += [clock.now] if change.after < change.before else []
    gaps = np.diff(climbs)
    assert gaps[0] == pytest.approx(HASTE + 2 * PATIENCE_S)
    assert all(b >= a for a, b in itertools.pairwise(gaps))
    assert gaps[-1] == pytest.approx(HASTE + LONGEST_PATIENCE_S)


def test_a_trial_that_went_well_forgives_those_that_failed() -> None:
    clock = Clock(Ladder(2), FLOORS)
    clock.look(SHORT, HASTE)
    clock.look(CALM, int(PATIENCE_S))
    clock.look(SHORT, HASTE)  # the trial failed
    assert clock.look(CALM, int(PATIENCE_S)) == []
    assert len(clock.look(CALM, int(PATIENCE_S))) == 1
    clock.look(CALM, int(TRIAL_S) + 1)
    clock.look(SHORT, HASTE)
    assert len(clock.look(CALM, int(PATIENCE_S))) == 1


def test_a_level_stays_while_the_cameras_still_have_it() -> None:
    clock = Clock(Ladder(2), FLOORS)
    clock.look(SHORT, 40)
    clock.floors = {"a": 2}
    assert clock.look(SHORT) == []
    assert clock.ladder.current == Level("rate", 2)
    clock.floors = FLOORS
    assert clock.look(SHORT) == []
    assert clock.ladder.current == Level("rate", 0)


def test_a_level_that_no_camera_has_any_more_is_left_and_said_so() -> None:
    clock = Clock(Ladder(2), FLOORS)
    clock.look(SHORT, 2 * HASTE)
    clock.floors = {"a": 1, "b": 2}
    (change,) = clock.look(SHORT)
    assert (change.before, change.after, change.name) == (2, 1, "exit 2")
    assert "no camera" in change.reason
    clock.floors = {"b": 2}
    (change,) = clock.look(CALM)
    assert (change.before, change.after, change.name) == (1, 0, "full")


def test_without_frames_nothing_is_missed() -> None:
    clock = Clock(Ladder(2), {})
    assert clock.look(Load(0, 0, 0, 0.0), 100) == []


def test_the_gauge_tells_frames_that_were_lost_from_those_displaced() -> None:
    fates: list[tuple[Fate, Reason | None]] = [
        *[("answered", None)] * 3, ("dropped", "displaced"), ("dropped", "removed"),
        ("dropped", "rejected"), ("shed", None), ("failed", None),
    ]  # fmt: skip
    gauge = Gauge(2, 0.0)
    jobs = [Job("a", k, 0.0, cap=2, involuntary=k == 0) for k in range(len(fates))]
    for job, (fate, reason) in zip(jobs, fates, strict=True):
        gauge.ended(Ended(job, fate, reason))
    gauge.worked(0.5, live=True)
    gauge.worked(1.0, live=False)
    assert gauge.look(1.0) == Load(frames=7, missed=4, lost=2, busy=0.25)
    assert gauge.look(2.0) == Load(frames=0, missed=0, lost=0, busy=0.0)
