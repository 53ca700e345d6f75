"""Layouts are recognised by what lies in a folder; shares of train depend on names alone."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.errors import BadInput
from offramp.data.dataset import Dataset
from offramp.data.readers.layouts import LAYOUTS, recognise
from offramp.data.readers.shares import Shares, divide
from offramp.data.sample import Sample
from tests.data.readers.test_coco import write_coco
from tests.data.readers.test_labelstudio import polygon
from tests.data.readers.test_labelstudio import write_export as write_labelstudio
from tests.data.readers.test_mnist import write_mnist
from tests.data.readers.test_photographs import write_ade, write_voc
from tests.data.readers.test_street import write_cityscapes, write_segnet
from tests.data.readers.test_ultralytics import write_polygons

WRITERS = {
    "cityscapes": write_cityscapes,
    "voc": write_voc,
    "coco": write_coco,
    "ade20k": write_ade,
    "camvid": write_segnet,
    "labelstudio": lambda root: write_labelstudio(root, polygon("box")),
    "ultralytics": write_polygons,
    "mnist": write_mnist,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_is_recognised_as_one_layout(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    assert recognise(tmp_path) == name
    data = Dataset.open(tmp_path)
    assert data.root == tmp_path
    assert Dataset.open(Path(str(data.file.resolve()))).names == data.names  # as a run does


def test_an_unknown_folder_is_refused_with_all_layouts(tmp_path: Path) -> None:
    assert recognise(tmp_path) is None
    with pytest.raises(BadInput, match="no data set at") as caught:
        Dataset.open(tmp_path)
    assert all(name in str(caught.value) for name in LAYOUTS)


def test_a_folder_of_two_layouts_is_a_question(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write_polygons(tmp_path)
    with pytest.raises(BadInput, match=r"more than one layout.*data\.yaml.*mnist.*layout: ultra"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_no_image_is_in_two_splits(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    data = Dataset.open(tmp_path)
    assert "calib" in data.splits
    names = [sample.name for split in data.splits for sample in data.samples(split)]
    assert len(set(names)) == len(names)


def pool(**groups: int) -> list[Sample]:
    return [
        Sample(f"{group}/{n:03d}", Path(f"{group}/{n}.jpg"), Path("m.png"), group)
        for group, count in groups.items()
        for n in range(count)
    ]


def test_groups_stay_together() -> None:
    splits = divide({"train": pool(a=10, b=20, c=30, d=40)}, Shares(0.2, 0.3, 0.1), "x")
    groups = {split: {sample.group for sample in samples} for split, samples in splits.items()}
    assert groups == {"test": {"a"}, "calib": {"b"}, "val": {"c"}, "train": {"d"}}


def test_one_group_gives_its_last_images() -> None:
    splits = divide({"train": pool(a=20), "val": pool(b=1)}, Shares(), "x")
    assert [s.name for s in splits["calib"]] == ["a/018", "a/019"]


def test_what_is_taken_does_not_depend_on_the_order() -> None:
    samples = [Sample(str(n), Path(str(n)), Path("m")) for n in range(50)]
    first, other = (divide({"train": list(s)}, Shares(), "x") for s in (samples, samples[::-1]))
    assert first == other
    assert {split: len(part) for split, part in first.items()} == {
        "train": 35, "test": 5, "calib": 5, "val": 5,
    }  # fmt: skip


def test_nothing_is_taken_where_nothing_would_be_left() -> None:
    assert set(divide({"train": pool(a=1)}, Shares(), "x")) == {"train"}
    assert set(divide({"train": pool(a=9), "val": []}, Shares(0.0), "x")) == {"train", "val"}


def test_our_own_folders_take_names_as_targets_of_remap(dataset: Dataset, tmp_path: Path) -> None:
    text = dataset.file.read_text() + "remap: {2: box, 1: ignore}\n"
    (tmp_path / "dataset.yaml").write_text(text.replace("path: .", f"path: {dataset.root}"))
    data = Dataset.open(tmp_path)
    _, plain = dataset.read(dataset.samples("val")[0])
    _, merged = data.read(data.samples("val")[0])
    assert ((merged == 1) == (plain == 2)).all()
    assert ((merged == 255) == ((plain == 1) | (plain == 255))).all()
    (tmp_path / "dataset.yaml").write_text(text.replace("2: box", "2: boxx"))
    with pytest.raises(BadInput, match="did you mean 'box'"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_the_command_line_checks_every_layout(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path), "--json"])
    faults = [f for f in json.loads(result.stdout)["faults"] if "never present" not in f["what"]]
    assert faults == []
    assert "Traceback" not in result.output
