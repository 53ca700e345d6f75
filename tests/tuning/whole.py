"""Tiny studies: one that ran to its end, exits and all, made once; and what makes others fast."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from offramp.data.dataset import Dataset
from offramp.training.recipe import Distillation, Exits, Pretraining, Recipe
from offramp.tuning import exits, knobs, propose
from offramp.tuning.clock import summary
from offramp.tuning.desk import Desk
from offramp.tuning.evidence import Evidence
from offramp.tuning.knobs import Setting
from offramp.tuning.task import Task
from offramp.tuning.tune import tune
from tests.once import once

RECIPE = Recipe(
    size="96x64",
    knobs={"width": 0.25, "expansion": 2, "repetition": 1},
    exits=Exits(points=("stem", "bottleneck2"), heads=("r4-b0-fcn", "r4-b1-fcn")),
    stage1=Pretraining(epochs=2, batch=6),
    stage2=Distillation(epochs=1, batch=6),
)


def task(data: Dataset, out: Path) -> Task:
    """A task whose IoU nobody reaches."""
    return Task(
        data=data,
        model="fastscnn",
        out=out,
        level="entry",
        max_latency_ms=1000,
        min_iou=1,
        budget_s=10_000,
        recipe=RECIPE,
        exits=True,
        rounds=3,
    )


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Leave the baseline and half its size, and two losses: none, and all."""
    patch.setattr(knobs, "FRACTIONS", (1 / 2,))
    patch.setattr(knobs, "OPENS", {"entry": ("resolution",)})
    patch.setattr(exits, "LOSSES", (0.0, 1.0))


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Leave the baseline and half its size; nothing is exported and nothing timed."""
    patch.setattr(knobs, "FRACTIONS", (1 / 2,))
    patch.setattr(propose, "_evidence", _by_pixels)
    patch.setattr("offramp.tuning.tune.finish", lambda desk: desk.save(done=True))


def _by_pixels(desk: Desk, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Say that a candidate takes a millisecond for 1000 pixels."""
    return {
        id: (Evidence(9, 99, 0.1, 1.0), summary([s.size[0] * s.size[1] / 1000] * 3), "")
        for id, s in settings.items()
    }


def whole_study(factory: pytest.TempPathFactory, data: Dataset) -> Path:
    """Give the folder of the study; do not write into it."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            shrink(patch)
            tune(task(data, folder / "study"))

    return once(factory, "tuned", make) / "study"
