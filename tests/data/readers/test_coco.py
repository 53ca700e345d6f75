"""COCO and COCO's JSON of other origins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.errors import BadInput, DataFault
from offramp.data.check import check
from offramp.data.dataset import Dataset
from offramp.data.readers.coco import OF_VOC
from offramp.data.readers.shapes import unpack
from offramp.data.readers.voc import NAMES
from tests.data.readers.album import SIZE, counts, grid, mask_of, photo, save, told, write_json

THINGS = [
    number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
]
SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]
"""Fills the nine pixels from (1, 1) to (3, 3)."""


def pack(counts: list[int]) -> str:
    """Write run lengths as text, straight from the description in the header of maskApi.c."""
    text = ""
    for place, count in enumerate(counts):
        value = count - (counts[place - 2] if place > 2 else 0)
        more = True
        while more:
            five = value & 31
            value >>= 5
            more = value != (-1 if five & 16 else 0)
            text += chr(48 + five + (32 if more else 0))
    return text


def runs(region: np.ndarray) -> list[int]:
    """Count runs down the columns, the first of zeros."""
    counts, current = [0], 0
    for value in region.T.ravel():
        if value != current:
            counts.append(0)
            current = value
        counts[-1] += 1
    return counts


@pytest.mark.parametrize("text", [True, False])
def test_run_lengths_are_read_back(text: bool, rng: np.random.Generator) -> None:
    for shape in ((6, 8), (40, 31), (1, 1), (300, 200)):
        for share in (0.0, 0.03, 0.5, 1.0):
            region = rng.random(shape) < share
            numbers = runs(region)
            code = {"counts": pack(numbers) if text else numbers, "size": list(shape)}
            assert np.array_equal(unpack(code, shape, "x"), region)


def test_a_run_length_known_by_hand() -> None:
    # 2 pixels out, 3 in, 4 out, 3 in: the fourth number is written as its difference to the second
    code = {"counts": "2340", "size": [4, 3]}
    assert unpack(code, (4, 3), "x").tolist() == [
        [False, True, False],
        [False, False, True],
        [True, False, True],
        [True, False, True],
    ]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ({"counts": [1, 2], "size": [6, 8]}, "do not fill the image"),
        ({"counts": [50, -2], "size": [6, 8]}, "do not fill"),
        ({"counts": "\x01", "size": [6, 8]}, "damaged"),
        ({"counts": "o", "size": [6, 8]}, "damaged"),
        ({"counts": ["a"], "size": [6, 8]}, "damaged"),
        ({"counts": [48], "size": [8, 6]}, "another size"),
        ({"size": [6, 8]}, "not run lengths"),
        ([], "not run lengths"),
    ],
)
def test_damaged_run_lengths_are_refused(code: Any, says: str) -> None:
    with pytest.raises(DataFault, match=f"a.json/b: .*{says}"):
        unpack(code, SIZE, "a.json/b")


def annotation(image: int, category: int, outline: Any, **keys: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": outline, **keys}


def write_coco(root: Path, below: str = "") -> Path:
    categories = [{"id": n, "name": f"thing{n}", "supercategory": "all"} for n in reversed(THINGS)]
    for split, count in (("train", 10), ("val", 1)):
        images = [
            {"id": 100 + n, "file_name": f"{n:012d}.jpg", "width": 8, "height": 6}
            for n in range(count)
        ]
        hole = np.zeros(SIZE, dtype=bool)
        hole[0:5, 4:8], hole[2, 6] = True, False
        annotations = [
            annotation(100, 1, SQUARE, area=9, iscrowd=0),  # a person
            annotation(100, 18, {"counts": runs(hole), "size": list(SIZE)}, area=19, iscrowd=1),
            annotation(100, 10, [[0, 5, 8, 5, 8, 6, 0, 6]], area=8),  # a traffic light: not in VOC
            annotation(100, 72, [[3, 3, 4, 3, 4, 4, 3, 4]], area=1),  # a tv upon the person
            annotation(101, 1, SQUARE, area=9),
        ]
        for entry in images:
            photo(root / below / f"{split}2017" / entry["file_name"])
        value = {"images": images, "annotations": annotations, "categories": categories}
        write_json(root / f"annotations/instances_{split}2017.json", value)
    return root


@pytest.mark.parametrize("below", ["", "images"])
def test_coco_as_voc(tmp_path: Path, below: str) -> None:
    data = Dataset.open(write_coco(tmp_path, below))
    assert counts(data) == {"train": 9, "val": 1, "calib": 1}
    assert data.names == NAMES
    assert len(OF_VOC) == 20
    dog, person = NAMES.index("dog"), NAMES.index("person")
    assert mask_of(data, "val").tolist() == [
        [0, 0, 0, 0, dog, dog, dog, dog],
        [0, person, person, person, dog, dog, dog, dog],
        [0, person, person, person, dog, dog, 0, dog],
        [0, person, person, 255, dog, dog, dog, dog],
        [0, 0, 0, 0, dog, dog, dog, dog],
        [0] * 8,
    ]


def test_coco_things_and_the_later_on_top(tmp_path: Path) -> None:
    write_coco(tmp_path)
    data = told(tmp_path, layout="coco", classes="things", overlap="last", calib_share=0)
    assert len(data.names) == 81
    assert data.names[:2] == ("background", "thing1")
    mask = mask_of(data, "val")
    light, tv = 1 + THINGS.index(10), 1 + THINGS.index(72)
    assert mask[5].tolist() == [light] * 8
    assert mask[3].tolist() == [0, 1, 1, tv] + [1 + THINGS.index(18)] * 4


def test_coco_images_with_little_in_them_are_left_out_of_training_alone(tmp_path: Path) -> None:
    write_coco(tmp_path)
    data = told(tmp_path, layout="coco", min_area=9, calib_share=0)
    assert counts(data) == {"train": 1, "val": 1}  # 9 + 19 + 1 pixels; the other has 9


def test_coco_panoptic(tmp_path: Path) -> None:
    categories = [
        {"id": 200, "name": "rug", "isthing": 0, "color": [9, 8, 7]},
        {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    ]
    number = 3 + 256 * 2 + 65536 * 1
    segments = [{"id": number, "category_id": 200}, {"id": 7, "category_id": 1}]
    picture = np.zeros((*SIZE, 3), dtype=np.uint8)
    picture[0, :2] = (3, 2, 1), (7, 0, 0)
    for split in ("train", "val"):
        photo(tmp_path / f"{split}2017/a.jpg")
        save(tmp_path / f"annotations/panoptic_{split}2017/a.png", picture)
        said = [{"image_id": 5, "file_name": "a.png", "segments_info": segments}]
        images = [{"id": 5, "file_name": "a.jpg", "height": 6, "width": 8}]
        value = {"images": images, "annotations": said, "categories": categories}
        write_json(tmp_path / f"annotations/panoptic_{split}2017.json", value)
    data = told(tmp_path, layout="coco", classes="panoptic")
    assert data.names == ("person", "rug")
    assert data.palette == ((220, 20, 60), (9, 8, 7))
    assert mask_of(data, "val")[0, :3].tolist() == [1, 0, 255]
    picture[5, 5] = (8, 0, 0)
    file = save(tmp_path / "annotations/panoptic_val2017/a.png", picture)
    (fault,) = check(data, ("val",)).faults
    assert fault.file == file
    assert "segments [8] are not in" in fault.what


def test_coco_stuff(tmp_path: Path) -> None:
    categories = [{"id": n, "name": f"stuff{n}"} for n in range(92, 184)]
    for split in ("train", "val"):
        photo(tmp_path / f"{split}2017/a.jpg")
        folder = tmp_path / f"annotations/stuff_{split}2017_pixelmaps"
        save(folder / "a.png", grid([92, 183, 0], rest=100))
        images = [{"id": 5, "file_name": "a.jpg", "height": 6, "width": 8}]
        value = {"images": images, "annotations": [], "categories": categories}
        write_json(tmp_path / f"annotations/stuff_{split}2017.json", value)
    data = told(tmp_path, layout="coco", classes="stuff")
    assert len(data.names) == 92
    assert mask_of(data, "val")[0, :4].tolist() == [0, 91, 255, 8]


def write_export(file: Path, *annotations: dict[str, Any], **keys: Any) -> Path:
    value = {
        "images": [{"id": 0, "file_name": "a.jpg", "width": 8, "height": 6}],
        "annotations": list(annotations),
        "categories": [
            {"id": 0, "name": "objects", "supercategory": "none"},
            {"id": 1, "name": "box", "supercategory": "objects"},
            {"id": 2, "name": "ball", "supercategory": "objects"},
        ],
        **keys,
    }
    return write_json(file, value)


def test_an_export_of_roboflow(tmp_path: Path) -> None:
    for folder in ("train", "valid", "test"):
        photo(tmp_path / folder / "a.jpg")
        later = annotation(0, 2, [[3, 3, 6, 3, 6, 5, 3, 5]])
        write_export(tmp_path / folder / "_annotations.coco.json", annotation(0, 1, SQUARE), later)
    data = Dataset.open(tmp_path)
    assert counts(data) == {"train": 1, "val": 1, "test": 1}
    assert data.names == ("background", "box", "ball")
    assert mask_of(data, "val")[3].tolist() == [0, 1, 1, 2, 2, 2, 0, 0]
    assert check(data).faults == ()


@pytest.mark.parametrize("images", ["images", "images/default"])
def test_an_export_of_cvat(tmp_path: Path, images: str) -> None:
    photo(tmp_path / images / "a.jpg")
    write_export(tmp_path / "annotations/instances_default.json", annotation(0, 2, SQUARE))
    data = Dataset.open(tmp_path)
    assert counts(data) == {"train": 1}
    assert data.samples("train")[0].name == f"{images}/a.jpg"
    ignoring = told(tmp_path, layout="coco-json", background="ignore")
    assert ignoring.names == ("box", "ball")
    assert mask_of(ignoring, "train")[1].tolist() == [255, 1, 1, 1, 255, 255, 255, 255]


def test_files_and_folders_are_told(tmp_path: Path) -> None:
    for split in ("train", "val"):
        photo(tmp_path / "pictures" / "a.jpg")
        write_export(tmp_path / f"{split}.json", annotation(0, 1, SQUARE))
    files = {"train": "train.json", "val": "val.json"}
    keys = {"layout": "coco-json", "annotations": files, "background": "box"}
    data = told(tmp_path, **keys, images="pictures")
    assert data.names == ("box", "ball")
    assert not mask_of(data, "val").any()
    (fault,) = [f for f in check(data).faults if "never" not in f.what]
    assert "stands in more than one split" in fault.what


FAULTY = {
    "box": (annotation(0, 1, []), "has no outline"),
    "two corners": (annotation(0, 1, [[1, 1, 2, 2]]), "three corners or more; got 2"),
    "odd": (annotation(0, 1, [[1, 1, 2, 2, 3, 3, 4]]), "not a polygon"),
    "words": (annotation(0, 1, [["a", 1, 2, 2, 3, 3]]), "not a polygon"),
    "far": (annotation(0, 1, [[1, 1, 2, 2, 3, 1e30]]), "not a polygon"),
    "nan": (annotation(0, 1, [[1, 1, 2, 2, 3, float("nan")]]), "not a polygon"),
    "category": (annotation(0, 9, SQUARE), "no category 9"),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_annotation_is_named_by_file_and_image(tmp_path: Path, kind: str) -> None:
    faulty, says = FAULTY[kind]
    photo(tmp_path / "images/a.jpg")
    write_export(tmp_path / "annotations/instances_default.json", faulty)
    (fault,) = [f for f in check(Dataset.open(tmp_path)).faults if "never" not in f.what]
    assert str(fault.file).endswith("instances_default.json/a.jpg")
    assert says in fault.what


def test_an_image_of_another_size_or_none_is_named(tmp_path: Path) -> None:
    file = photo(tmp_path / "images/a.jpg", size=(8, 6))
    write_export(tmp_path / "annotations/instances_default.json", annotation(0, 1, SQUARE))
    data = Dataset.open(tmp_path)
    assert "expected 6x8; got 8x6" in str(check(data).faults[0])
    file.write_bytes(b"")
    (fault,) = check(data).faults
    assert str(fault) == f"{file}: the file is empty"


def test_files_of_other_categories_than_the_first_are_refused(tmp_path: Path) -> None:
    write_export(tmp_path / "train/_annotations.coco.json", annotation(0, 1, SQUARE))
    other = [{"id": 1, "name": "crate"}, {"id": 2, "name": "ball"}]
    write_export(tmp_path / "valid/_annotations.coco.json", categories=other)
    with pytest.raises(BadInput, match=r"valid/_annotations\.coco\.json has other cat.*got crate"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    "keys",
    [{"images": None}, {"images": [3]}, {"categories": [{"name": "x"}]}, {"annotations": [4]}],
)
def test_json_of_another_form_is_refused(tmp_path: Path, keys: dict[str, Any]) -> None:
    write_export(tmp_path / "annotations/instances_default.json", **keys)
    with pytest.raises(BadInput, match=r"instances_default\.json.*COCO"):
        Dataset.open(tmp_path)
