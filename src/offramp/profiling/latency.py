"""Measure every segment, every head and the decoder on ONNX Runtime.

Each piece is exported as a graph of its own and timed in turn with all others, round after
round, so that what disturbs the machine disturbs all alike; the median over rounds stands.
The size of the graph's file is noted too.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch

from offramp.core.costs import Cost, Costs
from offramp.core.model import Size
from offramp.core.progress import Track, silent
from offramp.data.images import resize_image
from offramp.export.graphs import ScoredHead, Span, write_decoder, write_head, write_span
from offramp.models.count import SCORES, count
from offramp.models.network import MultiExitNetwork
from offramp.runtime.machine import describe_machine
from offramp.runtime.ort import load_graph, share_pool

Piece = tuple[str, str]
"""A position and a head's name; "" for the segment, and ("", "") for what every frame pays once:
being resized to the input size, and the decoder."""


class Exported(NamedTuple):
    """A piece as a graph: what runs it once on values that fit, and the size of its file."""

    run: Callable[[], Any]
    bytes: int


def measure(
    network: MultiExitNetwork,
    frame: Size | None = None,
    *,
    rounds: int = 40,
    warm_up: int = 5,
    threads: int | None = None,
    track: Track = silent,
) -> Costs:
    """Count the work and memory of every piece, and measure its time and the bytes of its graph.

    Args:
        network: with all its heads.
        frame: height and width in pixels of frames and their answers; absent: the input size.
        rounds: how often each piece is timed.
        warm_up: rounds that do not count.
        threads: threads of the engine; absent: all cores that the process may use.
        track: shows progress.
    """
    frame = frame or network.spec.size
    counted = count(network, frame)
    pool = share_pool(threads)
    with tempfile.TemporaryDirectory() as folder:
        pieces = _export(network, frame, Path(folder), track)
        times: dict[Piece, list[float]] = {piece: [] for piece in pieces}
        for number in track(range(warm_up + rounds), warm_up + rounds, "measuring latency"):
            for piece, exported in pieces.items():
                start = time.perf_counter()
                exported.run()
                if number >= warm_up:
                    times[piece].append(1000 * (time.perf_counter() - start))

    def measured(cost: Cost, point: str, name: str = "") -> Cost:
        piece = point, name
        found = {"latency_ms": median(times[piece]), "bytes": pieces[piece].bytes}
        return cost.model_copy(update=found)

    return counted.model_copy(
        update={
            "segments": tuple(map(measured, counted.segments, counted.points)),
            "heads": {
                point: {name: measured(cost, point, name) for name, cost in heads.items()}
                for point, heads in counted.heads.items()
            },
            "decode": measured(counted.decode, ""),
            "engine": describe_engine(pool),
        }
    )


def describe_engine(threads: int) -> dict[str, str]:
    """Say what is timed, and where."""
    return {
        "engine": f"onnxruntime {onnxruntime.__version__}",
        "threads": str(threads),
        **describe_machine(),
    }


@torch.inference_mode()
def _export(
    network: MultiExitNetwork, frame: Size, folder: Path, track: Track
) -> dict[Piece, Exported]:
    """Write every piece as a graph of its own, and load it."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1, *network.spec.size, 3), dtype=np.uint8)
    values = {"frame": torch.from_numpy(pixels)}
    pieces: dict[Piece, Exported] = {}
    logits = torch.zeros(0)
    for index, point in track(enumerate(network.points), len(network.points), "exporting pieces"):
        span = Span(network, index, index)
        file = folder / f"segment_{index}.onnx"
        graph, given = write_span(span, [values[name] for name in span.takes], file)
        feed = {name: values[name].numpy() for name in graph.takes}
        pieces[point, ""] = _exported(file, graph.gives, feed)
        values.update(zip(span.gives, given, strict=True))
        feature = given[0]
        for number, name in enumerate(network.head_names(point)):
            head = ScoredHead(network, index, name, (*SCORES, *network.learned))
            file = folder / f"head_{index}_{number}.onnx"
            graph = write_head(head, feature, "feature", file)
            pieces[point, name] = _exported(file, graph.gives, {"feature": feature.numpy()})
            logits = head(feature)[0]
    file = folder / "decoder.onnx"
    graph = write_decoder(network.spec.classes, file)
    feed = {"logits": logits.numpy(), "size": np.array(frame, dtype=np.int64)}
    decoder = _exported(file, graph.gives, feed)
    camera = rng.integers(0, 256, (*frame, 3), dtype=np.uint8)

    def frame_to_labels() -> None:
        resize_image(camera, network.spec.size)
        decoder.run()

    pieces["", ""] = decoder._replace(run=frame_to_labels)
    return pieces


def _exported(file: Path, gives: tuple[str, ...], feed: dict[str, Any]) -> Exported:
    session = load_graph(file)
    return Exported(lambda: session.run(list(gives), feed), file.stat().st_size)
