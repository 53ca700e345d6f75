"""Stage 2 at its real size: 56 heads at every position in one run, against one head at a time.

    python benchmarks/stage2.py [--model NAME] [--size WxH] [--batch N] [--heads full|plain]

Times one training step of all candidate heads on an untrained network, and the memory that the
process takes for it. One by one, each head would need the frozen backbone for itself: once a
batch to its end, where the teacher answers. From stored features no step needs it; what they
need is to be read. A head learns the same in all three.
"""

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from machine import save

from offramp.core.head import FULL, HeadSpec
from offramp.core.model import ModelSpec, parse_size
from offramp.models.blocks import usual_exits
from offramp.models.network import build_network
from offramp.training.memory import needed_bytes
from offramp.training.optimiser import optimiser
from offramp.training.recipe import Distillation
from offramp.training.stages import Stage2

HEADS = {"full": FULL, "plain": (HeadSpec.parse("r4-b0-fcn"),)}
POINTS = {
    "fastscnn": ("stem", "bottleneck1", "bottleneck2", "bottleneck3", "fusion"),
}


def main() -> None:
    """Time one network, and add it to the results."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="fastscnn")
    arguments.add_argument("--size", default="320x192")
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--steps", type=int, default=3)
    arguments.add_argument("--heads", choices=sorted(HEADS), default="full")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    torch.manual_seed(0)
    names = tuple("abcd")
    spec = ModelSpec(name=told.model, names=names, size=parse_size(told.size), knobs={})
    points = POINTS.get(told.model) or usual_exits(spec)
    stage = Stage2(
        build_network(spec, dict.fromkeys(points, HEADS[told.heads])), Distillation(), None
    )
    stage.train()
    images = torch.randint(0, 256, (told.batch, *spec.size, 3), dtype=torch.uint8)
    labels = torch.randint(0, len(names), (told.batch, *spec.size))
    before = _peak_bytes()
    rounds = [_round(stage, images, labels) for _ in range(told.steps)]
    walk, read, heads = (np.median([r[i] for r in rounds]) for i in range(3))
    count = len(HEADS[told.heads]) * len(points)
    result = {
        "model": told.model,
        "size": told.size,
        "batch": told.batch,
        "positions": points,
        "heads": count,
        "of": told.heads,
        "threads": torch.get_num_threads(),
        "backbone_s": walk,
        "heads_s": heads,
        "read_stored_s": read,
        "together_s": walk + heads,
        "one_by_one_s": count * walk + heads,
        "stored_s": read + heads,
        "saving_together": (count * walk + heads) / (walk + heads),
        "saving_stored": (walk + heads) / (read + heads),
        "memory_growth_bytes": _peak_bytes() - before,
        "memory_estimate_bytes": needed_bytes(stage, told.batch),
    }
    print(result)
    save(told.out / f"stage2_{told.model}_{told.size}_{told.heads}.json", result)


def _round(stage: Stage2, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, ...]:
    """Time the backbone, reading its features from a file, and a step of all heads."""
    start = time.perf_counter()
    features = stage.walk(images)
    walked = time.perf_counter() - start
    read = _read_seconds(features)
    optimizer, _ = optimiser(stage.trained(), stage.how, 1)
    start = time.perf_counter()
    for loss in stage.losses(features, stage.thinned(labels), 0):
        loss.backward()
    optimizer.step()
    return walked, read, time.perf_counter() - start


def _read_seconds(features: list[torch.Tensor]) -> float:
    """Time the reading of a batch's features by memory mapping, as `Features` does."""
    spent = 0.0
    with TemporaryDirectory() as folder:
        for feature in features:
            file: Any = Path(folder) / "feature.npy"
            np.save(file, feature.numpy())
            start = time.perf_counter()
            mapped = np.load(file, mmap_mode="r")
            torch.stack([torch.from_numpy(row.copy()) for row in mapped])
            spent += time.perf_counter() - start
    return spent


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
