"""Stored features: what the backbone says, read from disk instead of computed again."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from offramp.core.errors import BadInput
from offramp.data.dataset import Dataset
from offramp.training.features import keep_features
from offramp.training.loader import LabelledImages, train_loader
from offramp.training.recipe import Recipe
from offramp.training.run import Run
from offramp.training.stages import Stage2
from offramp.training.train import train
from tests.training.test_train import Interrupt


@pytest.fixture
def stage(run: Run, recipe: Recipe) -> Stage2:
    """Stage 2 at its beginning, on the shared run's backbone."""
    assert recipe.stage2 is not None
    return Stage2(run.load_network(), recipe.stage2, None)


@pytest.fixture
def images(dataset: Dataset, recipe: Recipe) -> LabelledImages:
    """The training images, augmented."""
    return LabelledImages(dataset, "train", recipe.pixels, recipe.augment, 0)


def test_an_epoch_shows_what_the_backbone_says_of_its_view(
    tmp_path: Path, stage: Stage2, images: LabelledImages
) -> None:
    features = keep_features(tmp_path / "features", images, stage, 2)
    assert len(features) == len(images)
    for epoch in (0, 1, 2):
        features.epoch, images.epoch = epoch, epoch % 2
        tensors, labels = features[3]
        picture, truth = images[3]
        expected = stage.walk(picture[None])
        assert len(tensors) == len(expected) == len(stage.network.points)
        for tensor, other in zip(tensors, expected, strict=True):
            torch.testing.assert_close(tensor, other[0], rtol=0, atol=1e-5)
        assert torch.equal(labels, stage.thinned(truth[None])[0])


def test_heads_learn_from_stored_features_as_from_images(
    tmp_path: Path, stage: Stage2, images: LabelledImages
) -> None:
    features = keep_features(tmp_path / "features", images, stage, 1)
    stage.eval()  # dropout draws by memory layout, which a file does not keep
    images.epoch = 0
    batches = (next(iter(train_loader(source, 4, 0))) for source in (images, features))
    live, stored = (torch.stack(list(stage.losses(*batch, 0))) for batch in batches)
    torch.testing.assert_close(live, stored, rtol=0, atol=1e-5)


def test_a_run_with_views_comes_to_its_end_and_clears_its_files(tmp_path: Path, run: Run) -> None:
    stage2 = run.recipe.stage2
    assert stage2 is not None
    how = stage2.model_copy(update={"views": 2})
    recipe = run.recipe.model_copy(update={"stage2": how})
    other = Run.create(tmp_path / "run", "fastscnn", recipe, run.dataset)
    other.take_stage1(run)
    with pytest.raises(KeyboardInterrupt):
        train(other, Interrupt("stage2", 8))
    assert (other.folder / "features" / "labels.npy").is_file()
    train(other)
    assert other.state.done == ("stage1", "stage2")
    assert not list(other.folder.glob("features*"))
    before, after = (
        load_file(r.folder / name)
        for r, name in ((run, "stage1.safetensors"), (other, "weights.safetensors"))
    )
    shared = [name for name in before if name.startswith("segments.")]
    assert shared
    assert all(torch.equal(before[name], after[name]) for name in shared)


def test_what_was_interrupted_is_not_taken_for_whole(
    tmp_path: Path, stage: Stage2, images: LabelledImages
) -> None:
    with pytest.raises(KeyboardInterrupt):
        keep_features(tmp_path / "kept", images, stage, 1, Interrupt("running the backbone", 3))
    assert not (tmp_path / "kept").exists()
    features = keep_features(tmp_path / "kept", images, stage, 1)
    assert features[len(images) - 1][0][0].abs().sum() > 0


def test_features_that_are_there_are_not_made_again(
    tmp_path: Path, stage: Stage2, images: LabelledImages
) -> None:
    keep_features(tmp_path / "kept", images, stage, 1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    keep_features(tmp_path / "kept", images, stage, 1)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}


def test_a_full_disk_is_refused_before_anything_is_computed_twice(
    tmp_path: Path, stage: Stage2, images: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 1000))
    with pytest.raises(BadInput, match=r"do not fit on the disk.*stage2\.views"):
        keep_features(tmp_path / "kept", images, stage, 1)
