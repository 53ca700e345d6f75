"""Cityscapes and CamVid."""

from pathlib import Path

import numpy as np
import pytest

from offramp.core.errors import BadInput, DataFault
from offramp.data.check import check
from offramp.data.dataset import Dataset
from tests.data.readers.album import counts, grid, mask_of, photo, save, told

CITIES = {"aachen": 6, "bochum": 2, "ulm": 12}


def write_cityscapes(root: Path, mask: np.ndarray | None = None) -> Path:
    """Three cities of train, one of val, and dummies of test."""
    mask = grid([7, 8, 33], rest=23) if mask is None else mask
    towns = [("train", c, n) for c, n in CITIES.items()] + [("val", "frankfurt", 3)]
    for split, city, count in [*towns, ("test", "berlin", 1)]:
        for number in range(count):
            stem = f"{city}_{number:06d}_000019"
            photo(root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png")
            save(root / f"gtFine/{split}/{city}/{stem}_gtFine_labelIds.png", mask)
            save(root / f"gtFine/{split}/{city}/{stem}_gtFine_color.png", mask)
    return root


def test_cityscapes_ids_become_train_ids(tmp_path: Path) -> None:
    ids = np.arange(48, dtype=np.uint8).reshape(6, 8).clip(max=33)
    data = Dataset.open(write_cityscapes(tmp_path, ids))
    of_ids = [255] * 34
    kept = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    for train_id, label in enumerate(kept):
        of_ids[label] = train_id
    assert mask_of(data, "val").ravel().tolist() == [of_ids[label] for label in ids.ravel()]
    assert len(data.names) == 19
    assert (data.names[0], data.names[11], data.names[18]) == ("road", "person", "bicycle")
    assert data.palette[0] == (128, 64, 128)
    assert data.palette[18] == (119, 11, 32)


def test_cityscapes_calib_is_a_city_and_test_is_not_there(tmp_path: Path) -> None:
    data = Dataset.open(write_cityscapes(tmp_path))
    assert counts(data) == {"train": 18, "val": 3, "calib": 2}  # a tenth of 20: bochum fits
    assert {sample.group for sample in data.samples("calib")} == {"bochum"}
    assert data.samples("val")[0].name == (
        "leftImg8bit/val/frankfurt/frankfurt_000000_000019_leftImg8bit.png"
    )


def test_cityscapes_val_becomes_test_where_val_is_taken_from_train(tmp_path: Path) -> None:
    write_cityscapes(tmp_path)
    data = told(tmp_path, layout="cityscapes", val_share=0.3, calib_share=0.1)
    towns = {split: {s.group for s in data.samples(split)} for split in data.splits}
    assert towns == {
        "train": {"ulm"},
        "val": {"aachen"},
        "calib": {"bochum"},
        "test": {"frankfurt"},
    }


def test_cityscapes_train_ids_are_read_where_they_are(tmp_path: Path) -> None:
    write_cityscapes(tmp_path)
    name = "gtFine/val/frankfurt/frankfurt_000000_000019_gtFine_labelTrainIds.png"
    save(tmp_path / name, grid([4, 255], rest=18))
    assert mask_of(Dataset.open(tmp_path), "val")[0, :3].tolist() == [4, 255, 18]


def test_cityscapes_unknown_id_names_the_file(tmp_path: Path) -> None:
    write_cityscapes(tmp_path)
    name = "gtFine/val/frankfurt/frankfurt_000001_000019_gtFine_labelIds.png"
    save(tmp_path / name, grid([34, 200], rest=7))
    faults = [f for f in check(Dataset.open(tmp_path), ("val",)).faults if "never" not in str(f)]
    (fault,) = faults
    assert fault.file == tmp_path / name
    assert "labels [34, 200] are out of range; expected 0 to 33" in fault.what


def test_classes_that_are_merged_by_name_close_up(tmp_path: Path) -> None:
    write_cityscapes(tmp_path, grid([24, 25, 26, 8], rest=7))
    data = told(tmp_path, layout="cityscapes", remap={"rider": "person", 0: "ignore"})
    assert len(data.names) == 17
    assert data.names[10:12] == ("person", "car")
    assert data.palette[11] == (0, 0, 142)
    assert mask_of(data, "val")[0, :5].tolist() == [10, 10, 11, 0, 255]


def test_new_names_take_merged_classes(tmp_path: Path) -> None:
    write_cityscapes(tmp_path, grid([24, 25, 26, 8], rest=7))
    names = {0: "flat", 1: "person"}
    remap = {"road": "flat", 1: 0, "rider": "person", "*": "ignore"}
    data = told(tmp_path, layout="cityscapes", names=names, remap=remap, palette={1: [9, 9, 9]})
    assert data.names == ("flat", "person")
    assert data.palette == ((128, 64, 128), (9, 9, 9))
    assert mask_of(data, "val")[0, :5].tolist() == [1, 1, 255, 0, 0]
    assert {name for name, share in check(data).pixels.items() if share} == set(data.names)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"remap": {"ridder": "person"}}, "did you mean 'rider'"),
        ({"remap": {"rider": "persons"}}, "did you mean 'person'"),
        ({"remap": {"rider": "person", "person": "car"}}, "merged away itself"),
        ({"remap": {"rider": 40}}, "leads to class 40"),
        ({"remap": {"*": "ignore"}}, "leaves no class"),
        ({"names": {0: "a", 1: "b"}}, r"dataset\.yaml: .*expected 19 names; got 2"),
        (
            {"names": {0: "flat"}, "remap": {"road": "flat"}},
            r"dataset\.yaml: .*no place among the new",
        ),
        ({"path": "elsewhere"}, "does not exist"),
        ({"layout": "cityscape"}, "did you mean 'cityscapes'"),
        ({"ignore_index": 3}, "no key in"),
        ({"calib_share": 1.5}, "calib_share"),
    ],
)
def test_what_cannot_be_merged_or_told_is_refused(
    tmp_path: Path, keys: dict[str, object], says: str
) -> None:
    write_cityscapes(tmp_path)
    with pytest.raises(BadInput, match=says):
        told(tmp_path, **{"layout": "cityscapes", **keys})


def write_segnet(root: Path) -> Path:
    films = [("train", "0006R0", 8), ("train", "0001TP", 3), ("train", "0016E5", 9)]
    for split, film, count in [*films, ("val", "0016E5", 2), ("test", "Seq05VD", 2)]:
        for number in range(count):
            photo(root / split / f"{film}_{number:05d}.png")
            save(root / f"{split}annot" / f"{film}_{number:05d}.png", grid([0, 10, 11], rest=3))
    return root


def test_camvid_of_segnet(tmp_path: Path) -> None:
    data = Dataset.open(write_segnet(tmp_path))
    assert counts(data) == {"train": 17, "val": 2, "calib": 3, "test": 2}
    assert {sample.group for sample in data.samples("calib")} == {"0001TP"}
    assert mask_of(data, "test")[0, :4].tolist() == [0, 10, 255, 3]
    assert (data.names[0], data.names[3], data.names[10]) == ("sky", "road", "bicyclist")
    assert data.palette[10] == (0, 128, 192)
    with pytest.raises(BadInput, match="a val and a test split of its own"):
        _ = told(tmp_path, layout="camvid", val_share=0.1).splits


COLOURS = "64 128 64\tAnimal\n192 0 128\t\tArchway\n0 128 192\tBicyclist\n0 0 0\t\tVoid\n"


def coloured(*colours: tuple[int, int, int]) -> np.ndarray:
    picture = np.full((6, 8, 3), (0, 128, 192), dtype=np.uint8)
    for place, colour in enumerate(colours):
        picture[0, place] = colour
    return picture


@pytest.mark.parametrize("table", ["label_colors.txt", "class_dict.csv"])
@pytest.mark.parametrize("stills", [True, False])
def test_camvid_in_its_original_colours(tmp_path: Path, table: str, stills: bool) -> None:
    lines = [line.split() for line in COLOURS.splitlines()]
    csv = "name,r,g,b\n" + "".join(f"{n},{r},{g},{b}\n" for r, g, b, n in lines)
    tmp_path.joinpath(table).write_text(COLOURS if table.endswith("txt") else csv)
    images, masks = ("701_StillsRaw_full", "LabeledApproved_full")
    folders = [(images, masks)] if stills else [("train", "train_labels"), ("val", "val_labels")]
    for images, masks in folders:
        for film, count in (("0001TP", 4), ("0006R0", 2), ("Seq05VD", 4)):
            for number in range(count):
                photo(tmp_path / images / f"{film}_{number}.png")
                picture = coloured((64, 128, 64), (192, 0, 128), (0, 0, 0))
                save(tmp_path / masks / f"{film}_{number}_L.png", picture)
    data = Dataset.open(tmp_path)
    assert data.names == ("Animal", "Archway", "Bicyclist")
    assert data.palette == ((64, 128, 64), (192, 0, 128), (0, 128, 192))
    assert mask_of(data, "val")[0, :4].tolist() == [0, 1, 255, 2]
    films = {split: {s.group for s in data.samples(split)} for split in data.splits}
    if stills:  # three films for four splits: the smallest go first, train keeps the last
        assert films["test"] == {"0006R0"}
        assert all(len(film) == 1 for film in films.values())
    else:
        assert films["calib"] == {"0006R0"}
        assert data.splits == ("train", "val", "calib")


def test_a_colour_of_no_class_is_refused_by_file(tmp_path: Path) -> None:
    (tmp_path / "label_colors.txt").write_text(COLOURS)
    photo(tmp_path / "train/0001TP_1.png")
    save(tmp_path / "train_labels/0001TP_1_L.png", coloured((1, 2, 3)))
    data = Dataset.open(tmp_path)
    with pytest.raises(DataFault, match=r"0001TP_1_L\.png: 1 pixels.*got \[1, 2, 3\]"):
        data.read(data.samples("train")[0])


def test_a_line_that_is_no_colour_is_refused_by_number(tmp_path: Path) -> None:
    (tmp_path / "label_colors.txt").write_text(COLOURS + "1 2 many Sky\n")
    photo(tmp_path / "train/0001TP_1.png")
    (tmp_path / "train_labels").mkdir()
    with pytest.raises(DataFault, match=r"label_colors\.txt: line 5"):
        Dataset.open(tmp_path)
