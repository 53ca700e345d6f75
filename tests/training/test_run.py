"""The run folder: what it takes to begin, open, resume and load one."""

from pathlib import Path

import pytest
import torch

from offramp.core.errors import BadInput, UnknownName
from offramp.data.dataset import Dataset
from offramp.models.network import MultiExitNetwork
from offramp.training.recipe import Recipe
from offramp.training.run import Run, load_weights, save_weights


def changed(recipe: Recipe, **keys: object) -> Recipe:
    return recipe.model_copy(update=keys)


def test_a_run_is_opened_as_it_was_left(run: Run) -> None:
    again = Run.open(run.folder)
    assert again.state == run.state
    assert again.recipe == run.recipe
    assert again.dataset.spec == run.dataset.spec
    assert set(run.state.miou) == {
        *(f"{p}/{h}" for p, heads in run.state.exits.items() for h in heads),
        "end/own",
    }


def test_a_loaded_network_is_in_eval_mode_and_always_the_same(
    run: Run, network: MultiExitNetwork
) -> None:
    again = run.load_network()
    assert not any(module.training for module in again.modules())
    ours, theirs = network.state_dict(), again.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_folder_that_is_no_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is not a run.*offramp train"):
        Run.open(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"colour": 1}', "null"])
def test_a_state_that_is_none_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadInput, match=r"run\.json"):
        Run.open(tmp_path)


def test_a_second_run_in_a_folder_is_refused(run: Run, recipe: Recipe, dataset: Dataset) -> None:
    with pytest.raises(BadInput, match="already holds a run; go on with it by --resume"):
        Run.create(run.folder, "fastscnn", recipe, dataset)


def test_resuming_takes_the_same_arguments_only(run: Run, recipe: Recipe, dataset: Dataset) -> None:
    assert Run.resume(run.folder, "fastscnn", recipe, dataset).state == run.state
    with pytest.raises(BadInput, match="begun with another"):
        Run.resume(run.folder, "fastscnn", changed(recipe, seed=9), dataset)


def test_resuming_nothing_begins(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    assert Run.resume(tmp_path / "run", "fastscnn", recipe, dataset).state.done == ()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"exits": {"points": ("sten",), "heads": "light"}}, "did you mean 'stem'"),
        ({"knobs": {"widht": 0.5}}, "did you mean 'width'"),
        ({"knobs": {"width": 0.01}}, "cannot be that small"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_written(
    tmp_path: Path, recipe: Recipe, dataset: Dataset, keys: dict[str, object], says: str
) -> None:
    told = Recipe.parse({**recipe.model_dump(), **keys}, "the recipe")
    with pytest.raises(BadInput, match=says):
        Run.create(tmp_path / "run", "fastscnn", told, dataset)
    assert not (tmp_path / "run").exists()


def test_an_unknown_model_is_refused(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    with pytest.raises(UnknownName, match="did you mean 'fastscnn'"):
        Run.create(tmp_path / "run", "fastscn", recipe, dataset)


def test_an_unfinished_run_has_no_network(tmp_path: Path, recipe: Recipe, dataset: Dataset) -> None:
    run = Run.create(tmp_path / "run", "fastscnn", recipe, dataset)
    with pytest.raises(BadInput, match=r"not trained to its end; got finished: nothing.*--resume"):
        run.load_network()


def test_another_run_s_stage_1_is_taken_bit_for_bit(
    tmp_path: Path, run: Run, recipe: Recipe, dataset: Dataset
) -> None:
    told = changed(recipe, exits=recipe.exits.model_copy(update={"points": ("bottleneck1",)}))
    other = Run.create(tmp_path / "run", "fastscnn", told, dataset)
    other.take_stage1(run)
    assert other.state.done == ("stage1",)
    ours, theirs = other.plain_network(), run.plain_network()
    load_weights(ours, other.folder / "stage1.safetensors")
    load_weights(theirs, run.folder / "stage1.safetensors")
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    assert torch.equal(ends(ours, image), ends(theirs, image))


@torch.no_grad()
def ends(network: MultiExitNetwork, image: torch.Tensor) -> torch.Tensor:
    state = network.eval().begin(image)
    for index in range(len(network.points)):
        state = network.advance(index, state)
    return state.feature


def test_another_network_s_stage_1_is_refused(
    tmp_path: Path, run: Run, recipe: Recipe, dataset: Dataset
) -> None:
    told = changed(recipe, knobs={"width": 0.5})
    other = Run.create(tmp_path / "run", "fastscnn", told, dataset)
    with pytest.raises(BadInput, match="trained another network"):
        other.take_stage1(run)


def test_weights_that_are_absent_or_none_are_refused_by_name(
    tmp_path: Path, network: MultiExitNetwork
) -> None:
    with pytest.raises(BadInput, match=r"a\.safetensors do not exist"):
        load_weights(network, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match=r"b\.safetensors do not fit fastscnn"):
        load_weights(network, tmp_path / "b.safetensors")


def test_weights_of_other_heads_are_refused(tmp_path: Path, network: MultiExitNetwork) -> None:
    save_weights(network, tmp_path / "a.safetensors")
    with pytest.raises(BadInput, match=r"a\.safetensors do not fit"):
        load_weights(network.with_heads({}), tmp_path / "a.safetensors")


def test_the_frames_of_a_run_are_its_calibration_images(run: Run) -> None:
    frames = run.frames(4)
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 3 + [(80, 120, 3)]
