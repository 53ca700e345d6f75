"""Cameras are shared out evenly, and none moves that need not."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.serve.cluster.assignment import assign, rank

NAMES = st.sets(st.text("abcdefgh0123", min_size=1, max_size=4), max_size=30)


def fewest_moves(cameras: set[str], replicas: set[str], before: dict[str, str]) -> int:
    """Count what must move by arithmetic alone: orphans, and what is above the mean, rounded up."""
    if not replicas:
        return 0
    room = -(-len(cameras) // len(replicas))
    held = Counter(before[camera] for camera in cameras if before.get(camera) in replicas)
    return len(cameras) - sum(min(count, room) for count in held.values())


@given(NAMES, NAMES, st.data())
def test_none_moves_that_need_not(
    cameras: set[str], replicas: set[str], data: st.DataObject
) -> None:
    homes = st.sampled_from(sorted(replicas | {"gone", "dead"}))
    before = data.draw(st.dictionaries(st.sampled_from(sorted(cameras | {"other"})), homes))
    after = assign(cameras, replicas, before)
    if not replicas:
        assert after == {}
        return
    assert set(after) == cameras
    assert set(after.values()) <= replicas
    assert max(Counter(after.values()).values(), default=0) <= -(-len(cameras) // len(replicas))
    moved = sum(before.get(camera) != replica for camera, replica in after.items())
    assert moved == fewest_moves(cameras, replicas, before)
    assert assign(cameras, replicas, after) == after


@given(NAMES.filter(bool), st.sets(st.text("rstuv", min_size=1, max_size=3), min_size=2))
def test_a_death_moves_the_dead_ones_cameras_alone(cameras: set[str], replicas: set[str]) -> None:
    before = assign(cameras, replicas, {})
    dead = sorted(replicas)[0]
    after = assign(cameras, replicas - {dead}, before)
    stayed = {camera for camera, replica in before.items() if replica != dead}
    assert all(after[camera] == before[camera] for camera in stayed)


@given(NAMES, st.sets(st.text("rstuv", min_size=1, max_size=3), min_size=1))
def test_the_order_of_what_is_given_changes_nothing(cameras: set[str], replicas: set[str]) -> None:
    backwards = assign(sorted(cameras)[::-1], sorted(replicas)[::-1], {})
    assert assign(sorted(cameras), sorted(replicas), {}) == backwards


def test_a_rank_does_not_depend_on_who_else_is_there() -> None:
    replicas = [f"replica-{k}" for k in range(12)]
    for number in range(50):
        whole = rank(f"camera-{number}", replicas)
        part = rank(f"camera-{number}", replicas[3:9])
        assert part == [one for one in whole if one in replicas[3:9]]


def test_first_choices_are_spread_evenly() -> None:
    replicas = [f"r{k}" for k in range(10)]
    firsts = Counter(rank(f"camera-{k}", replicas)[0] for k in range(5000))
    # Chi-squared with 9 degrees of freedom: above 27.9 in one of a thousand such tests.
    assert sum((firsts[one] - 500) ** 2 / 500 for one in replicas) < 27.9


@pytest.mark.parametrize(("cameras", "replicas"), [(4, 2), (5, 2), (100, 7), (3, 8), (0, 3)])
def test_a_fresh_start_is_balanced(cameras: int, replicas: int) -> None:
    after = assign([f"c{k}" for k in range(cameras)], [f"r{k}" for k in range(replicas)], {})
    assert max(Counter(after.values()).values(), default=0) == -(-cameras // replicas)
