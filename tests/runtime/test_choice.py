"""The choice of an engine: the least expected cost, remembered until something changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.bundle import Bundle, save_manifest
from offramp.core.errors import BadInput, BundleError
from offramp.data.images import Array
from offramp.runtime import choice
from offramp.runtime.choice import LEAST, MOST, WARM_UP, cache_folder, choose
from offramp.runtime.engine import Reading, State
from offramp.runtime.engines import installed, open_engine


class Fake:
    """An engine whose segments take seconds that are given, on a clock that it moves itself."""

    label, precision = "fake", "f32"

    def __init__(self, name: str, clock: "Clock", segments: tuple[float, ...]) -> None:
        self.name, self.clock, self.segments = name, clock, segments
        self.begun = 0

    def begin(self, frame: Array) -> State:
        self.begun += 1
        return State({})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        self.clock.now += self.segments[index]
        return state

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        return Reading(None, (0.5,))

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        return np.zeros(size, dtype=np.uint8)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Fakes by name, and how often each was opened."""

    def __init__(self, **segments: tuple[float, ...] | Exception) -> None:
        self.clock, self.segments = Clock(), segments
        self.opened: list[Fake] = []

    def open(self, name: str, bundle: Bundle, threads: int | None, precision: str | None) -> Fake:
        made = self.segments[name]
        if isinstance(made, Exception):
            raise made
        self.opened.append(Fake(name, self.clock, made))
        return self.opened[-1]


Chooses = Callable[..., choice.Choice]


@pytest.fixture
def chooses(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chooses:
    """Choose among the engines of a bench, remembering below the test's folder."""

    def run(bench: Bench, bundle: Bundle = bundle, **more: Any) -> choice.Choice:
        monkeypatch.setattr(choice, "installed", lambda *_: tuple(bench.segments))
        monkeypatch.setattr(choice, "ENGINES", dict.fromkeys(bench.segments, Library()))
        told = {"threads": 1, "cache": tmp_path / "cache", "clock": bench.clock, **more}
        return choose(bundle, open_=bench.open, **told)

    return run


class Library:
    library = "numpy"


def test_paths_count_by_their_shares(chooses: Chooses, bundle: Bundle) -> None:
    shares = [planned.share for planned in bundle.manifest.plan.exits]
    assert shares[0] > 0
    ways = {"early": (0.001, 0.001, 0.9), "late": (0.2, 0.01, 0.01)}
    expected = {
        name: 1000 * float(np.dot(shares, np.cumsum(segments))) for name, segments in ways.items()
    }
    chosen = chooses(Bench(**ways))
    assert chosen.expected_ms == pytest.approx(expected)
    assert chosen.engine == min(expected, key=expected.__getitem__)
    assert not chosen.remembered


def test_a_choice_is_remembered(chooses: Chooses) -> None:
    first = chooses(Bench(slow=(1, 1, 1), fast=(0.1, 0.1, 0.1)))
    bench = Bench(slow=(0.1, 0.1, 0.1), fast=(1, 1, 1))
    again = chooses(bench)
    assert bench.opened == []
    assert again.remembered
    assert again.engine == first.engine == "fast"
    assert again.expected_ms == first.expected_ms
    assert chooses(bench, afresh=True).engine == "slow"
    assert chooses(bench).engine == "slow"


def test_what_a_choice_depends_on_makes_it_new(
    chooses: Chooses, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def measured(**more: Any) -> bool:
        bench = Bench(a=(1, 1, 1), b=(2, 2, 2))
        chooses(bench, **more)
        opened.append(len(bench.opened))
        return bool(bench.opened)

    assert measured()
    assert not measured()
    assert measured(threads=2)
    assert not measured()
    manifest = Bundle.open(copied).manifest
    save_manifest(copied, manifest.model_copy(update={"full_macs": 7}))
    assert measured(bundle=Bundle.open(copied))
    monkeypatch.setattr(choice, "versions", lambda names: {"numpy": "another"})
    assert measured()
    machine = {"machine": "m", "processor": "another", "cores": "2", "frequency": "1 MHz"}
    monkeypatch.setattr(choice, "describe_machine", lambda: machine)
    assert measured()
    machine["frequency"] = "2 MHz"
    assert not measured()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"nonsense \xff", b'{"engine": "a"}', b"[" * 100_000, b"null"]
)
def test_a_broken_file_is_measured_and_written_anew(
    chooses: Chooses, tmp_path: Path, content: bytes
) -> None:
    chooses(Bench(a=(1, 1, 1)))
    (file,) = (tmp_path / "cache").iterdir()
    good = file.read_bytes()
    file.write_bytes(content)
    bench = Bench(a=(1, 1, 1))
    assert not chooses(bench).remembered
    assert bench.opened
    assert file.read_bytes() == good


def test_a_file_of_another_key_is_no_choice(chooses: Chooses, tmp_path: Path) -> None:
    chooses(Bench(a=(1, 1, 1)))
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(file.read_text().replace('"threads": "1"', '"threads": "8"'))
    assert not chooses(Bench(a=(1, 1, 1))).remembered


def test_an_engine_that_fails_is_noted_and_the_others_go_on(chooses: Chooses) -> None:
    bench = Bench(a=BundleError("has no graph"), b=RuntimeError("broken"), c=(1, 1, 1))
    chosen = chooses(bench)
    assert chosen.engine == "c"
    assert chosen.failed == {"a": "has no graph", "b": "broken"}


def test_where_no_engine_works_all_reasons_are_told(chooses: Chooses, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="got a: has no graph"):
        chooses(Bench(a=BundleError("has no graph")))
    with pytest.raises(BadInput, match="got none installed"):
        chooses(Bench())
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, WARM_UP + LEAST), (1e9, WARM_UP + MOST)])
def test_rounds_end_in_time_but_not_too_early(
    chooses: Chooses, bundle: Bundle, seconds: float, rounds: int
) -> None:
    taken = sum(planned.share > 0 for planned in bundle.manifest.plan.exits)
    bench = Bench(a=(1, 1, 1), b=(1, 1, 1))
    chooses(bench, seconds=seconds)
    tried = 1
    assert [fake.begun for fake in bench.opened] == 2 * [tried + rounds * taken]


def test_a_folder_that_cannot_be_written_does_no_harm(
    chooses: Chooses, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    assert chooses(Bench(a=(1, 1, 1)), cache=tmp_path / "file" / "cache").engine == "a"
    assert "cannot be remembered" in caplog.text


def test_the_cache_lies_where_the_desktop_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/offramp/engines")
    for nowhere in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", nowhere)
        assert cache_folder() == Path("/home/me/.cache/offramp/engines")


def test_auto_opens_one_of_those_installed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choice, "MOST", LEAST)
    engine = open_engine("auto", bundle, 1)
    assert engine.name in installed(bundle)
    assert engine.name == choose(bundle, 1).engine
    assert choose(bundle, 1).remembered


def test_auto_chooses_again_where_the_remembered_engine_fails(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choice, "MOST", LEAST)
    known = choose(bundle, 1)
    file = next((tmp_path / "offramp" / "engines").iterdir())
    gone = known.model_copy(update={"engine": "torch"})  # whose weights this bundle lacks
    file.write_text(gone.model_dump_json())
    assert choose(bundle, 1).engine == "torch"
    assert open_engine("auto", bundle, 1).name in known.expected_ms
    assert choose(bundle, 1).engine in known.expected_ms
