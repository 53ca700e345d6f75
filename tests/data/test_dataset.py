"""`dataset.yaml`, and what is read by it."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from offramp.core.errors import BadInput, DataFault, UnknownName
from offramp.data.dataset import Dataset
from tests.tiny import NAMES, SPLITS, write_dataset, write_pair


def write_yaml(folder: Path, **keys: object) -> Path:
    file = folder / "dataset.yaml"
    content = {"train": "images/train", "names": {0: "a", 1: "b"}, **keys}
    file.write_text(yaml.safe_dump(content))
    return file


def test_splits_names_and_samples_are_read(dataset: Dataset) -> None:
    assert dataset.splits == tuple(SPLITS)
    assert dataset.names == NAMES
    assert {split: len(dataset.samples(split)) for split in dataset.splits} == SPLITS


def test_a_folder_opens_like_its_file(dataset: Dataset) -> None:
    assert Dataset.open(dataset.root).spec == dataset.spec


def test_images_come_sorted_with_the_masks_that_mirror_them(dataset: Dataset) -> None:
    samples = dataset.samples("train")
    assert [sample.image.name for sample in samples] == [f"{n:03d}.jpg" for n in range(12)]
    assert samples[3].mask == dataset.root / "masks" / "train" / "003.png"


def test_subfolders_are_mirrored_too(tmp_path: Path) -> None:
    data = Dataset.open(write_yaml(tmp_path))
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    write_pair(tmp_path, "train/ramp", "a", picture, picture[..., 0])
    (sample,) = data.samples("train")
    assert sample.mask == tmp_path / "masks" / "train" / "ramp" / "a.png"


def test_a_path_that_holds_the_word_images_twice_changes_its_last(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    data = Dataset.open(write_yaml(root))
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    write_pair(root, "train", "a", picture, picture[..., 0])
    (sample,) = data.samples("train")
    assert sample.mask == root / "masks" / "train" / "a.png"


def test_files_that_are_no_images_are_passed_over(tmp_path: Path) -> None:
    data = Dataset.open(write_yaml(tmp_path))
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    write_pair(tmp_path, "train", "a", picture, picture[..., 0])
    (tmp_path / "images" / "train" / "Thumbs.db").write_bytes(b"x")
    assert len(data.samples("train")) == 1


def test_the_root_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    write_dataset(tmp_path / "far", {"train": 1})
    data = Dataset.open(write_yaml(tmp_path / "near", path="../far"))
    assert len(data.samples("train")) == 1


def test_remap_merges_classes_on_reading(tmp_path: Path) -> None:
    data = Dataset.open(write_yaml(tmp_path, remap={2: 1, 7: 255}))
    mask = np.array([[0, 1], [2, 7]], dtype=np.uint8)
    write_pair(tmp_path, "train", "a", np.zeros((2, 2, 3), dtype=np.uint8), mask)
    (pair,) = data.pairs("train")
    assert pair[1].tolist() == [[0, 1], [1, 255]]
    assert pair[1].dtype == np.uint8


def test_remap_swaps_without_chaining(tmp_path: Path) -> None:
    data = Dataset.open(write_yaml(tmp_path, remap={0: 1, 1: 0}))
    assert data.remapped(np.array([0, 1, 255], dtype=np.uint8)).tolist() == [1, 0, 255]


@pytest.mark.parametrize("remap", [{300: 1}, {1: 256}, {-1: 0}, {0: -2}])
def test_a_remap_outside_a_byte_is_refused(tmp_path: Path, remap: dict[int, int]) -> None:
    with pytest.raises(BadInput, match=r"dataset\.yaml: 'remap"):
        Dataset.open(write_yaml(tmp_path, remap=remap))


@pytest.mark.parametrize("colour", [[0, 0, 256], [-1, 0, 0], [1, 2]])
def test_a_colour_outside_a_byte_is_refused(tmp_path: Path, colour: list[int]) -> None:
    with pytest.raises(BadInput, match=r"dataset\.yaml: 'palette"):
        Dataset.open(write_yaml(tmp_path, palette={0: colour}))


def test_an_unknown_key_is_offered_its_neighbour(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"dataset\.yaml 'nams'.*did you mean 'names'"):
        Dataset.open(write_yaml(tmp_path, nams={0: "a"}))


def test_an_unknown_key_of_a_video_is_offered_a_key_of_videos(tmp_path: Path) -> None:
    videos = {"ramp": {"video": "a.mp4", "mask": "a.npz"}}
    with pytest.raises(UnknownName, match="did you mean 'masks'"):
        Dataset.open(write_yaml(tmp_path, videos=videos))


def test_a_gap_in_the_class_indices_is_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"dataset\.yaml: class indices .*got \[0, 2\]"):
        Dataset.open(write_yaml(tmp_path, names={0: "a", 2: "b"}))


def test_classes_that_begin_at_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="without gaps"):
        Dataset.open(write_yaml(tmp_path, names={1: "a", 2: "b"}))


def test_an_unknown_split_is_offered_its_neighbour(dataset: Dataset) -> None:
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        dataset.samples("trian")


@pytest.mark.parametrize("make", [True, False])
def test_a_split_without_images_is_refused_by_name(tmp_path: Path, make: bool) -> None:
    data = Dataset.open(write_yaml(tmp_path))
    if make:
        (tmp_path / "images" / "train").mkdir(parents=True)
    with pytest.raises(DataFault, match=r"images/train: split 'train' has no images"):
        data.samples("train")


def test_a_split_that_masks_cannot_mirror_is_refused(tmp_path: Path) -> None:
    data = Dataset.open(write_yaml(tmp_path, train="pictures/train"))
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    write_pair(tmp_path, "../pictures/train", "a", picture, picture[..., 0])
    with pytest.raises(DataFault, match="expected a path with the component 'images'"):
        data.samples("train")


def test_a_pair_of_two_sizes_is_refused_with_both(tmp_path: Path) -> None:
    data = Dataset.open(write_yaml(tmp_path))
    write_pair(tmp_path, "train", "a", np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(DataFault, match=r"a\.png: image and mask differ.*6x4; got 5x4"):
        data.read(data.samples("train")[0])


@pytest.mark.parametrize("name", ["none.yaml", "folder", "dataset.yaml/below"])
def test_no_data_set_says_how_to_make_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dataset.yaml").write_text("")
    with pytest.raises(BadInput, match=r"no data set at .*offramp data make"):
        Dataset.open(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [", "cannot be read as YAML"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
        (b"- a", "is not a data set"),
        (b"", "is not a data set"),
        (b"!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
    ],
)
def test_yaml_that_is_no_data_set_is_refused_by_name(
    tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "dataset.yaml").write_bytes(content)
    with pytest.raises(DataFault, match=rf"dataset\.yaml {says}"):
        Dataset.open(tmp_path)


def test_every_class_has_a_colour_and_no_two_the_same(tmp_path: Path) -> None:
    data = Dataset.open(write_yaml(tmp_path, names=dict(enumerate("abcdefgh")), palette={}))
    assert len(set(data.palette)) == 8


def test_a_colour_that_is_given_is_kept(dataset: Dataset) -> None:
    assert dataset.palette[1] == (200, 60, 40)
