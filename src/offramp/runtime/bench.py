"""Time the paths through bundles, interleaved, so that what disturbs one disturbs all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from offramp.core.progress import Track, silent
from offramp.runtime.session import Session


@dataclass(frozen=True)
class PathTimes:
    """Times of one bundle, in milliseconds; medians, and the 95th percentile.

    Attributes:
        points: positions of the plan's exits.
        p50: whole path to each exit: segments, heads read on the way, decoding.
        p95: the same, 95th percentile.
        read: asking the head of each exit, its score included.
        decision: the policy's decision on the host.
        decode: enlarging the answer to the input size.
        full: the network without early exits, decoding included.
        expected: mean over the plan's exit shares on the calibration images.
    """

    points: tuple[str, ...]
    p50: tuple[float, ...]
    p95: tuple[float, ...]
    read: tuple[float, ...]
    decision: float
    decode: float
    full: float
    expected: float


def bench(
    sessions: Sequence[Session], rounds: int = 100, warm_up: int = 10, track: Track = silent
) -> list[PathTimes]:
    """Time every path of every session in turn, round after round.

    Args:
        sessions: whose bundles to time.
        rounds: how often each path is timed.
        warm_up: rounds that do not count.
        track: shows progress.
    """
    frames = [_frame(session) for session in sessions]
    kept: list[dict[tuple[str, int], list[float]]] = [{} for _ in sessions]
    for number in track(range(warm_up + rounds), warm_up + rounds, "timing"):
        for session, frame, times in zip(sessions, frames, kept, strict=True):
            for key, spent in _round(session, frame).items():
                if number >= warm_up:
                    times.setdefault(key, []).append(spent)
    return [_summary(session, times) for session, times in zip(sessions, kept, strict=True)]


def _round(session: Session, frame: np.ndarray) -> dict[tuple[str, int], float]:
    """Time each path once; keys are the kind of time and the exit."""
    engine, policy = session.engine, session.policy
    size = session.bundle.manifest.model.size
    times: dict[tuple[str, int], float] = {}
    for last in range(len(session.points)):
        start = time.perf_counter()
        state = engine.begin(frame)
        for index in range(last + 1):
            state = engine.advance(index, state)
            before = time.perf_counter()
            reading = engine.read(index, state.beside(None, None))
            read = time.perf_counter()
            if index < last:
                policy.stops(index, reading.scores)
            decided = time.perf_counter()
        engine.decode(reading.logits, size)
        end = time.perf_counter()
        times["path", last] = 1000 * (end - start)
        times["read", last] = 1000 * (read - before)
        times["decision", 0] = 1000 * (decided - read)
        times["decode", 0] = 1000 * (end - decided)
    times["full", 0] = _timed(lambda: session.full(frame))
    return times


def _summary(session: Session, times: dict[tuple[str, int], list[float]]) -> PathTimes:
    exits = range(len(session.points))
    p50 = tuple(median(times["path", i]) for i in exits)
    shares = [planned.share for planned in session.bundle.manifest.plan.exits]
    return PathTimes(
        points=session.points,
        p50=p50,
        p95=tuple(float(np.percentile(times["path", i], 95)) for i in exits),
        read=tuple(median(times["read", i]) for i in exits),
        decision=median(times["decision", 0]),
        decode=median(times["decode", 0]),
        full=median(times["full", 0]),
        expected=float(np.dot(p50, shares)),
    )


def _frame(session: Session) -> np.ndarray:
    """Make noise of the input size: forced paths take the same time whatever they see."""
    size = session.bundle.manifest.model.size
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)
