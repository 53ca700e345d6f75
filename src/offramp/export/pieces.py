"""Measure what each segment and head of bundles costs on engines, interleaved."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from offramp.core.bundle import Bundle
from offramp.core.costs import Cost, Costs
from offramp.core.errors import BadInput
from offramp.core.model import Size
from offramp.core.progress import Track, silent
from offramp.data.images import Array, resize_image
from offramp.runtime.engine import Engine
from offramp.runtime.machine import describe_machine
from offramp.runtime.recording import exits_to_end


class Runner(NamedTuple):
    """A bundle, and an engine that holds it."""

    bundle: Bundle
    engine: Engine


def measure_pieces(
    runners: Sequence[Runner],
    frame: Size,
    *,
    rounds: int = 40,
    warm_up: int = 5,
    track: Track = silent,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Costs]:
    """Time every piece of every bundle in turn, round after round; medians stand.

    Work is what the manifest says, bytes are those of the graphs' files; parameters and memory
    are not known. An engine that only starts a segment, and waits for it at the head, has the
    segment's time counted as the head's.

    Args:
        runners: what to time; what disturbs the machine disturbs all alike.
        frame: height and width in pixels of frames and their answers.
        rounds: how often each piece is timed.
        warm_up: rounds that do not count.
        track: shows progress.
        clock: seconds that only go forward.

    Raises:
        BadInput: a manifest does not say what each piece's work is.
    """
    for bundle, _ in runners:
        if not bundle.manifest.work:
            raise BadInput(
                f"{bundle.folder} does not say what its segments' work is",
                repair="export the bundle again with this version",
            )
    pixels = np.random.default_rng(0).integers(0, 256, (*frame, 3), dtype=np.uint8)
    laps: list[list[list[float]]] = [[] for _ in runners]
    for number in track(range(warm_up + rounds), warm_up + rounds, "measuring latency"):
        for runner, kept in zip(runners, laps, strict=True):
            lap = _lap(runner, pixels, clock)
            if number >= warm_up:
                kept.append(lap)
    return [
        _costs(runner, [median(column) for column in zip(*kept, strict=True)])
        for runner, kept in zip(runners, laps, strict=True)
    ]


def _lap(runner: Runner, pixels: Array, clock: Callable[[], float]) -> list[float]:
    """Walk the whole path once; milliseconds of decoding, then of each segment and its head."""
    manifest, engine = runner.bundle.manifest, runner.engine
    times = [clock()]
    state = engine.begin(resize_image(pixels, manifest.model.size))
    times.append(clock())
    for index in range(len(manifest.segments)):
        state = engine.advance(index, state)
        times.append(clock())
        reading = engine.read(index, state.beside(None, None))
        times.append(clock())
    engine.decode(reading.logits, (pixels.shape[0], pixels.shape[1]))
    times.append(clock())
    begin, *pieces, decode = (1000 * np.diff(times)).tolist()
    return [begin + decode, *pieces]


def _costs(runner: Runner, times: Sequence[float]) -> Costs:
    manifest, engine = runner.bundle.manifest, runner.engine

    def bytes_of(file: str) -> int:
        return (runner.bundle.folder / file).stat().st_size

    exits = exits_to_end(manifest.plan)
    segments, heads = [], {}
    for index, ((point, head), (inside, read)) in enumerate(zip(exits, manifest.work, strict=True)):
        segment_ms, head_ms = times[1 + 2 * index], times[2 + 2 * index]
        graphs = manifest.segments[index].file, manifest.heads[index].file
        segments.append(Cost(macs=inside, latency_ms=segment_ms, bytes=bytes_of(graphs[0])))
        heads[point] = {head: Cost(macs=read, latency_ms=head_ms, bytes=bytes_of(graphs[1]))}
    return Costs(
        points=tuple(point for point, _ in exits),
        segments=tuple(segments),
        heads=heads,
        decode=Cost(latency_ms=times[0], bytes=bytes_of(manifest.decoder.file)),
        size=manifest.model.size,
        engine={"engine": engine.label, "precision": engine.precision, **describe_machine()},
    )
