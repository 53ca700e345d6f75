"""Polygons in text files."""

from pathlib import Path

import pytest
import yaml

from offramp.core.errors import DataFault
from offramp.data.check import check
from offramp.data.dataset import Dataset
from tests.data.readers.album import counts, mask_of, photo, told

SQUARE = "1 0.125 0.2 0.5 0.2 0.5 0.6 0.125 0.6"
"""Of an image 8 wide and 6 high: fills the pixels from (1, 1) to (3, 3)."""


def write_polygons(root: Path, lines: str = SQUARE, **keys: object) -> Path:
    for split in ("train", "val"):
        for name in ("a", "b"):
            photo(root / f"images/{split}/{name}.jpg")
        labels = root / f"labels/{split}/a.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text(lines)
    content = {
        "path": "../datasets/elsewhere",
        "train": "images/train",
        "val": "images/val",
        "names": {0: "box", 1: "ball"},
        **keys,
    }
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root


def test_polygons_are_drawn_over_background(tmp_path: Path) -> None:
    lines = SQUARE + "\n\n0 0.375 0.5 1 0.5 1 0.6 0.375 0.6\n"
    data = Dataset.open(write_polygons(tmp_path, lines))
    assert data.names == ("background", "box", "ball")
    assert counts(data) == {"train": 1, "val": 2, "calib": 1}
    assert mask_of(data, "val").tolist() == [
        [0] * 8,
        [0, 2, 2, 2, 0, 0, 0, 0],
        [0, 2, 2, 2, 0, 0, 0, 0],
        [0, 2, 2, 1, 1, 1, 1, 1],
        [0] * 8,
        [0] * 8,
    ]
    assert not mask_of(data, "val", 1).any()  # an image without a text file


def test_names_may_be_a_list_and_hold_the_background(tmp_path: Path) -> None:
    write_polygons(tmp_path, names=["floor", "ball"])
    data = told(tmp_path, layout="ultralytics", background="floor")
    assert data.names == ("floor", "ball")
    assert mask_of(data, "val")[1].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("kind", ["list of folders", "text file", "as Roboflow writes it"])
def test_images_are_found_as_ultralytics_finds_them(tmp_path: Path, kind: str) -> None:
    (tmp_path / "train.txt").write_text("./images/train/a.jpg\n./images/train/b.jpg\n")
    source = {
        "list of folders": ["images/train", "images/val"],
        "text file": "train.txt",
        "as Roboflow writes it": "../images/train",
    }[kind]
    write_polygons(tmp_path, train=source, val=None)
    data = told(tmp_path, layout="ultralytics", calib_share=0, val_share=0, test_share=0)
    assert counts(data) == {"train": 4 if kind == "list of folders" else 2}
    assert data.samples("train")[0].name == "images/train/a.jpg"
    assert mask_of(data, "train").any()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1 0.5 0.5 0.2 0.2", "line 2 is not a polygon.*a box"),
        ("1 0.1 0.1 0.2 0.2 0.3", "line 2 is not a polygon"),
        ("2 0.1 0.1 0.2 0.2 0.3 0.3", "line 2 names class 2; expected 0 to 1"),
        ("1.5 0.1 0.1 0.2 0.2 0.3 0.3", "line 2 names class 1.5"),
        ("1 0.1 0.1 0.2 0.2 0.3 1.3", "line 2 has a corner outside"),
        ("1 0.1 0.1 0.2 0.2 0.3 nan", "line 2 has a corner outside"),
        ("ball 0.1 0.1", "line 2 has what is no number"),
    ],
)
def test_a_faulty_line_is_named_by_file_and_number(tmp_path: Path, line: str, says: str) -> None:
    write_polygons(tmp_path, f"{SQUARE}\n{line}\n")
    data = Dataset.open(tmp_path)
    with pytest.raises(DataFault, match=rf"labels/val/a\.txt: {says}"):
        data.read(data.samples("val")[0])


def test_a_split_without_labels_is_refused(tmp_path: Path) -> None:
    write_polygons(tmp_path)
    (tmp_path / "labels/val/a.txt").unlink()
    with pytest.raises(DataFault, match="labels/val: split 'val' has no labels"):
        _ = Dataset.open(tmp_path).splits


@pytest.mark.parametrize("names", [None, [], {1: "a"}, "box"])
def test_a_class_list_that_is_none_is_refused(tmp_path: Path, names: object) -> None:
    with pytest.raises(DataFault, match=r"data\.yaml: 'names'"):
        Dataset.open(write_polygons(tmp_path, names=names))


def test_a_label_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    write_polygons(tmp_path)
    (tmp_path / "labels/val/a.txt").write_bytes(b"\xff\xfe\x00")
    faults = check(Dataset.open(tmp_path), ("val",)).faults
    assert "cannot be read as text" in str(faults[0])
