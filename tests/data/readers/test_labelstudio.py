"""An export of Label Studio."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.errors import BadInput, DataFault
from offramp.data.check import check
from offramp.data.dataset import Dataset
from offramp.data.readers.brush import decode_brush
from tests.data.readers.album import SIZE, counts, mask_of, photo, told, write_json


def brush(region: np.ndarray, widths: tuple[int, ...] = (3, 4, 8, 16)) -> list[int]:
    """Pack a region as the brush does: RGBA, repeats where they pay, single values elsewhere."""
    values = [v for inside in region.ravel() for v in (9, 0, 200, 255 * int(inside))]
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    place = 0
    while place < len(values):
        run = 1
        while place + run < len(values) and values[place + run] == values[place]:
            run += 1
        if run > 1:
            which = next((i for i, w in enumerate(widths) if run <= 1 << w), len(widths) - 1)
            run = min(run, 1 << widths[which])
            bits += f"1{which:02b}{run - 1:0{widths[which]}b}{values[place]:08b}"
        else:
            run = min(1 << widths[0], len(values) - place)
            bits += f"0{0:02b}{run - 1:0{widths[0]}b}"
            bits += "".join(f"{value:08b}" for value in values[place : place + run])
        place += run
    bits += "0" * (-len(bits) % 8 or 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


@pytest.mark.parametrize("widths", [(3, 4, 8, 16), (1, 2, 3, 4), (16, 16, 16, 16)])
def test_a_brush_is_read_back(widths: tuple[int, ...], rng: np.random.Generator) -> None:
    for shape in ((6, 8), (37, 53), (1, 1)):
        for share in (0.0, 0.1, 1.0):
            region = rng.random(shape) < share
            code = brush(region, widths)
            assert np.array_equal(decode_brush(code, shape, "x"), region)


def test_long_runs_of_one_value_are_read() -> None:
    # 8 values (two pixels), 8 bits each, widths 1 to 4: one run of eight times 255
    bits = (
        f"{8:032b}{7:05b}" + "".join(f"{w - 1:04b}" for w in (1, 2, 3, 4)) + "110" + "111" + "1" * 8
    )
    bits += "0" * (-len(bits) % 8)
    code = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_brush(code, (1, 2), "x").tolist() == [[True, True]]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (brush(np.ones(SIZE, bool))[:-3], "cut short"),
        ([0, 1], "cut short"),
        (brush(np.ones((2, 2), bool)), "another size; expected 192 values; got 16"),
        ([300], "not a brush"),
        (None, "not a brush"),
    ],
)
def test_a_damaged_brush_is_refused(code: Any, says: str) -> None:
    with pytest.raises(DataFault, match=f"e.json/a: .*{says}"):
        decode_brush(code, SIZE, "e.json/a")


def result(kind: str, label: str, **value: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "value": {kind: [label], **value},
        "original_width": 8,
        "original_height": 6,
        "image_rotation": 0,
    }


def polygon(label: str, left: float = 12.5, right: float = 50.0) -> dict[str, Any]:
    points = [[left, 20], [right, 20], [right, 60], [left, 60]]
    return result("polygonlabels", label, points=points, closed=True)


def task(number: int, address: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "annotations": list(annotations), "data": {"image": address}}


def write_export(root: Path, *results: dict[str, Any]) -> Path:
    """Ten tasks with the results, whose images are named in all the ways that there are."""
    addresses = [f"/data/upload/3/0123abcd-{n}.jpg" for n in range(7)]
    addresses += [
        "/data/local-files/?d=hall/7.jpg",
        "s3://bucket/folder/8.jpg",
        "https://host/x/a%20b.jpg?token=1",
    ]
    for name in [*(f"{n}.jpg" for n in range(9)), "a b.jpg"]:
        photo(root / "pictures" / name)
    annotation = {"result": list(results), "was_cancelled": False}
    tasks = [task(n, address, annotation) for n, address in enumerate(addresses)]
    write_json(root / "export.json", tasks)
    return root


def test_polygons_and_brushes_are_drawn_in_turn(tmp_path: Path) -> None:
    region = np.zeros(SIZE, dtype=bool)
    region[3, 3:6] = True
    painted = result("brushlabels", "ball", format="rle", rle=brush(region))
    data = Dataset.open(write_export(tmp_path, polygon("box"), painted))
    assert data.names == ("background", "ball", "box")
    assert counts(data) == {"train": 7, "val": 1, "calib": 1, "test": 1}
    assert {s.name for split in data.splits for s in data.samples(split)} == {
        *(f"pictures/{n}.jpg" for n in range(9)),
        "pictures/a b.jpg",
    }
    assert mask_of(data, "test").tolist() == [
        [0] * 8,
        [0, 2, 2, 2, 0, 0, 0, 0],
        [0, 2, 2, 2, 0, 0, 0, 0],
        [0, 2, 2, 1, 1, 1, 0, 0],
        [0] * 8,
        [0] * 8,
    ]
    assert check(data).faults == ()


def test_labels_and_background_are_told(tmp_path: Path) -> None:
    write_export(tmp_path, polygon("box"))
    keys = {"layout": "labelstudio", "images": "pictures", "background": "ignore"}
    data = told(tmp_path, **keys, labels=["ball", "box"])
    assert data.names == ("ball", "box")
    assert mask_of(data, "train")[1, :2].tolist() == [255, 1]
    with pytest.raises(DataFault, match=r"export\.json: labels that 'labels'.*got box"):
        told(tmp_path, **keys, labels=["ball"])


def test_what_cannot_be_drawn_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    point = result("keypointlabels", "tip", x=1, y=2)
    write_export(tmp_path, polygon("box"), point, point)
    tasks = [task(1, "/x/0.jpg"), task(2, "/x/1.jpg", {"result": [], "was_cancelled": True})]
    both = {"result": [point, polygon("box")], "was_cancelled": False}
    truth = {"result": [polygon("ball")], "ground_truth": True}
    write_json(
        tmp_path / "export.json",
        [*tasks, task(3, "/x/2.jpg", both, truth), task(4, "/x/3.jpg", both)],
    )
    with caplog.at_level(logging.WARNING):
        data = Dataset.open(tmp_path)
    assert "1 results of kind 'keypointlabels', 2 tasks without annotation" in caplog.text
    assert data.names == ("background", "ball", "box")
    every = [s.image.name for split in data.splits for s in data.samples(split)]
    assert sorted(every) == ["2.jpg", "3.jpg"]


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    write_export(tmp_path, polygon("box"))
    photo(tmp_path / "pictures/3.jpg", size=(12, 16))
    (fault,) = check(Dataset.open(tmp_path)).faults
    assert str(fault.file).endswith("export.json/0123abcd-3.jpg")
    assert "expected 16x12; got 8x6" in fault.what


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    write_export(tmp_path, polygon("box"))
    (tmp_path / "pictures/8.jpg").unlink()
    (fault,) = check(Dataset.open(tmp_path)).faults
    assert str(fault) == f"{tmp_path / '8.jpg'}: the file does not exist"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"tasks": []}, "not an export"),
        ([{"id": 1, "image": "a.jpg", "label": []}], "not as JSON-MIN"),
        ([{"annotations": [{"result": [{"type": 3}]}], "data": {}}], "names no image"),
        ([{"annotations": [4], "data": {"image": "a"}}], "not as Label Studio"),
        ([], "nothing is labelled"),
    ],
)
def test_an_export_of_another_form_is_refused(tmp_path: Path, content: object, says: str) -> None:
    write_json(tmp_path / "export.json", content)
    with pytest.raises(BadInput, match=rf"export\.json: .*{says}"):
        told(tmp_path, layout="labelstudio", background="ignore")


def test_two_exports_are_a_question(tmp_path: Path) -> None:
    write_export(tmp_path, polygon("box"))
    write_json(tmp_path / "other.json", [])
    with pytest.raises(BadInput, match=r"which file is the export\?.*export\.json, other\.json"):
        told(tmp_path, layout="labelstudio")
    assert told(tmp_path, layout="labelstudio", file="export.json").splits
