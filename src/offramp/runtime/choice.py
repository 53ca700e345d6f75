"""Which engine runs a bundle fastest here: tried once, then remembered.

The times of engines differ by processor and network, so none is the fastest everywhere.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from pydantic import Field

import offramp
from offramp.core.bundle import MANIFEST, Bundle
from offramp.core.errors import BadInput, OfframpError
from offramp.core.files import read_json, sha256, write_text
from offramp.core.spec import Spec
from offramp.runtime.engine import Engine, count_threads
from offramp.runtime.engines import ENGINES, installed, open_engine
from offramp.runtime.machine import describe_machine, versions
from offramp.runtime.paths import Paths

WARM_UP, LEAST, MOST = 3, 10, 100
"""Rounds that do not count, and how many do at least and at most."""

Open = Callable[[str, Bundle, int | None, str | None], Engine]

_log = logging.getLogger(__name__)


class Choice(Spec):
    """The fastest engine for a bundle, and what it was compared with.

    Attributes:
        engine: its name.
        expected_ms: by engine, the mean milliseconds of a frame, each path weighted with the
            share of the calibration images that took it.
        failed: by engine, why it could not be tried.
        key: what the choice depends on: bundle, precision, threads, machine, versions.
        remembered: it was made before, and read from the cache.
    """

    engine: str
    expected_ms: dict[str, float]
    failed: dict[str, str]
    key: dict[str, str]
    remembered: bool = Field(default=False, exclude=True)


def choose(
    bundle: Bundle,
    threads: int | None = None,
    precision: str | None = None,
    *,
    seconds: float = 5.0,
    afresh: bool = False,
    cache: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
    open_: Open = open_engine,
) -> Choice:
    """Choose the fastest engine that can run a bundle here.

    All engines are timed in turn, round after round, so that what disturbs one disturbs all.

    Args:
        bundle: what shall run.
        threads: how many threads compute; absent: all cores that the process may use.
        precision: in which it shall; absent: the plan's.
        seconds: after which no more rounds are begun than it takes at least.
        afresh: measure also where a choice is remembered.
        cache: folder of what is remembered; absent: `cache_folder()`.
        clock: seconds that only go forward.
        open_: opens an engine by name.

    Raises:
        BadInput: no engine can run the bundle.
    """
    precision = precision or bundle.manifest.plan.precision
    names = installed(bundle, precision)
    key = _key(bundle, count_threads(threads), precision, names)
    file = _file(cache_folder() if cache is None else cache, key)
    known = None if afresh else _recall(file, key)
    if known is not None:
        return known
    engines, failed = _open_all(names, bundle, threads, precision, open_)
    if not engines:
        reasons = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise BadInput(
            "no engine can run this bundle here",
            expected=f"one that computes in {precision}",
            got=reasons or "none installed",
            repair="name one with --engine to see what it lacks",
        )
    expected = _time([Paths(bundle, engine, clock) for engine in engines], seconds, clock)
    times = dict(zip((engine.name for engine in engines), expected, strict=True))
    choice = Choice(
        engine=min(times, key=times.__getitem__), expected_ms=times, failed=failed, key=key
    )
    _remember(file, choice)
    return choice


def cache_folder() -> Path:
    """Tell where choices are remembered: below $XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return root / "offramp" / "engines"


def _key(bundle: Bundle, threads: int, precision: str, names: Sequence[str]) -> dict[str, str]:
    machine = describe_machine()
    return {
        "bundle": sha256(bundle.folder / MANIFEST),
        "precision": precision,
        "threads": str(threads),
        **{name: machine[name] for name in ("machine", "processor", "cores")},
        "engines": ", ".join(names),
        "offramp": offramp.__version__,
        **versions(sorted({ENGINES[name].library for name in names})),
    }


def _file(folder: Path, key: dict[str, str]) -> Path:
    text = json.dumps(key, sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _recall(file: Path, key: dict[str, str]) -> Choice | None:
    """Read a choice; a file that is broken or of something else is as good as none."""
    try:
        choice = Choice.parse(read_json(file), str(file))
    except (BadInput, RecursionError):
        return None
    if choice.key != key or choice.engine not in ENGINES:
        return None
    return choice.model_copy(update={"remembered": True})


def _remember(file: Path, choice: Choice) -> None:
    try:
        write_text(file, choice.model_dump_json(indent=2) + "\n")
    except OSError as error:
        _log.warning("the choice of an engine cannot be remembered: %s", error)


def _open_all(
    names: Sequence[str], bundle: Bundle, threads: int | None, precision: str, open_: Open
) -> tuple[list[Engine], dict[str, str]]:
    """Open every engine; returns those that work, and by name why others do not."""
    engines, failed = [], {}
    for name in names:
        try:
            engine = open_(name, bundle, threads, precision)
            Paths(bundle, engine).full()
            engines.append(engine)
        except Exception as error:  # a broken library must not hinder the others
            failed[name] = str(error) or repr(error)
            log = _log.info if isinstance(error, OfframpError) else _log.warning
            log("the engine %s cannot be tried: %s", name, failed[name])
    return engines, failed


def _time(all_paths: Sequence[Paths], seconds: float, clock: Callable[[], float]) -> list[float]:
    """Find the mean milliseconds of a frame by each engine, from medians over rounds."""
    taken = [exit_ for exit_, share in enumerate(all_paths[0].shares) if share > 0]
    kept: list[dict[int, list[float]]] = [{exit_: [] for exit_ in taken} for _ in all_paths]
    begun = clock()
    for number in range(WARM_UP + MOST):
        if number >= WARM_UP + LEAST and clock() - begun > seconds:
            break
        for paths, times in zip(all_paths, kept, strict=True):
            for exit_ in taken:
                spent = paths.walk(exit_).total
                if number >= WARM_UP:
                    times[exit_].append(spent)
    return [
        sum(paths.shares[exit_] * median(spent) for exit_, spent in times.items())
        for paths, times in zip(all_paths, kept, strict=True)
    ]
