"""Recipes: strict YAML, and single keys changed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import FULL, LIGHT, HeadSpec
from offramp.training.augment import NONE, SETS, Augment
from offramp.training.recipe import Recipe, load_recipe

SHIPPED = Path(__file__).parents[2] / "recipes"


def _with(name: str, **changes: Any) -> dict[str, Any]:
    return SETS[name].model_dump() | changes


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.name)
def test_a_shipped_recipe_loads(file: Path) -> None:
    assert load_recipe(file).exits.specs()


def test_no_file_gives_the_defaults() -> None:
    assert load_recipe(None) == Recipe()
    assert Recipe().pixels == (192, 320)


def test_settings_change_single_keys(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("size: 96x64\nstage1: {epochs: 3}\n")
    recipe = load_recipe(file, ["stage1.batch=4", "knobs.width=0.5", "seed=7"])
    assert recipe.pixels == (64, 96)
    assert (recipe.stage1.epochs, recipe.stage1.batch) == (3, 4)
    assert (recipe.knobs, recipe.seed) == ({"width": 0.5}, 7)


def test_the_later_setting_wins() -> None:
    assert load_recipe(None, ["seed=1", "seed=2"]).seed == 2


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("# nothing yet\n")
    assert load_recipe(tmp_path / "recipe.yaml") == Recipe()


@pytest.mark.parametrize(
    ("told", "specs"),
    [
        ("light", LIGHT),
        ("full", FULL),
        ("r1-b0-fcn", (HeadSpec(),)),
        ("[r1-b0-fcn, r2-b1-dlb]", (HeadSpec(), HeadSpec(2, 1, False, "dlb"))),
    ],
)
def test_heads_are_told_by_set_or_by_name(told: str, specs: tuple[HeadSpec, ...]) -> None:
    assert load_recipe(None, [f"exits.heads={told}"]).exits.specs() == specs


@pytest.mark.parametrize(
    ("told", "augment"),
    [
        ([], Augment()),
        (["augment=none"], NONE),
        (["augment=mess"], SETS["mess"]),
        (["augment={set: iot}"], SETS["iot"]),
        (["augment={set: iot, flip: true}"], SETS["iot"].model_copy(update={"flip": True})),
        (["augment=hrnet", "augment.flip=false"], NONE.model_copy(update={"zoom": (0.5, 2.0)})),
        (["augment.flip=false", "augment=hrnet"], SETS["hrnet"]),
        (["augment={zoom: [1, 2]}"], Augment(scale=None, zoom=(1, 2))),
        (["augment={set: iot, zoom: [1, 2]}"], Augment(**_with("iot", scale=None, zoom=(1, 2)))),
        (["augment={set: mess, scale: [1, 1]}"], Augment(**_with("mess", zoom=None, scale=(1, 1)))),
        (["augment={set: mess, zoom: null}"], Augment(**_with("mess", zoom=None))),
    ],
    ids=lambda told: ", ".join(told) if isinstance(told, list) else "",
)
def test_augmentation_is_told_by_name_or_by_keys_or_by_both(
    told: list[str], augment: Augment
) -> None:
    assert load_recipe(None, told).augment == augment


@pytest.mark.parametrize("name", SETS)
def test_a_recipe_that_a_run_keeps_is_read_back(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(None, [f"augment={name}"])
    kept = tmp_path / "recipe.yaml"
    kept.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(kept) == recipe


@pytest.mark.parametrize(
    ("setting", "near"),
    [
        ("stage1.epoch=3", "epochs"),
        ("stage2.alhpa=0.5", "alpha"),
        ("agument.flip=false", "augment"),
        ("exits.heads=[r1-b0-fnc]", "r1-b0-fcn"),
        ("augment=hrnets", "hrnet"),
        ("augment={set: itot, flip: false}", "iot"),
        ("augment={set: iot, flop: false}", "flip"),
    ],
)
def test_an_unknown_key_is_offered_its_neighbour(setting: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{near}'"):
        load_recipe(None, [setting])


@pytest.mark.parametrize(
    "setting",
    [
        "stage1.epochs=0",
        "stage1.batch=1",
        "stage1.lr=0",
        "stage2.alpha=1.5",
        "stage2.loss_stride=0",
        "augment.scale=[0, 1]",
        "augment.scale=[0.9, 0.5]",
        "augment.zoom=[0, 1]",
        "augment.zoom=[2, 1]",
        "augment={scale: [0.5, 1], zoom: [0.5, 2]}",
        "augment.move_chance=1.5",
        "augment=3",
        "augment={set: [iot]}",
        "augment={set: }",
        "seed=-1",
        "size=10x10",
        "size=320",
        "exits.heads=[]",
        "exits.points=[]",
        "seed=[",
        "class_weights=some",
        "stage1.epochs",
        "=3",
        "seed.x=3",
    ],
)
def test_a_value_that_cannot_be_is_refused(setting: str) -> None:
    with pytest.raises(BadInput):
        load_recipe(None, ["seed=1", setting])


@pytest.mark.parametrize("content", [b"- a", b"a: [", b"\xff\xfe\x00\x01", b"3"])
def test_a_file_that_is_no_recipe_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(BadInput, match=r"recipe\.yaml"):
        load_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_an_absent_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="there is no recipe"):
        load_recipe(tmp_path / name)
