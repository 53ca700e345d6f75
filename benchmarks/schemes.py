"""MESS tables 5 and 6 in small: which training gives the best early exits?

    python benchmarks/schemes.py DATA --work FOLDER

Trains one network per scheme and seed, all with the same plain FCN head at the same points, and
compares every exit on calib, which no training saw. Table 5: end to end; a plain backbone, then
frozen; exit-aware pre-training, then frozen (cross-entropy in both). Table 6: on the exit-aware
backbone, the heads' losses: cross-entropy, distillation, self-distillation, positive filtering.
Finished runs in FOLDER are kept, so an interrupted benchmark goes on.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from machine import save

from offramp.cli.console import track
from offramp.data.dataset import Dataset
from offramp.evaluation import record
from offramp.training.recipe import Distillation, Exits, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.train import train

HEAD = "r1-b0-fcn"
EXITS = {"fastscnn": ("stem", "bottleneck1", "bottleneck2")}


def main() -> None:
    """Train all, evaluate all, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--model", default="fastscnn")
    arguments.add_argument("--size", default="160x96")
    arguments.add_argument("--epochs", type=int, default=12)
    arguments.add_argument("--head-epochs", type=int, default=4)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    data = Dataset.open(told.data)
    base = Recipe(
        size=told.size,
        exits=Exits(points=EXITS.get(told.model), heads=(HEAD,)),
        stage1=Pretraining(epochs=told.epochs),
        stage2=Distillation(epochs=told.head_epochs, loss="ce"),
    )
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(told.seeds):
        for name, run in _trained(told.work / str(seed), told.model, base, data, seed).items():
            found.setdefault(name, []).append(_mious(run, data))
            print(seed, name, {k: round(100 * v, 2) for k, v in found[name][-1].items()})
    save(
        told.out / "schemes.json",
        {
            "model": told.model,
            "recipe": base.model_dump(mode="json"),
            "split": "calib",
            "seeds": told.seeds,
            "miou": {name: _summary(runs) for name, runs in found.items()},
        },
    )


def _trained(folder: Path, model: str, base: Recipe, data: Dataset, seed: int) -> dict[str, Run]:
    """Train every scheme with one seed."""
    runs: dict[str, Run] = {}

    def one(name: str, stage1_of: Run | None = None, **changes: Any) -> None:
        recipe = base.model_copy(update={"seed": seed, **changes})
        run = Run.resume(folder / name, model, recipe, data)
        if stage1_of is not None and not run.state.done:
            run.take_stage1(stage1_of)
        runs[name] = train(run, track)

    def stage1(scheme: str) -> Pretraining:
        return Pretraining.parse(base.stage1.model_dump() | {"scheme": scheme}, "the benchmark")

    def stage2(**how: Any) -> Distillation:
        assert base.stage2 is not None
        return base.stage2.model_copy(update=how)

    one("end-to-end", stage1=stage1("end-to-end"), stage2=None)
    one("plain + frozen", stage1=stage1("plain"))
    one("exit-aware + frozen", stage1=stage1("exit-aware"))
    aware = runs["exit-aware + frozen"]
    one("kd", aware, stage2=stage2(loss="kd"))
    for alpha in (0.5, 0.9):
        one(
            f"self-distillation {alpha}",
            aware,
            stage2=stage2(loss="self-distillation", alpha=alpha),
        )
        one(f"pfd {alpha}", aware, stage2=stage2(loss="pfd", alpha=alpha))
    one("pfd 0.5, KL(y_N|y_i)", aware, stage2=stage2(loss="pfd", alpha=0.5, divergence="teacher"))
    return runs


def _mious(run: Run, data: Dataset) -> dict[str, float]:
    """Evaluate every exit on calib."""
    trace = record(run.load_network(), data, "calib", track)
    return {point: trace.exit_miou(row) for row, (point, _) in enumerate(trace.exits)}


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Give mean and standard deviation over the seeds, and each seed's figures."""
    return {
        point: {
            "mean": float(np.mean([run[point] for run in runs])),
            "std": float(np.std([run[point] for run in runs], ddof=min(1, len(runs) - 1))),
            "seeds": [run[point] for run in runs],
        }
        for point in runs[0]
    }


if __name__ == "__main__":
    main()
