"""Every shipped recipe runs as its own comment says: two steps of each stage, on its own layout.

Its network, exits, heads, schemes, losses, optimisers and augmentation are as written; what is
changed is listed in `settings`.
"""

import json
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from offramp.core.head import FULL, LIGHT
from offramp.data.dataset import Dataset
from offramp.data.readers.coco import OF_VOC
from offramp.data.synthetic.write import make_factory, make_packages
from offramp.training.recipe import Recipe, load_recipe
from offramp.training.run import Run, load_weights
from offramp.training.train import train
from tests.data.readers.album import SIZE
from tests.data.readers.test_coco import annotation, runs, write_coco
from tests.data.readers.test_mnist import write_mnist
from tests.data.readers.test_photographs import write_voc
from tests.data.readers.test_street import write_cityscapes

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
SLOW = ("cityscapes_hrnet", "coco_drn50", "voc_drn50")
STEPS = 2

LIKE = {"coco_drn50": ("voc_drn50", "r8-b0-fcn")}
"""Recipes with the exits and heads of another, which trains them all: one head does here."""


def write_factory(to: Path) -> Path:
    return make_factory(to, images={"train": 4, "val": 2}, width=160, height=96, clip_frames=0)


def write_packages(to: Path) -> Path:
    return make_packages(to, images={"train": 4, "val": 2}, width=160, height=96)


def counted(labels: int) -> np.ndarray:
    """A mask in which the labels 0, 1, 2, … follow each other, so that each occurs."""
    return np.arange(SIZE[0] * SIZE[1], dtype=np.uint8).reshape(SIZE) % labels


def write_whole_coco(to: Path) -> Path:
    """COCO with each of VOC's classes in every image."""
    write_coco(to)
    for file in (to / "annotations").glob("*.json"):
        value = json.loads(file.read_text())
        value["annotations"] = [
            annotation(entry["id"], category, {"counts": runs(counted(21) == label), "size": SIZE})
            for entry in value["images"]
            for label, category in enumerate(OF_VOC, start=1)
        ]
        file.write_text(json.dumps(value))
    return to


CASES: Mapping[str, tuple[Callable[[Path], Path], int, str]] = {
    "factory": (write_factory, 4, "96x64"),
    "packages": (write_packages, 2, "96x64"),
    "mnist": (write_mnist, 10, "28x28"),
    "cityscapes": (lambda to: write_cityscapes(to, counted(34)), 19, "64x32"),
    "voc": (lambda to: write_voc(to, counted(21)), 21, "64x64"),
    "coco": (write_whole_coco, 21, "64x64"),
}
"""By the first word of a recipe's name: what writes its data set, its classes, and a size."""


def command(file: Path) -> dict[str, str]:
    """Read the options of the command in a recipe's comment."""
    (line,) = (
        line.removeprefix("# offramp train ")
        for line in file.read_text().splitlines()
        if line.startswith("# offramp train ")
    )
    words = shlex.split(line)
    return dict(zip(words[::2], words[1::2], strict=True))


def settings(name: str, recipe: Recipe, images: int, size: str) -> list[str]:
    """List what is changed: the size, how long it takes, what a machine may lack, and `LIKE`."""
    stages = ["stage1"] if recipe.stage2 is None else ["stage1", "stage2"]
    batch = -(-images // STEPS)
    heads = [f"exits.heads=[{LIKE[name][1]}]"] if name in LIKE else []
    return [
        f"size={size}",
        "weights=null",  # which may come from the network
        "workers=0",
        *heads,
        *(f"{stage}.{key}" for stage in stages for key in ("epochs=1", f"batch={batch}")),
    ]


def steps_of(run: Run, stage: str) -> int:
    """Read from Lightning's checkpoint how often a stage's optimiser stepped."""
    saved = torch.load(run.folder / f"checkpoints/{stage}.ckpt", weights_only=False)
    return int(saved["global_step"])


def changed(before: nn.Module, after: Mapping[str, Tensor], kind: str) -> list[bool]:
    """Tell of each of a network's "segments" or "heads" whether its parameters have changed."""
    found: dict[str, bool] = {}
    for name, parameter in before.named_parameters():
        if name.startswith(kind):
            part = ".".join(name.split(".")[: 2 if kind == "segments" else 3])
            found[part] = found.get(part, False) or not torch.equal(parameter, after[name])
    assert found
    return list(found.values())


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_s_command_names_it_and_nothing_else_is_needed(file: Path) -> None:
    told = command(file)
    assert told["--recipe"] == f"recipes/{file.name}"
    assert list(told) == ["--data", "--model", "--recipe", "--out"]


@pytest.mark.parametrize(("name", "other"), [(name, other) for name, (other, _) in LIKE.items()])
def test_a_recipe_of_which_one_head_is_trained_has_the_exits_of_another(
    name: str, other: str
) -> None:
    ours, theirs = (load_recipe(RECIPES[0].with_name(f"{one}.yaml")) for one in (name, other))
    assert ours.exits == theirs.exits
    assert LIKE[name][1] in ours.exits.heads
    models = {command(RECIPES[0].with_name(f"{one}.yaml"))["--model"] for one in (name, other)}
    assert len(models) == 1


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=file.stem, marks=[pytest.mark.slow] * (file.stem in SLOW))
        for file in RECIPES
    ],
)
def test_a_recipe_takes_two_steps_of_each_stage(file: Path, tmp_path: Path) -> None:
    write, classes, size = CASES[file.stem.split("_")[0]]
    write(tmp_path / "data")
    data = Dataset.open(tmp_path / "data")
    assert len(data.names) == classes
    told = settings(file.stem, load_recipe(file), len(data.samples("train")), size)
    recipe = load_recipe(file, told)
    run = Run.create(tmp_path / "run", command(file)["--model"], recipe, data)
    plain = run.plain_network()
    train(run)

    assert run.state.done == ("stage1", "stage2")
    named = {"light": LIGHT, "full": FULL}.get(str(recipe.exits.heads), recipe.exits.heads)
    assert len(run.state.miou) == len(run.exits) * len(named) + 1  # and the network's own
    assert all(0 <= miou <= 1 for miou in run.state.miou.values())
    assert steps_of(run, "stage1") == STEPS
    end = load_file(run.folder / "weights.safetensors")
    assert all(changed(plain, end, "segments"))
    if recipe.stage2 is None:
        assert all(changed(plain, end, "heads"))
    else:
        assert steps_of(run, "stage2") == STEPS
        stage1 = load_file(run.folder / "stage1.safetensors")
        assert all(changed(plain, stage1, "segments"))
        assert sum(changed(plain, stage1, "heads")) == STEPS  # one head a step
        load_weights(plain, run.folder / "stage1.safetensors")
        assert not any(changed(plain, end, "segments"))
        torch.manual_seed(recipe.seed + 1)
        assert all(changed(plain.with_heads(run.exits), end, "heads"))
    shutil.rmtree(tmp_path / "run")  # some are gigabytes
