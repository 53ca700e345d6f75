"""PASCAL VOC, ADE20K and plain folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offramp.core.errors import BadInput, DataFault
from offramp.data.check import check
from offramp.data.dataset import Dataset
from tests.data.readers.album import counts, grid, mask_of, photo, save, told


def write_voc(root: Path, mask: np.ndarray | None = None) -> Path:
    mask = grid([0, 1, 20, 255], rest=15) if mask is None else mask
    lists = {
        "train": [f"2007_{n:06d}" for n in range(10)],
        "val": ["2008_000001", "2008_000002"],
    }
    for split, names in lists.items():
        for name in names:
            photo(root / f"JPEGImages/{name}.jpg")
            save(root / f"SegmentationClass/{name}.png", mask, palette=True)
        file = root / f"ImageSets/Segmentation/{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(names) + "\n")
    photo(root / "JPEGImages/2009_000009.jpg")  # VOC has many images without a mask
    return root


@pytest.mark.parametrize("below", [".", "VOC2012", "VOCdevkit/VOC2012"])
def test_voc_reads_the_indices_of_the_palette(tmp_path: Path, below: str) -> None:
    write_voc(tmp_path / below)
    data = Dataset.open(tmp_path)
    assert counts(data) == {"train": 9, "val": 2, "calib": 1}
    assert mask_of(data, "val")[0, :5].tolist() == [0, 1, 20, 255, 15]
    assert (data.names[0], data.names[15], data.names[20]) == ("background", "person", "tvmonitor")
    assert data.palette[:3] == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert data.palette[20] == (0, 64, 128)


def test_voc_calib_is_the_same_everywhere_and_not_in_train(tmp_path: Path) -> None:
    first, other = (Dataset.open(write_voc(tmp_path / name)) for name in "ab")
    names = [[s.name for s in data.samples("calib")] for data in (first, other)]
    assert names[0] == names[1]
    assert not set(names[0]) & {s.name for s in first.samples("train")}


@pytest.mark.parametrize("listed", ["train_aug.txt", "trainaug.txt", None])
def test_voc_with_sbd_trains_on_the_masks_in_png(tmp_path: Path, listed: str | None) -> None:
    write_voc(tmp_path)
    names = [f"2007_{n:06d}" for n in range(10)] + ["2010_000001"]
    for name in [*names, "2008_000001"]:
        photo(tmp_path / f"JPEGImages/{name}.jpg")
        save(tmp_path / f"SegmentationClassAug/{name}.png", grid(rest=2))
    if listed:
        lines = [f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png" for n in names]
        (tmp_path / "ImageSets/Segmentation" / listed).write_text("\n".join(lines))
    data = told(tmp_path, layout="voc", augmented=True, calib_share=0)
    assert counts(data) == {"train": 11, "val": 2}
    assert (mask_of(data, "train", 10) == 2).all()
    assert mask_of(data, "val")[0, 1] == 1


def test_voc_with_sbd_says_what_is_missing(tmp_path: Path) -> None:
    write_voc(tmp_path)
    for place in (True, "elsewhere"):
        with pytest.raises(DataFault, match=r"SBD is not there.*SegmentationClassAug.*RELEASE"):
            _ = told(tmp_path, layout="voc", augmented=place).splits


def write_ade(root: Path) -> Path:
    mask = grid([0, 1, 2, 150], rest=13)
    for folder, kind, count in (("training", "train", 10), ("validation", "val", 2)):
        for number in range(1, count + 1):
            stem = f"ADE_{kind}_{number:08d}"
            photo(root / f"images/{folder}/{stem}.jpg")
            save(root / f"annotations/{folder}/{stem}.png", mask)
    return root


@pytest.mark.parametrize("below", [".", "ADEChallengeData2016"])
def test_ade20k_shifts_its_labels_by_one(tmp_path: Path, below: str) -> None:
    write_ade(tmp_path / below)
    data = Dataset.open(tmp_path)
    assert counts(data) == {"train": 9, "val": 2, "calib": 1}
    assert mask_of(data, "val")[0, :5].tolist() == [255, 0, 1, 149, 12]
    assert len(data.names) == len(data.palette) == 150
    assert (data.names[0], data.names[12], data.names[149]) == ("wall", "person", "flag")
    assert data.palette[0] == (120, 120, 120)
    assert data.palette[149] == (92, 0, 255)


SPOILT = {
    "16 bits": (lambda f: save(f, grid(rest=9).astype(np.uint16) * 200), "not a mask"),
    "colours": (lambda f: save(f, np.zeros((6, 8, 3), np.uint8)), "mode RGB"),
    "alpha": (lambda f: save(f, np.zeros((6, 8, 4), np.uint8)), "mode RGBA"),
    "unknown label": (lambda f: save(f, grid([151])), r"labels [151] are out of range"),
    "zero bytes": (lambda f: f.write_bytes(b""), "is empty"),
    "missing": (lambda f: f.unlink(), "does not exist"),
    "other size": (lambda f: save(f, np.ones((3, 4), np.uint8)), "4x3, its image is 8x6"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_mask_is_named_by_its_file(tmp_path: Path, kind: str) -> None:
    spoil, says = SPOILT[kind]
    write_ade(tmp_path)
    file = tmp_path / "annotations/validation/ADE_val_00000002.png"
    spoil(file)
    health = check(Dataset.open(tmp_path), ("val",))
    (fault,) = [fault for fault in health.faults if "never present" not in fault.what]
    assert fault.file == file
    assert says in fault.what


def test_odd_images_are_handled(tmp_path: Path) -> None:
    write_ade(tmp_path)
    images = tmp_path / "images/validation"
    save(images / "ADE_val_00000001.jpg", np.full((6, 8), 7, np.uint8))  # grey
    exif = Image.Exif()
    exif[0x0112] = 6  # a photograph that lies on its side: stored 6 wide, 8 high
    Image.new("RGB", (6, 8)).save(images / "ADE_val_00000002.jpg", exif=exif)
    data = Dataset.open(tmp_path)
    assert [f for f in check(data, ("val",)).faults if "never" not in f.what] == []
    assert data.read(data.samples("val")[1])[0].shape == (6, 8, 3)


def write_folders(root: Path, mask: np.ndarray, ending: str = "", end: str = ".png") -> Path:
    for split, count in (("train", 8), ("val", 2)):
        for number in range(count):
            photo(root / f"photos/{split}/hall/{number}.jpg")
            save(root / f"truth/{split}/hall/{number}{ending}{end}", mask)
    return root


PLACES = {
    "layout": "folders",
    "images": {"train": "photos/train", "val": "photos/val"},
    "masks": {"train": "truth/train", "val": "truth/val"},
}


@pytest.mark.parametrize("palette", [True, False])
def test_folders_of_index_masks(tmp_path: Path, palette: bool) -> None:
    write_folders(tmp_path, grid([1, 255]))
    for file in (tmp_path / "truth").rglob("*.png"):
        save(file, grid([1, 255]), palette=palette)
    data = told(tmp_path, **PLACES, labels=["floor", "person"])
    assert counts(data) == {"train": 7, "val": 2, "calib": 1}
    assert mask_of(data, "val")[0, :3].tolist() == [1, 255, 0]


@pytest.mark.parametrize("end", [".png", ".bmp", ".tif"])
def test_folders_of_coloured_masks(tmp_path: Path, end: str) -> None:
    picture = np.zeros((6, 8, 3), dtype=np.uint8)
    picture[0, :2] = (255, 0, 0), (255, 255, 255)
    write_folders(tmp_path, picture, "_mask", end)
    data = told(
        tmp_path,
        **PLACES,
        mask_ending="_mask",
        colours={"floor": [0, 0, 0], "person": [255, 0, 0]},
        ignored=[[255, 255, 255]],
    )
    assert mask_of(data, "val")[0, :3].tolist() == [1, 255, 0]
    assert data.palette == ((0, 0, 0), (255, 0, 0))


def test_one_folder_is_divided_and_masks_may_lie_among_images(tmp_path: Path) -> None:
    for number in range(20):
        photo(tmp_path / f"all/{number:02d}.jpg")
        save(tmp_path / f"all/{number:02d}_m.png", grid([1]))
    keys = {"layout": "folders", "images": "all", "masks": "all", "mask_ending": "_m"}
    data = told(tmp_path, **keys, labels=["a", "b"], test_share=0.2, calib_share=0.15)
    assert counts(data) == {"train": 11, "val": 2, "calib": 3, "test": 4}
    every = [s.name for split in data.splits for s in data.samples(split)]
    assert len(set(every)) == 20


def test_a_transparent_mask_of_colours_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path, np.zeros((6, 8, 4), dtype=np.uint8))
    data = told(tmp_path, **PLACES, colours={"floor": [0, 0, 0]})
    with pytest.raises(DataFault, match=r"0\.png: not a mask of colours.*transparent"):
        data.read(data.samples("val")[0])


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "either 'labels'"),
        ({"labels": ["a"], "colours": {"a": [0, 0, 0]}}, "either 'labels'"),
        ({"labels": ["a"], "masks": {"train": "truth/train"}}, "same splits"),
        ({"colours": {"a": [0, 0, 0], "b": [0, 0, 0]}}, "two classes have one colour"),
        ({"labels": ["a"], "images": {"trian": "photos"}}, "images"),
        ({"labels": ["a"], "mask_endings": "_m"}, "did you mean 'mask_ending'"),
    ],
)
def test_folders_that_are_told_wrongly_are_refused(
    tmp_path: Path, keys: dict[str, object], says: str
) -> None:
    write_folders(tmp_path, grid())
    with pytest.raises(BadInput, match=says):
        _ = told(tmp_path, **{**PLACES, **keys}).splits
