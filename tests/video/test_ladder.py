"""The ladder: what is given up first, that it comes back in reverse, and does not swing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.video.ladder import (
    HASTE,
    LONGEST_PATIENCE_S,
    MOST_BUSY,
    PATIENCE_S,
    TRIAL_S,
    Change,
    Demand,
    Ladder,
    Load,
    fill,
)

SHORT = Load(frames=100, missed=20, busy=1.0)
CALM = Load(frames=100, missed=0, busy=0.4)
DEMANDS = {"a": Demand(1.0, 0, 10.0), "b": Demand(1.0, 1, 10.0)}


class Clock:
    """Looks once a second."""

    def __init__(self, ladder: Ladder, demands: dict[str, Demand]) -> None:
        self.ladder = ladder
        self.demands = demands
        self.now = 0.0

    def look(self, load: Load, times: int = 1) -> list[Change]:
        changes = []
        for _ in range(times):
            self.now += 1.0
            change = self.ladder.update(self.now, load, self.demands)
            changes += [change] if change else []
        return changes


def test_depth_goes_first_then_frames_then_what_is_late() -> None:
    clock = Clock(Ladder(2), DEMANDS)
    changes = clock.look(SHORT, 40)
    assert [c.name for c in changes] == [
        "exit 2", "exit 1", "rate 1/2", "rate 1/4", "rate 1/8", "shed"
    ]  # fmt: skip
    assert [c.after - c.before for c in changes] == [1] * 6
    assert all("20 of 100" in c.reason for c in changes)


def test_comes_back_in_reverse() -> None:
    clock = Clock(Ladder(2), DEMANDS)
    down = [c.name for c in clock.look(SHORT, 40)]
    up = [c.name for c in clock.look(CALM, 200)]
    assert up == ["full", *down][-2::-1]
    assert clock.ladder.level == 0


def test_no_camera_is_taken_below_its_floor() -> None:
    ladder = Ladder(2)
    clock = Clock(ladder, DEMANDS)
    caps = []
    for _ in range(3 * HASTE):
        clock.look(SHORT)
        caps.append({name: cap for name, (cap, _) in ladder.limits(DEMANDS).items()})
    assert {c["a"] for c in caps} == {2, 1, 0}
    assert {c["b"] for c in caps} == {2, 1}


def test_levels_that_would_change_nothing_are_left_out() -> None:
    demands = {"a": Demand(1.0, 2, 10.0)}
    clock = Clock(Ladder(2), demands)
    assert clock.look(SHORT, HASTE)[0].name == "rate 1/2"


def test_one_bad_second_changes_nothing() -> None:
    clock = Clock(Ladder(2), DEMANDS)
    for _ in range(20):
        assert clock.look(SHORT, HASTE - 1) == []
        assert clock.look(CALM) == []


def test_a_busy_machine_without_misses_stays_where_it_is() -> None:
    clock = Clock(Ladder(2), DEMANDS)
    clock.look(SHORT, HASTE)
    assert clock.look(Load(100, 0, MOST_BUSY + 0.01), 100) == []
    assert clock.look(Load(100, 0, MOST_BUSY - 0.01), 100) != []


def test_frames_that_would_not_fit_by_their_number_are_not_tried() -> None:
    demands = {"a": Demand(1.0, 2, 10.0)}
    clock = Clock(Ladder(2), demands)
    clock.look(SHORT, HASTE)
    assert clock.ladder.current.name == "rate 1/2"
    assert clock.look(Load(100, 0, 0.51), 100) == []
    assert [change.name for change in clock.look(Load(100, 0, 0.49), 100)] == ["full"]


def test_a_trial_that_fails_doubles_the_calm_before_the_next() -> None:
    """A machine that can do level 1 and not level 0: trials become rare instead of swinging."""
    clock = Clock(Ladder(2), DEMANDS)
    climbs = []
    for _ in range(600):
        for change in clock.look(SHORT if clock.ladder.level == 0 else CALM):
            climbs += [clock.now] if change.after < change.before else []
    gaps = np.diff(climbs)
    assert gaps[0] == pytest.approx(HASTE + 2 * PATIENCE_S)
    assert all(b >= a for a, b in itertools.pairwise(gaps))
    assert gaps[-1] == pytest.approx(HASTE + LONGEST_PATIENCE_S)


def test_a_trial_that_went_well_forgives_those_that_failed() -> None:
    clock = Clock(Ladder(2), DEMANDS)
    clock.look(SHORT, HASTE)
    clock.look(CALM, int(PATIENCE_S))
    clock.look(SHORT, HASTE)  # the trial failed
    assert clock.look(CALM, int(PATIENCE_S)) == []
    assert len(clock.look(CALM, int(PATIENCE_S))) == 1
    clock.look(CALM, int(TRIAL_S) + 1)
    clock.look(SHORT, HASTE)
    assert len(clock.look(CALM, int(PATIENCE_S))) == 1


def test_levels_shrink_with_the_cameras() -> None:
    clock = Clock(Ladder(2), DEMANDS)
    clock.look(SHORT, 40)
    clock.demands = {"a": Demand(1.0, 2, 10.0)}
    clock.look(CALM)
    assert clock.ladder.current.name == "shed"
    assert clock.ladder.limits(clock.demands)["a"] == (2, 0.125)


def test_without_frames_nothing_is_missed() -> None:
    clock = Clock(Ladder(2), {})
    assert clock.look(Load(0, 0, 0.0), 100) == []


def test_frames_are_left_out_by_weight_and_never_of_files() -> None:
    demands = {
        "light": Demand(1.0, 2, 30.0),
        "heavy": Demand(3.0, 2, 30.0),
        "slow": Demand(1.0, 2, 2.0),
        "file": Demand(1.0, 2, 500.0, live=False),
        "silent": Demand(1.0, 2, 0.0),
    }
    ladder = Ladder(2)
    clock = Clock(ladder, demands)
    clock.look(SHORT, HASTE)
    assert ladder.current.name == "rate 1/2"
    keep = {name: share for name, (_, share) in ladder.limits(demands).items()}
    assert keep["file"] == keep["silent"] == 1.0
    assert keep["slow"] == 1.0  # it asks for less than its share
    assert 30 * keep["light"] + 30 * keep["heavy"] + 2 == pytest.approx(31.0)
    assert keep["heavy"] == pytest.approx(3 * keep["light"])


@given(
    st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.1, 10.0)), min_size=1, max_size=8),
    st.floats(0.0, 1.0),
)
def test_sharing_out_is_weighted_max_min(cameras: list[tuple[float, float]], share: float) -> None:
    """The reference finds the common level by bisection."""
    rates, weights = (np.array(column) for column in zip(*cameras, strict=True))
    total = share * rates.sum()
    low, high = 0.0, 1000.0
    for _ in range(200):
        level = (low + high) / 2
        low, high = (
            (level, high) if np.minimum(rates, level * weights).sum() < total else (low, level)
        )
    expected = np.minimum(rates, high * weights)
    assert fill(list(rates), list(weights), total) == pytest.approx(list(expected), abs=1e-6)
