"""Recipes: strict YAML, and single keys changed."""

from pathlib import Path

import pytest

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import FULL, LIGHT, HeadSpec
from offramp.training.recipe import Recipe, load_recipe

SHIPPED = Path(__file__).parents[2] / "recipes"


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
    ("setting", "near"),
    [
        ("stage1.epoch=3", "epochs"),
        ("stage2.alhpa=0.5", "alpha"),
        ("agument.flip=false", "augment"),
        ("exits.heads=[r1-b0-fnc]", "r1-b0-fcn"),
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
