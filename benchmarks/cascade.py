"""Pixel-wise exits against image-wise ones, counted by receptive field (MESS table 3).

    offramp record RUN
    python benchmarks/cascade.py RUN

The deep layer cascade stops each pixel for itself, so later segments and heads run on the cells
that the pixels still going depend on. How far a piece sees is measured: one cell of its input is
disturbed, and the farthest output that changes tells. Both exit rules get the same exits, the same
images, and thresholds tuned on them for the same loss; work in shares of the full network's.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import save

from offramp.cli.console import track
from offramp.core.costs import Costs
from offramp.core.files import read_json
from offramp.data.images import resize_image
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork, State
from offramp.policies.cascade import Stage, answering, asked, work
from offramp.scores import pixel_confidence
from offramp.search.strategies import Problem, Strategy
from offramp.training.run import Run

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
LOSSES = (0.001, 0.01, 0.02)
SCORES = ("mean-top1", "edge-top1@0.9")


def main() -> None:
    """Measure receptive fields, run both rules, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--exits", nargs="+", help="point/head; absent: the first of each")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    run = Run.open(told.run)
    network, trace = run.load_network(), Trace.load(run.trace_file)
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    named = told.exits or [f"{p}/{network.head_names(p)[0]}" for p in network.points[:-1]]
    chain = [tuple(name.rsplit("/", 1)) for name in named] + [trace.exits[-1]]
    stages = _stages(network, costs, chain)
    points = _cascade(network, run, chain, stages)
    rows = tuple(trace.index(*pair) for pair in chain)
    problem = Problem(trace, costs, rows)
    full = trace.exit_miou(rows[-1])
    image = {
        score: [
            {"miou": plan.expected.miou, "work": plan.expected.macs / plan.full.macs}
            for plan in Strategy.parse(f"threshold:{score}").plans(problem)
        ]
        for score in SCORES
    }
    results = {
        "model": network.spec.name,
        "exits": ["/".join(pair) for pair in chain],
        "stages": [vars(stage) for stage in stages],
        "full_miou": full,
        "pixels": points,
        "images": image,
        "at_loss": {str(loss): _at(full - loss, points, image) for loss in LOSSES},
    }
    for key in ("stages", "pixels", "at_loss"):
        print(key, results[key])
    save(told.out / f"cascade_{network.spec.name}.json", results)


def _at(least: float, points: list[dict[str, float]], image: dict[str, Any]) -> dict[str, Any]:
    """Give the least work that keeps the mIoU, by pixels and by images; none if nothing does."""
    found: dict[str, Any] = {
        f"pixels, {bound}": min((p[bound] for p in points if p["miou"] >= least), default=None)
        for bound in ("least", "most")
    }
    for score, plans in image.items():
        found[score] = min((p["work"] for p in plans if p["miou"] >= least), default=None)
    return found


@torch.inference_mode()
def _cascade(
    network: MultiExitNetwork, run: Run, chain: list[Any], stages: list[Stage]
) -> list[dict[str, float]]:
    """Answer every calibration image pixel by pixel, at each threshold."""
    data, classes = run.dataset, network.spec.classes
    counts = np.zeros((len(THRESHOLDS), 2, classes))
    spent = np.zeros((len(THRESHOLDS), 2))
    samples = data.samples("calib")
    for sample in track(samples, len(samples), "calib by pixels"):
        image, truth = data.read(sample)
        sure, labels = _read(network, resize_image(image, network.spec.size), chain, truth.shape)
        for row, threshold in enumerate(THRESHOLDS):
            maps = asked(sure, threshold)
            cost = work(maps, stages)
            exits = answering(maps, truth.shape)
            answer = np.take_along_axis(labels, exits[None], axis=0)[0]
            counts[row] += intersections_unions(answer, truth, classes, data.spec.ignore_index)
            spent[row] += cost.least, cost.most
    return [
        {
            "threshold": threshold,
            "miou": float(mean_iou(*counts[row])),
            "least": float(spent[row, 0] / len(samples)),
            "most": float(spent[row, 1] / len(samples)),
        }
        for row, threshold in enumerate(THRESHOLDS)
    ]


def _read(
    network: MultiExitNetwork, frame: np.ndarray, chain: list[Any], shape: Any
) -> tuple[list[np.ndarray], np.ndarray]:
    """Give each exit's confidence by cell, and its labels at full size (E×H×W)."""
    heads = dict(chain)
    state = network.begin(torch.from_numpy(frame.copy())[None])
    sure, labels = [], []
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        if point in heads:
            logits = network.read(index, state, heads[point]).logits
            sure.append(pixel_confidence(logits, "top1")[0].double().numpy())
            labels.append(network.decode(logits, tuple(shape))[0].numpy())
    return sure, np.stack(labels)


@torch.inference_mode()
def _stages(network: MultiExitNetwork, costs: Costs, chain: list[Any]) -> list[Stage]:
    """Describe the chain's segments and heads, receptive fields measured."""
    frame = torch.randint(0, 256, (1, *network.spec.size, 3), dtype=torch.uint8)
    state, first, stages = network.begin(frame), 0, []
    for point, head in chain:
        last, before = network.points.index(point), state
        for index in range(first, last + 1):
            state = network.advance(index, state)
        answer = network.read(last, state, head).logits
        macs = sum(piece.macs for piece in costs.segments[first : last + 1])
        stages.append(
            Stage(
                segment_macs=macs,
                head_macs=costs.heads[point][head].macs,
                segment_radius=_reach(network, before, first, last, None) if first else 0,
                head_radius=_reach(network, state, last, last, head),
                grid=(int(answer.shape[-2]), int(answer.shape[-1])),
            )
        )
        first = last + 1
    return stages


def _reach(network: MultiExitNetwork, state: State, first: int, last: int, head: str | None) -> int:
    """Disturb the middle of what a piece reads; the farthest change, in cells of its feature."""
    torch.manual_seed(0)
    height, width = state.feature.shape[-2:]
    farthest = 0
    for _ in range(3):
        disturbed = State(
            {name: _disturbed(value) for name, value in state.values.items()},
            _disturbed(state.feature),
        )
        before, after = (_run(network, s, first, last, head) for s in (state, disturbed))
        changed = ((before - after).abs().amax(dim=(0, 1)) > 0).nonzero().double()
        if len(changed):
            scale = torch.tensor([height / before.shape[-2], width / before.shape[-1]])
            middle = torch.tensor([height // 2, width // 2]).double()
            away = (changed * scale - middle).abs().amax()
            farthest = max(farthest, int(torch.ceil(away)))
    return farthest


def _run(network: MultiExitNetwork, state: State, first: int, last: int, head: str | None) -> Any:
    if head is not None:
        return network.read(last, state, head).logits
    for index in range(first, last + 1):
        state = network.advance(index, state)
    return state.feature


def _disturbed(value: torch.Tensor) -> torch.Tensor:
    """Change the middle cell of a map in every channel."""
    other = value.clone()
    row, column = value.shape[-2] // 2, value.shape[-1] // 2
    other[..., row, column] += 10 * torch.randn_like(other[..., row, column]).abs() + 1
    return other


if __name__ == "__main__":
    main()
