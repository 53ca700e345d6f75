"""The check names every fault with its file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from offramp.core.errors import DataFault
from offramp.data.check import Health, check
from offramp.data.dataset import Dataset
from tests.tiny import write_dataset


def image(root: Path, name: str) -> Path:
    return root / "images" / name


def mask(root: Path, name: str) -> Path:
    return root / "masks" / name


def relabel(root: Path, label: int) -> None:
    picture = np.asarray(Image.open(mask(root, "train/001.png"))).copy()
    picture[0, 0] = label
    Image.fromarray(picture).save(mask(root, "train/001.png"))


def shrink(root: Path) -> None:
    Image.open(mask(root, "train/001.png")).resize((48, 32), 0).save(mask(root, "train/001.png"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-300])


def empty(root: Path) -> None:
    for file in image(root, "val").iterdir():
        file.unlink()


def deepen(root: Path) -> None:
    values = np.asarray(Image.open(mask(root, "val/001.png"))).astype(np.uint16)
    Image.fromarray(values * 256).save(mask(root, "val/001.png"))


def turn(root: Path) -> None:
    """Mark a photograph as taken on its side; its mask was drawn on what the file holds."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = image(root, "train/001.jpg")
    Image.open(file).save(file, exif=exif)


def rename(root: Path, *classes: int) -> None:
    """Change the class list; below two classes only one mask keeps a label of the third."""
    file = root / "dataset.yaml"
    content = yaml.safe_load(file.read_text())
    content["names"] = {index: str(index) for index in classes}
    file.write_text(yaml.safe_dump(content))
    if len(classes) == 2:
        for other in (root / "masks").rglob("*.png"):
            labels = np.asarray(Image.open(other)).copy()
            labels[(labels == 2) & (other.name != "000.png" or other.parent.name == "val")] = 1
            Image.fromarray(labels).save(other)


def checked(root: Path, spoil: Callable[[Path], object], **keys: object) -> Health:
    file = write_dataset(root, {"train": 3, "val": 2}, **keys)
    spoil(root)
    return check(Dataset.open(file))


FAULTS: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("missing mask", lambda r: mask(r, "train/001.png").unlink(), "001.png", "does not exist"),
    ("wrong size", shrink, "masks/train/001.png", "48x32, its image is 96x64"),
    ("label out of range", lambda r: relabel(r, 9), "train/001.png", r"labels \[9\] are out of"),
    ("empty image", lambda r: image(r, "train/001.jpg").write_bytes(b""), "001.jpg", "is empty"),
    ("empty mask", lambda r: mask(r, "val/000.png").write_bytes(b""), "val/000.png", "is empty"),
    (
        "no image",
        lambda r: image(r, "val/000.jpg").write_text("<html>404"),
        "images/val/000.jpg",
        "not an image",
    ),
    ("truncated", lambda r: cut(image(r, "val/001.jpg")), "val/001.jpg", "cannot be decoded"),
    ("mask of colours", lambda r: Image.new("RGB", (96, 64)).save(mask(r, "val/000.png")),
     "val/000.png", "not a mask"),
    ("mask with alpha", lambda r: Image.new("RGBA", (96, 64)).save(mask(r, "val/000.png")),
     "val/000.png", "not a mask"),
    ("16-bit mask", deepen, "masks/val/001.png", "not a mask"),
    ("masked before it was turned", turn, "masks/train/001.png", "96x64, its image is 64x96"),
    ("a class too few", lambda r: rename(r, 0, 1), "masks/train/000.png", r"labels \[2\] are out"),
    ("a class too many", lambda r: rename(r, 0, 1, 2, 3), "dataset.yaml", "'3' is never present"),
    ("no images", empty, "dataset.yaml", "split 'val' has no images"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "file", "says"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_a_fault_is_named_with_its_file_and_no_other_is_found(
    tmp_path: Path, spoil: Callable[[Path], object], file: str, says: str
) -> None:
    (fault,) = checked(tmp_path, spoil).faults
    assert str(fault.file).endswith(file)
    with pytest.raises(DataFault, match=f"(?s){file}: .*{says}"):
        checked(tmp_path, spoil).require_sound()


def test_a_sound_data_set_has_no_faults(dataset: Dataset) -> None:
    health = check(dataset)
    assert health.faults == ()
    assert health.images == {"train": 12, "val": 6, "calib": 8, "test": 6}
    assert sum(health.pixels.values()) == pytest.approx(1.0)
    health.require_sound()


def test_a_class_that_is_never_present_is_named(tmp_path: Path) -> None:
    names = {0: "ground", 1: "box", 2: "ball", 3: "ghost"}
    (fault,) = checked(tmp_path, lambda _: None, names=names).faults
    assert str(fault).endswith("dataset.yaml: class 3 'ghost' is never present")


def test_a_class_that_is_merged_away_is_not_missed(tmp_path: Path) -> None:
    assert checked(tmp_path, lambda _: None, remap={2: 1}).faults == ()


def test_a_label_that_is_merged_away_is_not_out_of_range(tmp_path: Path) -> None:
    assert checked(tmp_path, lambda r: relabel(r, 9), remap={9: 0}).faults == ()


def test_missing_video_files_are_named(tmp_path: Path) -> None:
    videos = {"ramp": {"video": "videos/ramp.mp4", "masks": "videos/ramp.npz"}}
    health = checked(tmp_path, lambda _: None, videos=videos)
    assert [fault.file for fault in health.faults] == [
        tmp_path / "videos/ramp.mp4",
        tmp_path / "videos/ramp.npz",
    ]


def test_an_image_in_two_splits_is_named(tmp_path: Path) -> None:
    health = checked(tmp_path, lambda _: None, test="images/train")
    assert len(health.faults) == 3
    assert "images/train/000.jpg: stands in more than one split" in str(health.faults[0])


def test_two_images_that_share_a_mask_are_named(tmp_path: Path) -> None:
    def add(root: Path) -> None:
        Image.open(image(root, "train/001.jpg")).save(image(root, "train/001.png"))

    (fault,) = checked(tmp_path, add).faults
    assert "shares 001.png with" in str(fault)


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    def spoil(root: Path) -> None:
        mask(root, "train/000.png").unlink()
        image(root, "train/001.jpg").write_bytes(b"")
        image(root, "val/000.jpg").write_bytes(b"")

    assert len(checked(tmp_path, spoil).faults) == 3


def test_only_the_splits_asked_for_are_checked(tmp_path: Path) -> None:
    file = write_dataset(tmp_path, {"train": 3, "val": 2})
    image(tmp_path, "val/000.jpg").write_bytes(b"")
    assert check(Dataset.open(file), ("train",)).faults == ()


def test_a_data_set_without_splits_is_faulty(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("names: {0: a}")
    (fault,) = check(Dataset.open(tmp_path)).faults
    assert "no split is named" in str(fault)


def test_a_long_list_is_cut_with_its_length(tmp_path: Path) -> None:
    file = write_dataset(tmp_path, {"train": 14})
    for picture in (tmp_path / "images" / "train").iterdir():
        picture.write_bytes(b"")
    with pytest.raises(DataFault, match="has 14 faults") as caught:
        check(Dataset.open(file)).require_sound()
    assert "and 4 more" in str(caught.value)
