"""Measure what candidates take on this machine, or read what they took on another. No torch.

Bundles are timed in turn, round after round, so that what disturbs the machine disturbs all
alike. A time is that of `offramp bench`: from the frame at the network's size to its labels.
"""

import platform
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from offramp.core.errors import BadInput
from offramp.core.files import read_json
from offramp.core.model import Size
from offramp.core.progress import Track, silent
from offramp.core.spec import Spec
from offramp.runtime.machine import describe_machine
from offramp.runtime.ort import share_pool
from offramp.runtime.session import Session
from offramp.tuning.candidate import Latency

ROUNDS = 40
WARM_UP = 5
DEVICE = "device.json"
"""The manifest of a folder of untrained candidates."""


class Listed(Spec):
    """The manifest of a folder of untrained bundles: the bundle's folder of each setting's name."""

    model: str
    size: Size
    bundles: dict[str, str]


class Latencies(Spec):
    """Times that a device measured.

    Attributes:
        model: name of the network.
        engine: see `conditions`.
        latencies: by setting's name, such as "320x192-width0.5".
    """

    model: str
    engine: dict[str, str]
    latencies: dict[str, Latency]

    @classmethod
    def load(cls, file: Path) -> "Latencies":
        """Read the file that `offramp device measure --json` printed.

        Raises:
            BadInput: it is absent or something else.
        """
        value = read_json(file)
        if not isinstance(value, dict):
            raise BadInput(f"{file} holds no latencies", expected="a JSON object")
        return cls.parse(value, str(file))

    def require(self, names: Iterable[str]) -> None:
        """Refuse to go without the times of settings.

        Raises:
            BadInput: one of `names` was not timed.
        """
        lacking = sorted(set(names) - set(self.latencies))
        if lacking:
            raise BadInput(
                f"the latencies lack {len(lacking)} candidates",
                expected=", ".join(lacking[:8]) + (", …" if len(lacking) > 8 else ""),
                repair="measure them: offramp device export TUNE --out DIR, and on the device "
                "offramp device measure DIR --json",
            )


def conditions(threads: int | None) -> dict[str, str]:
    """Say what times the candidates, and where: engine, versions, threads, machine, frequency."""
    return {
        "engine": f"onnxruntime {version('onnxruntime')}",
        "python": platform.python_version(),
        "threads": str(share_pool(threads)),
        "host": platform.node(),
        **describe_machine(),
    }


def time_paths(
    sessions: Sequence[Session], rounds: int = ROUNDS, track: Track = silent
) -> list[list[Latency]]:
    """Time every path of every session in turn.

    Args:
        sessions: whose bundles to time.
        rounds: how often each path is timed, after a few rounds that do not count.
        track: shows progress.

    Returns:
        For each session, the time of the path to each exit of its plan.
    """
    frames = [_noise(session.bundle.manifest.model.size) for session in sessions]
    spent: list[list[list[float]]] = [[[] for _ in session.points] for session in sessions]
    for number in track(range(WARM_UP + rounds), WARM_UP + rounds, "measuring latency"):
        for session, frame, kept in zip(sessions, frames, spent, strict=True):
            for last, times in enumerate(kept):
                took = _path(session, frame, last)
                if number >= WARM_UP:
                    times.append(took)
    return [[summary(times) for times in kept] for kept in spent]


def summary(times_ms: Sequence[float]) -> Latency:
    """Boil repeated times down to their median and spread."""
    p5, median, p95 = (float(x) for x in np.percentile(times_ms, (5, 50, 95)))
    return Latency(median_ms=median, p5_ms=p5, p95_ms=p95, rounds=len(times_ms))


def measure_folder(
    folder: Path, threads: int | None = None, rounds: int = ROUNDS, track: Track = silent
) -> Latencies:
    """Time the untrained candidates that `offramp device export` wrote.

    Raises:
        BadInput: `folder` is not such a folder, or a bundle in it is not genuine.
    """
    value = read_json(folder / DEVICE)
    listed = Listed.parse(value if isinstance(value, dict) else {}, str(folder / DEVICE))
    sessions = [Session(folder / path, threads=threads) for path in listed.bundles.values()]
    times = time_paths(sessions, rounds, track)
    named = {name: found[-1] for name, found in zip(listed.bundles, times, strict=True)}
    return Latencies(model=listed.model, engine=conditions(threads), latencies=named)


def _path(session: Session, frame: np.ndarray, last: int) -> float:
    """Walk to one exit, reading the heads on the way and deciding, and enlarge its answer."""
    engine = session.engine
    start = time.perf_counter()
    state = engine.begin(frame)
    for index in range(last + 1):
        state = engine.advance(index, state)
        reading = engine.read(index, state.beside(None, None))
        if index < last:
            session.policy.stops(index, reading.scores)
    engine.decode(reading.logits, session.bundle.manifest.model.size)
    return 1000 * (time.perf_counter() - start)


def _noise(size: Size) -> np.ndarray:
    """Make a frame: a forced path takes the same time whatever it sees."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
