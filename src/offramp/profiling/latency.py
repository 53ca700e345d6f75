"""Measure every segment, every head and the decoder on ONNX Runtime.

Each piece is exported as a graph of its own and timed in turn with all others, round after
round, so that what disturbs the machine disturbs all alike; the median over rounds stands.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch

from offramp.core.costs import Cost, Costs
from offramp.core.model import Size
from offramp.core.progress import Track, silent
from offramp.core.score import ScoreSpec
from offramp.export.graphs import ScoredHead, Span, write_decoder, write_head, write_span
from offramp.models.count import count
from offramp.models.network import MultiExitNetwork
from offramp.runtime.ort import load_graph, share_pool

Piece = tuple[str, str]
"""A position and a head's name; "" for the segment, and ("", "") for the decoder."""

SCORES = (ScoreSpec.parse("mean-top1"),)


def measure(
    network: MultiExitNetwork,
    frame: Size | None = None,
    *,
    rounds: int = 40,
    warm_up: int = 5,
    threads: int | None = None,
    track: Track = silent,
) -> Costs:
    """Count the work of every piece, and measure its time.

    Args:
        network: with all its heads.
        frame: height and width in pixels to which answers are enlarged; absent: the input size.
        rounds: how often each piece is timed.
        warm_up: rounds that do not count.
        threads: threads of the engine; absent: all cores that the process may use.
        track: shows progress.
    """
    counted = count(network)
    pool = share_pool(threads)
    with tempfile.TemporaryDirectory() as folder:
        calls = _calls(network, frame or network.spec.size, Path(folder), track)
        times: dict[Piece, list[float]] = {piece: [] for piece in calls}
        for number in track(range(warm_up + rounds), warm_up + rounds, "measuring latency"):
            for piece, call in calls.items():
                start = time.perf_counter()
                call()
                if number >= warm_up:
                    times[piece].append(1000 * (time.perf_counter() - start))
    medians = {piece: median(values) for piece, values in times.items()}
    return counted.model_copy(
        update={
            "segments": tuple(
                _timed(cost, medians[point, ""])
                for point, cost in zip(counted.points, counted.segments, strict=True)
            ),
            "heads": {
                point: {name: _timed(cost, medians[point, name]) for name, cost in heads.items()}
                for point, heads in counted.heads.items()
            },
            "decode": Cost(latency_ms=medians["", ""]),
            "engine": describe_engine(pool),
        }
    )


def describe_engine(threads: int) -> dict[str, str]:
    """Say what is timed, and where."""
    return {
        "engine": f"onnxruntime {onnxruntime.__version__}",
        "threads": str(threads),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
    }


@torch.inference_mode()
def _calls(
    network: MultiExitNetwork, frame: Size, folder: Path, track: Track
) -> dict[Piece, Callable[[], Any]]:
    """Export every piece; returns calls that run each once on values that fit."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1, *network.spec.size, 3), dtype=np.uint8)
    values = {"frame": torch.from_numpy(pixels)}
    calls: dict[Piece, Callable[[], Any]] = {}
    logits = torch.zeros(0)
    for index, point in track(enumerate(network.points), len(network.points), "exporting pieces"):
        span = Span(network, index, index)
        file = folder / f"segment_{index}.onnx"
        graph, given = write_span(span, [values[name] for name in span.takes], file)
        calls[point, ""] = _call(file, graph.gives, {n: values[n].numpy() for n in graph.takes})
        values.update(zip(span.gives, given, strict=True))
        feature = given[0]
        for number, name in enumerate(network.head_names(point)):
            head = ScoredHead(network, index, name, (*SCORES, *network.learned))
            file = folder / f"head_{index}_{number}.onnx"
            graph = write_head(head, feature, "feature", file)
            calls[point, name] = _call(file, graph.gives, {"feature": feature.numpy()})
            logits = head(feature)[0]
    file = folder / "decoder.onnx"
    graph = write_decoder(network.spec.classes, file)
    feed = {"logits": logits.numpy(), "size": np.array(frame, dtype=np.int64)}
    calls["", ""] = _call(file, graph.gives, feed)
    return calls


def _call(file: Path, gives: tuple[str, ...], feed: dict[str, Any]) -> Callable[[], Any]:
    session = load_graph(file)
    return lambda: session.run(list(gives), feed)


def _timed(cost: Cost, latency_ms: float) -> Cost:
    return cost.model_copy(update={"latency_ms": latency_ms})


def _processor() -> str:
    """Read the processor's name where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
