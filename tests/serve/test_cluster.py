"""Members and their coordinator: who watches what while replicas come, go and fall silent."""

import sys
from itertools import chain

import pytest
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.errors import BadInput, UnknownName
from offramp.serve.cluster.coordinator import SILENT_S, Coordinator
from offramp.serve.cluster.placed import summed
from offramp.serve.cluster.table import Settings
from offramp.serve.tokens import Tokens, read_tokens
from tests.serve.cluster import Troop, camera

ALL = {"a", "b", "c", "d"}


@pytest.fixture
def troop() -> Troop:
    """Two members that watch four cameras."""
    troop = Troop(*map(camera, sorted(ALL)))
    troop.join("one")
    troop.join("two")
    for _ in range(3):
        troop.tick()
    return troop


def once(troop: Troop) -> bool:
    """Tell whether every camera is watched, and by one alone."""
    every = list(chain.from_iterable(troop.watched().values()))
    return sorted(every) == sorted(ALL)


def test_each_camera_is_watched_by_one(troop: Troop) -> None:
    assert once(troop)
    assert {len(names) for names in troop.watched().values()} == {2}
    placed = {told.spec.name: told.replica for told in troop.members["one"].cameras()}
    assert placed == {told.spec.name: told.replica for told in troop.members["two"].cameras()}
    assert set(placed) == ALL
    assert all(name in troop.watched()[replica] for name, replica in placed.items())


def test_the_cameras_of_a_dead_replica_run_elsewhere_in_time(troop: Troop) -> None:
    before = troop.watched()["one"]
    seconds = 0
    while troop.watched()["two"] != ALL:
        troop.tick("one")
        seconds += 1
        assert seconds <= SILENT_S + 1
    assert seconds > SILENT_S - 1  # one that is late is not dead
    assert before < ALL
    assert {told.replica for told in troop.members["two"].cameras()} == {"two"}


def test_one_that_was_silent_comes_back_without_a_camera_watched_twice(troop: Troop) -> None:
    for _ in range(8):
        troop.tick("one")
    assert troop.watched()["two"] == ALL
    troop.tick()  # "one" hears at once that its cameras are another's
    for _ in range(3):
        troop.tick()
        every = list(chain.from_iterable(troop.watched().values()))
        assert len(every) == len(set(every))
    assert once(troop)
    assert {len(names) for names in troop.watched().values()} == {2}


def test_a_camera_moves_only_after_it_was_let_go(troop: Troop) -> None:
    troop.join("three")
    troop.join("four")
    for _ in range(4):
        troop.tick()
        every = list(chain.from_iterable(troop.watched().values()))
        assert len(every) == len(set(every))
    assert {len(names) for names in troop.watched().values()} == {1}


def test_who_leaves_hands_over_at_once(troop: Troop) -> None:
    troop.members.pop("one").stop()
    assert not troop.owns["one"].running
    troop.tick()
    assert troop.watched()["two"] == ALL


@pytest.mark.parametrize("changed", [True, False])
def test_a_coordinator_that_is_started_anew_moves_nothing(troop: Troop, changed: bool) -> None:
    if changed:
        troop.members["one"].add(camera("e"))
        troop.members["two"].remove("a")
        troop.members["two"].pause("b")
    troop.tick()
    troop.tick()
    before = troop.watched()
    troop.coordinator = Coordinator(
        [camera(name) for name in sorted(ALL)], troop.settings, troop.clock, troop.clock
    )
    for _ in range(6):
        troop.tick()
        assert troop.watched() == before
    assert set().union(*before.values()) == (ALL - {"a"} | {"e"} if changed else ALL)
    assert {"b"} & set().union(*(own.paused for own in troop.owns.values())) == (
        {"b"} if changed else set()
    )


def test_cameras_are_added_removed_and_rested_from_anywhere(troop: Troop) -> None:
    one, two = troop.members["one"], troop.members["two"]
    one.add(camera("e"))
    with pytest.raises(BadInput, match="'e' already"):
        two.add(camera("e"))
    two.pause("e")
    troop.tick()
    troop.tick()
    owner = next(name for name, watched in troop.watched().items() if "e" in watched)
    assert troop.owns[owner].paused == {"e"}
    for _ in range(8):  # it rests at its next replica too
        troop.tick(owner)
    other = ({"one", "two"} - {owner}).pop()
    assert troop.owns[other].paused == {"e"}
    troop.members[other].resume("e")
    assert troop.owns[other].paused == set()
    troop.members[other].remove("e")
    assert "e" not in troop.owns[other].specs
    for act in (one.remove, one.pause, one.resume):
        with pytest.raises(UnknownName, match="no camera 'nobody'"):
            act("nobody")


def test_only_the_owner_shows_pictures_and_others_know_where(troop: Troop) -> None:
    mine = sorted(troop.watched()["one"])[0]
    one, two = troop.members["one"], troop.members["two"]
    assert one.latest(mine) is not None
    assert one.elsewhere(mine) is None
    assert two.elsewhere(mine) == one.url
    assert two.elsewhere("nobody") is None
    with pytest.raises(UnknownName):
        two.latest(mine)
    with pytest.raises(UnknownName):
        two.reopen(mine)
    one.reopen(mine)
    assert troop.owns["one"].reopened == [mine]
    assert list(two.urls()) == ["two", "one"]


def test_a_configuration_is_taken_over(troop: Troop) -> None:
    heard = []
    troop.members["one"]._on_table = heard.append
    troop.members["one"].add(camera("http"))
    tokens = read_tokens(None, {"OFFRAMP_TOKENS": "viewer:x:0123456789abcdef"})
    settings = Settings(tokens, ("10.0.0.0/8",), (554,))
    wanted = [camera("b"), camera("c", fps=7), camera("new")]
    with pytest.raises(BadInput, match="added over HTTP"):
        troop.coordinator.configure([camera("http")], settings)
    told = troop.coordinator.configure(wanted, settings)
    assert told == {"added": ["new"], "changed": ["c"], "removed": ["a", "d"]}
    for _ in range(3):
        troop.tick()
    specs = {}
    for own in troop.owns.values():
        specs.update(own.specs)
    assert set(specs) == {"b", "c", "new", "http"}
    assert specs["c"] == camera("c", fps=7)
    assert heard[-1].settings == settings


def test_ended_logins_are_told_until_they_would_have_ended(troop: Troop) -> None:
    troop.coordinator.end_login(b"first", troop.clock.now + 10)
    troop.clock.now += 11
    troop.coordinator.end_login(b"second", troop.clock.now + 10)
    heard = []
    troop.members["one"]._on_table = heard.append
    troop.members["one"].beat()
    assert set(heard[-1].ended) == {b"second"}


def test_counters_of_all_replicas_are_summed(troop: Troop) -> None:
    troop.owns["one"].requests.received = 3
    troop.owns["two"].requests.received = 4
    troop.tick()
    troop.tick()
    told = troop.members["one"].statistics()
    assert told.requests.received == told.requests.pending == 7
    assert set(told.cameras) == ALL
    assert (told.workers, told.busy_s, told.utilisation, told.queued) == (4, 3.0, 0.25, 2)
    alone = troop.owns["one"].statistics()
    assert summed([alone]) == alone


def test_a_camera_that_nobody_watches_yet_is_told_of() -> None:
    troop = Troop(camera("a"))
    member = troop.join("one")
    assert member.cameras() == ()
    assert member.elsewhere("a") is None
    troop.coordinator = Coordinator([], Settings(Tokens()), troop.clock)
    troop.join("two")
    troop.tick()
    member.add(camera("x"))
    told = {told.spec.name: told.replica for told in troop.members["two"].cameras()}
    assert told == {}  # heard at the next report
    troop.tick()
    assert {told.spec.name for told in troop.members["two"].cameras()} == {"x"}


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("deployment", "far"):
        monkeypatch.delitem(sys.modules, f"offramp.serve.cluster.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    result = CliRunner().invoke(app, ["serve", "nowhere", "--ray"])
    assert result.exit_code == 2
    assert "offramp[ray]" in result.output
