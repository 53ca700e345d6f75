"""Benchmarks on a clock that only tests move: who is timed when, and what the times come to."""

import collections
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.data.images import Array
from offramp.runtime.bench import Laps, Timed, bench, interleaved, paired
from offramp.runtime.energy import Counter, Meter
from offramp.runtime.engine import Reading, State
from offramp.runtime.paths import FULL, Lap, Paths


@dataclass
class Slow:
    """An engine and a policy of which every step takes its time, in milliseconds."""

    name: str = "slow"
    label: str = "slow"
    precision: str = "int8"
    now_ms: float = 0.0
    calls: list[str] = field(default_factory=list)

    def step(self, call: str, ms: float) -> None:
        self.calls.append(call)
        self.now_ms += ms

    def clock(self) -> float:
        return self.now_ms / 1000

    def begin(self, frame: Array) -> State:
        self.step("begin", 1)
        return State({})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        self.step(f"advance {index}", 10 * (index + 1))
        return state

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        self.step(f"read {index}", 3 + index)
        return Reading(None, (1.0,))

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        self.step(f"decode {size}", 7)
        return np.zeros(size, dtype=np.uint8)

    def stops(self, index: int, scores: Any) -> bool:
        self.step(f"decide {index}", 0.5)
        return True  # forced paths go on all the same


def slow_paths(bundle: Bundle) -> tuple[Paths, Slow]:
    engine = Slow()
    paths = Paths(bundle, engine, engine.clock)
    paths.policy = engine
    return paths, engine


def laps(*total: float, energy: float | None = None) -> Laps:
    zeros = np.zeros(len(total))
    return Laps(np.array(total), zeros, zeros, zeros, energy)


# -------------------------------------------------------------------------------- one path


def test_a_path_is_walked_as_a_session_walks_it(bundle: Bundle) -> None:
    paths, engine = slow_paths(bundle)
    expected = 1 + 10 + 3 + 0.5 + 20 + 4 + 0.5 + 7, 4, 1.0, 7
    assert astuple(paths.walk(1)) == pytest.approx(expected)
    assert engine.calls == [
        *("begin", "advance 0", "read 0", "decide 0", "advance 1", "read 1", "decide 1"),
        "decode (64, 96)",
    ]


def test_nothing_is_decided_at_the_last_exit(bundle: Bundle) -> None:
    paths, engine = slow_paths(bundle)
    lap = paths.walk(2)
    assert lap.decision == pytest.approx(1.0)
    assert "decide 2" not in engine.calls


def test_the_full_network_reads_no_early_head_and_decides_nothing(bundle: Bundle) -> None:
    paths, engine = slow_paths(bundle)
    assert astuple(paths.full()) == pytest.approx((1 + 10 + 20 + 30 + 5 + 7, 5, 0, 7))
    verbs = [call.split()[0] for call in engine.calls]
    assert collections.Counter(verbs) == {"begin": 1, "advance": 3, "read": 1, "decode": 1}


def test_straight_to_an_exit_asks_its_head_alone(bundle: Bundle) -> None:
    paths, engine = slow_paths(bundle)
    assert paths.straight(1).total == pytest.approx(1 + 10 + 20 + 4 + 7)
    assert [call for call in engine.calls if call.startswith("read")] == ["read 1"]


def test_courses_of_a_short_plan_lead_to_its_exits_and_to_the_end(short_bundle: Bundle) -> None:
    paths, engine = slow_paths(short_bundle)
    assert set(paths.courses()) == {0, FULL}
    paths.courses()[FULL]()
    assert "advance 1" in engine.calls


def test_a_plan_without_shares_answers_at_its_last_exit(bundle: Bundle) -> None:
    plan = bundle.manifest.plan
    assert Paths(bundle, Slow()).shares == tuple(e.share for e in plan.exits)
    exits = tuple(e.model_copy(update={"share": 0.0}) for e in plan.exits)
    manifest = bundle.manifest.model_copy(update={"plan": plan.model_copy(update={"exits": exits})})
    assert Paths(Bundle(bundle.folder, manifest), Slow()).shares == (0, 0, 1)


# ------------------------------------------------------------------------------- in turn


def test_every_course_is_walked_once_a_round_and_back_in_the_next() -> None:
    walked: list[str] = []

    def walk(name: str) -> Any:
        return lambda: (walked.append(name), Lap(float(len(walked))))[1]

    found = interleaved({name: walk(name) for name in "abc"}, rounds=2, warm_up=1)
    assert walked == [*"abc", *"cba", *"abc"]
    assert {k: v.total.tolist() for k, v in found.items()} == {
        "a": [6, 7],
        "b": [5, 8],
        "c": [4, 9],
    }
    assert all(v.energy_mj is None for v in found.values())


def test_energy_is_the_mean_of_the_rounds_that_count(tmp_path: Path) -> None:
    file = tmp_path / "energy_uj"
    file.write_text("1000")
    spent = iter([9_000, 9_000, 1_000, 2_000, 6_000])

    def walk() -> Lap:
        file.write_text(str(int(file.read_text()) + next(spent)))
        return Lap(1)

    meter = Meter((Counter(file, 10**6),))
    found = interleaved({"a": walk}, rounds=3, warm_up=2, meter=meter)
    assert found["a"].energy_mj == pytest.approx(3.0)


def test_contenders_are_timed_together(bundle: Bundle, short_bundle: Bundle) -> None:
    (one, first), (two, second) = slow_paths(bundle), slow_paths(short_bundle)
    long, short = bench([one, two], rounds=4, warm_up=1)
    assert [path.total.tolist() for path in short.paths] == [pytest.approx([21.5 - 0.5] * 4)]
    assert [path.total[0] for path in long.paths] == pytest.approx([21.5, 46, 81])
    assert long.full.total == pytest.approx(np.full(4, 73.0))
    assert short.shares == (1.0,)
    expected = sum(
        e.share * t for e, t in zip(bundle.manifest.plan.exits, (21.5, 46, 81), strict=True)
    )
    assert long.expected == pytest.approx(expected)
    assert first.calls.count("begin") == 5 * 4
    assert second.calls.count("begin") == 5 * 2


# ------------------------------------------------------------------------- what they come to


def test_an_image_takes_the_mean_of_its_paths() -> None:
    timed = Timed((laps(1, 2, 9, energy=4.0), laps(10, 30, 20, energy=8.0)), laps(40), (0.25, 0.75))
    assert timed.expected == pytest.approx(0.25 * 2 + 0.75 * 20)
    assert timed.rounds == pytest.approx([7.75, 23, 17.25])
    assert timed.energy_mj == pytest.approx(7.0)
    assert timed.alone.expected == 40
    assert laps(10, 30, 20).fps == pytest.approx(50)
    some = Timed((laps(1, energy=4.0), laps(10)), laps(40), (0.5, 0.5))
    assert some.energy_mj is None


def test_a_ratio_is_taken_round_by_round() -> None:
    ours = Timed((), laps(1, 2, 4, 8, 16, 32, 64), ())
    theirs = Timed((), laps(2, 4, 12, 16, 32, 96, 128), ())
    ratio = paired(theirs, ours)
    assert (ratio.p50, ratio.interval) == (2.0, (2.0, 3.0))


def test_a_real_bundle_is_timed(bundle: Bundle) -> None:
    (timed,) = bench([Paths.open(bundle.folder, threads=1)], rounds=3, warm_up=1)
    for path in (*timed.paths, timed.full):
        assert path.total.shape == (3,)
        assert (path.total > path.read + path.decision + path.decode).all()
        assert (path.read > 0).all()
        assert (path.decode > 0).all()
