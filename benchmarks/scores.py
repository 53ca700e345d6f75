"""What does the decision cost, score by score, beside the networks that it stops?

Exports a graph from logits to score for each score, at an output stride of 8 and enlarged to the
input size, and two whole networks. All are timed in turn, round after round:

    python benchmarks/scores.py --size 640x384 --rounds 200 --full-rounds 10

A graph that only copies its input is timed with them: it is the price of the call, which a score
inside a head's graph does not pay, and is subtracted.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
from machine import save
from torch import Tensor, nn

from offramp.core.model import ModelSpec, format_size, parse_size
from offramp.core.score import ScoreSpec
from offramp.export.graphs import Span, write_module
from offramp.models.network import State, build_network
from offramp.runtime.ort import load_graph, share_pool
from offramp.scores import Context, score

STRIDE = 8
CLASSES = (4, 21)
NETWORKS = ("fastscnn", "hrnet_w18_small_v2")
SCORES = (
    "mean-top1",
    "mean-entropy",
    "entropy",
    "coverage-top1@0.9",
    "coverage-entropy@0.9",
    "edge-top1@0.9",
    "edge-entropy@0.9",
    "fft",
    "class-top1#1",
    "exit-agreement",
)
FULL = ("mean-top1", "entropy", "coverage-top1@0.9", "edge-top1@0.9", "fft")
CALL = "the call alone"

Timed = dict[str, tuple[onnxruntime.InferenceSession, dict[str, np.ndarray]]]


class Decision(nn.Module):
    """From logits to one score; without one, a copy of a single logit."""

    def __init__(self, spec: ScoreSpec | None, size: tuple[int, int]) -> None:
        super().__init__()
        self.spec = spec
        self.size = size

    def forward(self, logits: Tensor, before: Tensor) -> Tensor:
        """Map logits N×C×h×w to N scores."""
        if self.spec is None:
            return logits[:, 0, 0, 0] + 1
        return score(self.spec, logits, Context(self.size, before, before))


class Fourier(nn.Module):
    """The score `fft` by ONNX's own operator for the transform, for comparison."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits N×C×h×w to N scores."""
        number = torch.arange(self.classes).view(1, -1, 1, 1)
        masks = (logits.max(dim=1, keepdim=True).indices == number).float()
        length = torch.view_as_real(torch.fft.fft2(masks, norm="ortho")).pow(2).sum(-1).sqrt()
        means = (length.sum(dim=(2, 3)) - length[:, :, 0, 0]) / (masks[0, 0].numel() - 1)
        return means.sum(dim=1) / masks.amax(dim=(2, 3)).sum(dim=1)


class Whole(nn.Module):
    """A network from frame to logits."""

    def __init__(self, span: Span) -> None:
        super().__init__()
        self.span = span

    def forward(self, frame: Tensor) -> Tensor:
        """Map a uint8 frame 1×H×W×3 to the logits of the network's end."""
        network = self.span.network
        feature = self.span(frame)[0]
        return network.read(self.span.last, State({}, feature), "own").logits


def main() -> None:
    """Export, time, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", default="640x384")
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--full-rounds", type=int, default=10)
    arguments.add_argument("--threads", type=int)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    threads, size = share_pool(told.threads), parse_size(told.size)
    with tempfile.TemporaryDirectory() as folder:
        networks = {name: _network(name, size, Path(folder)) for name in NETWORKS}
        whole = _medians(networks, max(5, told.rounds // 5))
        tables = {str(c): _table(c, size, Path(folder), told, whole) for c in CLASSES}
    results = {
        "size": format_size(size),
        "output_stride": STRIDE,
        "rounds": told.rounds,
        "full_rounds": told.full_rounds,
        "engine": f"onnxruntime {onnxruntime.__version__}, {threads} threads",
        "network_ms": whole,
        "by_classes": tables,
    }
    told.out.mkdir(exist_ok=True)
    save(told.out / f"scores_{told.size}.json", results)


def _table(
    classes: int, size: tuple[int, int], folder: Path, told: Any, whole: dict[str, float]
) -> list[dict[str, Any]]:
    """Time all scores of one number of classes; a row each."""
    cells = (size[0] // STRIDE, size[1] // STRIDE)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, classes, cells[0] // 6, cells[1] // 6, generator=generator)
    logits = 4 * nn.functional.interpolate(coarse, cells, mode="bilinear")
    before = logits.max(dim=1).indices.to(torch.uint8)
    modules: dict[str, nn.Module] = {CALL: Decision(None, size)}
    modules |= {name: Decision(ScoreSpec.parse(name), size) for name in SCORES}
    fast: Timed = {k: _graph(m, logits, before, folder) for k, m in modules.items()}
    fast["fft by ONNX's DFT"] = _graph(Fourier(classes), logits, None, folder)
    slow: Timed = {
        f"{name}-full": _graph(
            Decision(ScoreSpec.parse(f"{name}-full"), size), logits, before, folder
        )
        for name in FULL
    }
    times = {**_medians(fast, told.rounds), **_medians(slow, told.full_rounds)}
    rows = []
    for name, spent in times.items():
        own = spent if name == CALL else max(0.0, spent - times[CALL])
        share = {n: 100 * own / network for n, network in whole.items()}
        rows.append({"score": name, "ms": own, "percent_of": share})
        print(classes, name, f"{own:.3f} ms", {n: f"{p:.2f} %" for n, p in share.items()})
    return rows


def _graph(
    module: nn.Module, logits: Tensor, before: Tensor | None, folder: Path
) -> tuple[onnxruntime.InferenceSession, dict[str, np.ndarray]]:
    file = folder / "score.onnx"
    values = (logits,) if before is None else (logits, before)
    names = ["logits", "before"][: len(values)]
    write_module(module, values, file, names, ["score"])
    session = load_graph(file)
    wanted = {taken.name for taken in session.get_inputs()}
    feed = {n: v.numpy() for n, v in zip(names, values, strict=True) if n in wanted}
    with torch.inference_mode():
        expected = module(*values)
    np.testing.assert_allclose(session.run(None, feed)[0], expected, rtol=0, atol=1e-4)
    return session, feed


@torch.inference_mode()
def _network(
    name: str, size: tuple[int, int], folder: Path
) -> tuple[onnxruntime.InferenceSession, dict[str, np.ndarray]]:
    spec = ModelSpec(name=name, names=("floor", "person", "vehicle", "obstacle"), size=size)
    network = build_network(spec, {}).eval()
    frame = torch.randint(0, 256, (1, *size, 3), generator=torch.Generator().manual_seed(1))
    frame = frame.to(torch.uint8)
    file = folder / f"{name}.onnx"
    write_module(Whole(Span(network, 0, 0)), (frame,), file, ["frame"], ["logits"])
    return load_graph(file), {"frame": frame.numpy()}


def _medians(graphs: Timed, rounds: int) -> dict[str, float]:
    """Time each graph in turn, round after round; the median of each, ms."""
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for number in range(rounds + 3):
        for name, (session, feed) in graphs.items():
            start = time.perf_counter()
            session.run(None, feed)
            if number >= 3:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: median(spent) for name, spent in times.items()}


if __name__ == "__main__":
    main()
