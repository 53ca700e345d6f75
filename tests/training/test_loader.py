"""What training sees: image and mask together, the same in every run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.data.dataset import Dataset
from offramp.training.augment import NONE, SETS, Augment
from offramp.training.loader import LabelledImages, train_loader, val_loader
from tests.tiny import write_dataset, write_pair

SIZE = (32, 48)
STILL = Augment(brightness=0, contrast=0, rgb_shift=0)


def loaded(data: Dataset, augment: Augment | None = None, seed: int = 0) -> LabelledImages:
    return LabelledImages(data, "train", SIZE, augment or Augment(), seed)


def test_pairs_come_in_the_network_s_size_and_kind(dataset: Dataset) -> None:
    for augment in (None, Augment()):
        image, labels = LabelledImages(dataset, "calib", SIZE, augment, 0)[3]
        assert (image.shape, image.dtype) == ((*SIZE, 3), torch.uint8)
        assert (labels.shape, labels.dtype) == (SIZE, torch.int64)


def test_an_image_s_fate_depends_on_seed_epoch_and_index_alone(dataset: Dataset) -> None:
    one, other = loaded(dataset), loaded(dataset)
    _ = [other[i] for i in range(12)]
    torch.manual_seed(99)
    assert torch.equal(one[3][0], other[3][0])
    other.epoch = 1
    assert not torch.equal(one[3][0], other[3][0])
    assert not torch.equal(one[3][0], loaded(dataset, seed=1)[3][0])


def test_drawing_leaves_the_global_random_numbers_alone(dataset: Dataset) -> None:
    state = torch.random.get_rng_state()
    _ = loaded(dataset)[0]
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.fixture
def painted(tmp_path: Path, rng: np.random.Generator) -> Dataset:
    """Images whose colour is their mask: 100 times the class."""
    file = write_dataset(tmp_path, {"train": 4})
    for sample in Dataset.open(file).samples("train"):
        sample.image.unlink()
        mask = np.repeat(np.repeat(rng.integers(0, 3, (4, 6), dtype=np.uint8), 16, 0), 16, 1)
        image = np.repeat((mask * 100)[..., None], 3, axis=2)
        write_pair(tmp_path, "train", sample.image.stem, image, mask)
    return Dataset.open(file)


def test_image_and_mask_move_together(painted: Dataset) -> None:
    images = loaded(painted, STILL)
    for epoch in range(5):
        images.epoch = epoch
        for index in range(len(images)):
            image, labels = images[index]
            seen = (image[..., 0].float() / 100).round()
            assert (seen == labels).float().mean() > 0.8


def test_flipping_happens_and_can_be_forbidden(painted: Dataset) -> None:
    whole = Augment(scale=(1, 1), brightness=0, contrast=0, rgb_shift=0)
    for flip in (True, False):
        images = loaded(painted, whole.model_copy(update={"flip": flip}))
        first = []
        for epoch in range(12):
            images.epoch = epoch
            first.append(images[0][1])
        mirrored = [torch.equal(labels, first[0].flip(1)) for labels in first]
        assert any(mirrored) == flip


def test_colours_change_and_labels_do_not(dataset: Dataset) -> None:
    plain = Augment(scale=(1, 1), flip=False, brightness=0, contrast=0, rgb_shift=0)
    strong = plain.model_copy(update={"brightness": 0.5, "rgb_shift": 40})
    before, after = loaded(dataset, plain)[0], loaded(dataset, strong)[0]
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_every_epoch_shows_every_image_in_an_order_of_its_own(dataset: Dataset) -> None:
    images = loaded(dataset)
    sampler = train_loader(images, 4, 0).sampler
    orders = []
    for epoch in (0, 1, 0):
        images.epoch = epoch
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert all(sorted(order) == list(range(12)) for order in orders)


@pytest.mark.parametrize(("batch", "sizes"), [(4, [4, 4, 4]), (5, [5, 5, 2]), (11, [11])])
def test_a_last_batch_of_one_is_left_out_and_no_other(
    dataset: Dataset, batch: int, sizes: list[int]
) -> None:
    assert [len(images) for images, _ in train_loader(loaded(dataset), batch, 0)] == sizes


def test_validation_sees_all_images_in_order(dataset: Dataset) -> None:
    images = LabelledImages(dataset, "val", SIZE, None, 0)
    shown = torch.cat([labels for _, labels in val_loader(images, 4, 0)])
    assert torch.equal(shown, torch.stack([images[i][1] for i in range(6)]))


def test_class_pixels_are_counted_before_augmentation(painted: Dataset) -> None:
    masks = np.concatenate([mask.ravel() for _, mask in painted.pairs("train")])
    assert loaded(painted).class_pixels() == np.bincount(masks, minlength=3).tolist()


def test_what_turns_and_shifts_moves_image_and_mask_together(painted: Dataset) -> None:
    turned = loaded(painted, STILL.model_copy(update={"rotate": 20.0, "shift": 0.2}))
    ignored = agreeing = counted = 0
    for epoch in range(5):
        turned.epoch = epoch
        for index in range(4):
            image, labels = turned[index]
            seen = labels != 255
            ignored += int((~seen).sum())
            wanted = 100 * labels[seen]
            close = (image[seen].to(torch.int64) - wanted[:, None]).abs().amax(1) < 30
            agreeing, counted = agreeing + int(close.sum()), counted + int(seen.sum())
    assert ignored > 0  # what came into view counts nowhere
    assert agreeing > 0.8 * counted  # but for the edges, which are interpolated


def test_neither_turn_nor_shift_leaves_all_as_it_was(painted: Dataset) -> None:
    plain = loaded(painted, STILL)
    told = loaded(painted, STILL.model_copy(update={"rotate": 0.0, "shift": 0.0}))
    assert torch.equal(plain[0][0], told[0][0])
    assert not (plain[0][1] == 255).any()


def shown(images: LabelledImages, epochs: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw every image of some epochs."""
    drawn = []
    for epoch in range(epochs):
        images.epoch = epoch
        drawn += [tuple(t.numpy() for t in images[index]) for index in range(len(images))]
    return drawn


def test_no_augmentation_shows_what_validation_sees(dataset: Dataset) -> None:
    told, plain = loaded(dataset, NONE), LabelledImages(dataset, "train", SIZE, None, 0)
    for index in range(3):
        assert all(torch.equal(a, b) for a, b in zip(told[index], plain[index], strict=True))


def test_a_zoom_to_twice_the_size_shows_a_window_of_it(painted: Dataset) -> None:
    images = loaded(painted, NONE.model_copy(update={"zoom": (2.0, 2.0)}))
    sources = [painted.read(sample) for sample in painted.samples("train")]
    places = set()
    for number, (image, labels) in enumerate(shown(images, 4)):
        whole, mask = sources[number % 4]  # 64x96, which is twice SIZE
        windows = np.lib.stride_tricks.sliding_window_view(mask, SIZE)
        found = np.argwhere((windows == labels).all((2, 3)))
        assert len(found)
        top, left = found[0]
        assert np.array_equal(image, whole[top : top + SIZE[0], left : left + SIZE[1]])
        places.add((top, left))
    assert len(places) > 8


def test_a_zoom_to_half_the_size_leaves_the_rest_grey_and_uncounted(painted: Dataset) -> None:
    images = loaded(painted, NONE.model_copy(update={"zoom": (0.5, 0.5)}))
    masks = [painted.read(sample)[1][::4, ::4] for sample in painted.samples("train")]
    places = set()
    for number, (image, labels) in enumerate(shown(images, 4)):
        rows, columns = np.nonzero(labels != 255)
        top, left = rows.min(), columns.min()
        inner = labels[top : top + 16, left : left + 24]
        assert np.array_equal(inner, masks[number % 4])
        assert len(rows) == 16 * 24
        assert (image[labels == 255] == 128).all()
        places.add((top, left))
    assert len(places) > 8


def test_zoom_factors_fill_their_range(painted: Dataset) -> None:
    images = loaded(painted, NONE.model_copy(update={"zoom": (0.5, 1.0)}))
    sides = [(labels != 255).any(1).sum() / SIZE[0] for _, labels in shown(images, 30)]
    assert min(sides) >= 0.5
    assert min(sides) < 0.55
    assert max(sides) > 0.95
    assert np.mean(sides) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("name", SETS)
def test_each_set_moves_image_and_mask_together(painted: Dataset, name: str) -> None:
    for image, labels in shown(loaded(painted, SETS[name]), 5):
        assert (image.shape, image.dtype) == ((*SIZE, 3), np.uint8)
        counts = labels != 255
        seen = (image.mean(2) / 100).round()
        assert (seen == labels)[counts].mean() > 0.8


def test_chances_are_the_shares_of_images_that_change(painted: Dataset) -> None:
    moving = {"rotate": 90.0, "move_chance": 0.25}
    moved = shown(loaded(painted, NONE.model_copy(update=moving)), 50)
    assert np.mean([(labels == 255).any() for _, labels in moved]) == pytest.approx(0.25, abs=0.08)
    tinted = shown(loaded(painted, NONE.model_copy(update={"rgb_shift": 60.0})), 50)
    spared = {"rgb_shift": 60.0, "colour_chance": 0.25}
    sometimes = shown(loaded(painted, NONE.model_copy(update=spared)), 50)
    still = shown(loaded(painted, NONE), 1)
    for drawn, share in ((tinted, 1.0), (sometimes, 0.25)):
        changed = [not np.array_equal(x, still[n % 4][0]) for n, (x, _) in enumerate(drawn)]
        assert np.mean(changed) == pytest.approx(share, abs=0.08)
