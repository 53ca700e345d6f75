"""Does stopping at exit k cost what a graph of only that path costs?

Exports a multi-exit FastSCNN as a bundle, and each path through it once more as a single ONNX
graph with the same heads and scores. Both are timed in turn, round after round:

    python benchmarks/stop_early.py --size 512x512 --rounds 200
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import save

from offramp.core.bundle import Bundle
from offramp.core.head import HeadSpec
from offramp.core.model import ModelSpec, format_size, parse_size
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import AtLeast
from offramp.core.score import ScoreSpec
from offramp.export import export
from offramp.export.graphs import write_module
from offramp.models.network import MultiExitNetwork, build_network
from offramp.runtime.ort import load_graph
from offramp.runtime.session import Session

SCORE = ScoreSpec.parse("coverage-top1@0.9")
EXITS = (("stem", "r2-b3-rapid-fcn"), ("bottleneck1", "r1-b0-fcn"), ("end", "own"))


class OnePath(torch.nn.Module):
    """The path to one exit in one piece, with every head that is read on the way."""

    def __init__(self, network: MultiExitNetwork, exits: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self.network = network
        self.exits = exits

    def forward(self, frame: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map a frame to the last exit's logits and every score on the way."""
        heads = dict(self.exits)
        state = self.network.begin(frame)
        scores, logits = [], frame
        for index, point in enumerate(self.network.points):
            state = self.network.advance(index, state)
            if point in heads:
                reading = self.network.read(index, state, heads[point], [SCORE])
                scores.append(reading.scores[SCORE.name])
                logits = reading.logits
            if point == self.exits[-1][0]:
                return logits, *scores
        raise AssertionError("the exits are not on the path")


def main() -> None:
    """Time and save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", default="512x512")
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    size = parse_size(told.size)
    spec = ModelSpec(name="fastscnn", names=("floor", "person", "vehicle", "obstacle"), size=size)
    network = build_network(spec, {p: [HeadSpec.parse(h)] for p, h in EXITS[:-1]}).eval()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        session = Session(_bundle(network, Path(folder) / "b"))
        graphs = [_single(network, EXITS[: k + 1], Path(folder)) for k in range(len(EXITS))]
        frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        times = _interleaved(session, graphs, frame, told.rounds)
    for k, (point, _) in enumerate(EXITS):
        split, single = times["split", k], times["single", k]
        ratios = [a / b for a, b in zip(split, single, strict=True)]
        rows.append(
            {
                "exit": point,
                "bundle_ms": median(split),
                "single_graph_ms": median(single),
                "ratio_of_medians": median(split) / median(single),
                "median_of_ratios": median(ratios),
            }
        )
        print(rows[-1])
    name = f"stop_early_{told.size}.json"
    told.out.mkdir(exist_ok=True)
    save(
        told.out / name,
        {
            "size": format_size(size),
            "rounds": told.rounds,
            "engine": session.engine.label,
            "rows": rows,
        },
    )


def _bundle(network: MultiExitNetwork, out: Path) -> Bundle:
    nothing = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)
    exits = [PlannedExit(point=p, head=h, rule=AtLeast(threshold=2.0)) for p, h in EXITS[:-1]]
    plan = Plan(
        setting="input-dependent",
        scores=(SCORE.name,),
        exits=(*exits, PlannedExit(point=EXITS[-1][0], head=EXITS[-1][1])),
        expected=nothing,
        full=nothing,
        size=network.spec.size,
        images=0,
    )
    image = np.random.default_rng(1).integers(0, 256, (*network.spec.size, 3), dtype=np.uint8)
    return export(network, plan, [image], out)


@torch.inference_mode()
def _single(network: MultiExitNetwork, exits, folder: Path):
    file = folder / f"path_{len(exits)}.onnx"
    frame = torch.zeros(1, *network.spec.size, 3, dtype=torch.uint8)
    names = ["logits", *(f"score_{i}" for i in range(len(exits)))]
    write_module(OnePath(network, exits), (frame,), file, ["frame"], names)
    return load_graph(file)


def _interleaved(
    session: Session, graphs, frame, rounds: int
) -> dict[tuple[str, int], list[float]]:
    times: dict[tuple[str, int], list[float]] = {}
    engine = session.engine

    def split(last: int) -> None:
        state = engine.begin(frame)
        for index in range(last + 1):
            state = engine.advance(index, state)
            session.policy.stops(index, engine.read(index, state).scores)

    for number in range(rounds + 10):
        for k, graph in enumerate(graphs):
            calls = {
                "split": lambda k=k: split(k),
                "single": lambda g=graph: g.run(None, {"frame": frame[None]}),
            }
            order = ("split", "single") if number % 2 else ("single", "split")
            for kind in order:
                start = time.perf_counter()
                calls[kind]()
                if number >= 10:
                    times.setdefault((kind, k), []).append(1000 * (time.perf_counter() - start))
    return times


if __name__ == "__main__":
    main()
