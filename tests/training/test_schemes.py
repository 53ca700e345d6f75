"""Every scheme, optimiser and schedule trains; what they compute is checked by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from offramp.core.errors import BadInput
from offramp.data.dataset import Dataset
from offramp.training.optimiser import optimiser, share
from offramp.training.recipe import Distillation, Pretraining, Recipe, load_recipe
from offramp.training.run import Run
from offramp.training.train import train

SHORT = {"epochs": 1, "batch": 4}


def trained(folder: Path, data: Dataset, recipe: Recipe, **changes: Any) -> Run:
    told = Recipe.parse(recipe.model_dump() | changes, "a test")
    return train(Run.create(folder, "fastscnn", told, data))


CHANGES: dict[str, dict[str, Any]] = {
    "plain, then ce": {"stage1": SHORT | {"scheme": "plain"}, "stage2": SHORT | {"loss": "ce"}},
    "literal, then kd": {
        "stage1": SHORT | {"scheme": "exit-aware-literal", "optimizer": "sgd", "lr": 0.05},
        "stage2": SHORT | {"loss": "kd", "divergence": "teacher"},
    },
    "self-distillation": {
        "stage1": SHORT | {"optimizer": "adam", "schedule": "cosine", "clip": 1.0},
        "stage2": SHORT | {"loss": "self-distillation", "schedule": "constant"},
    },
    "accumulated": {
        "stage1": {"epochs": 1, "batch": 2, "accumulate": 4},
        "stage2": {"epochs": 1, "batch": 2, "accumulate": 4, "clip": 0.5},
    },
    "bfloat16": {"stage1": SHORT, "stage2": SHORT, "precision": "bf16-mixed"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_comes_to_its_end(
    name: str, tmp_path: Path, dataset: Dataset, recipe: Recipe
) -> None:
    run = trained(tmp_path / "run", dataset, recipe, **CHANGES[name])
    assert run.state.done == ("stage1", "stage2")
    assert len(run.state.miou) == 7
    assert all(torch.isfinite(p).all() for p in run.load_network().parameters())


def test_without_stage_2_the_heads_are_those_of_stage_1(
    tmp_path: Path, dataset: Dataset, recipe: Recipe
) -> None:
    stage1 = SHORT | {"scheme": "end-to-end", "exit_weights": (0.4, 0.3, 0.2, 0.1)}
    changes = {"stage1": stage1, "stage2": None}
    light = recipe.exits.model_copy(update={"heads": "light"}).model_dump()
    run = trained(tmp_path / "plain", dataset, recipe, **changes, exits=light)
    assert set(run.state.exits.values()) == {("r1-b0-fcn",)}
    named = recipe.exits.model_copy(update={"heads": ("r4-b1-fcn",)}).model_dump()
    run = trained(tmp_path / "named", dataset, recipe, **changes, exits=named)
    assert set(run.state.exits.values()) == {("r4-b1-fcn",)}
    assert set(run.state.miou) == {
        *(f"{point}/r4-b1-fcn" for point in run.state.exits), "end/own"
    }  # fmt: skip
    assert run.load_network().head_names("stem") == ("r4-b1-fcn",)


def test_a_run_without_stage_2_neither_gives_nor_takes_stage_1(
    tmp_path: Path, dataset: Dataset, recipe: Recipe, run: Run
) -> None:
    alone = recipe.model_copy(update={"stage2": None})
    other = Run.create(tmp_path / "other", "fastscnn", alone, dataset)
    with pytest.raises(BadInput, match="other has no stage 2"):
        other.take_stage1(run)
    assert other.state.done == ()


def test_patience_ends_a_stage_early(tmp_path: Path, dataset: Dataset, recipe: Recipe) -> None:
    stage1 = {"epochs": 30, "batch": 4, "patience": 1, "lr": 1e-9}
    run = trained(tmp_path / "run", dataset, recipe, stage1=stage1, stage2=None)
    epochs = (run.folder / "log" / "stage1" / "metrics.csv").read_text().count("\n") // 2
    assert 2 <= epochs < 30


def test_exit_weights_that_do_not_fit_are_refused(
    tmp_path: Path, dataset: Dataset, recipe: Recipe
) -> None:
    for weights in ((1.0, 1.0), (0.0, 0.0, 0.0, 0.0)):
        stage1 = recipe.stage1.model_copy(update={"exit_weights": weights})
        told = recipe.model_copy(update={"stage1": stage1})
        with pytest.raises(BadInput, match="4 weights, for stem, bottleneck1, bottleneck2, end"):
            Run.create(tmp_path / "run", "fastscnn", told, dataset)
    assert not (tmp_path / "run").exists()


def test_a_stage_that_is_null_can_be_told_on_the_command_line() -> None:
    assert load_recipe(None, ["stage2=null"]).stage2 is None
    with pytest.raises(BadInput, match="scheme"):
        load_recipe(None, ["stage1.scheme=endtoend"])


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("polynomial", [1.0, 0.75**0.9, 0.5**0.9, 0.25**0.9, 0.0]),
        ("cosine", [1.0, 0.853553, 0.5, 0.146447, 0.0]),
        ("constant", [1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_learning_rate_falls_as_told(schedule: Any, shares: list[float]) -> None:
    how = Pretraining(schedule=schedule, lr=0.5)
    assert [share(how, step, 4) for step in range(5)] == pytest.approx(shares, abs=1e-6)
    made, falling = optimiser([nn.Parameter(torch.ones(1))], how, 4)
    seen = []
    for _ in range(4):
        seen.append(made.param_groups[0]["lr"])
        made.step()
        falling.step()
    assert seen == pytest.approx([0.5 * value for value in shares[:4]], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_the_optimiser_is_the_one_that_was_asked_for(name: Any, kind: type) -> None:
    made, _ = optimiser([nn.Parameter(torch.ones(1))], Distillation(optimizer=name), 4)
    assert type(made) is kind
    assert made.defaults["weight_decay"] == 1e-4
    assert made.defaults.get("momentum", 0.9) == 0.9
