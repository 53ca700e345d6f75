"""Whatever is wrong in a file of annotations, the error is ours and names the file."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.errors import OfframpError
from offramp.data.check import check
from tests.data.readers import test_labelstudio as labelstudio
from tests.data.readers.album import SIZE, photo, told
from tests.data.readers.test_coco import SQUARE, annotation, write_export

WRONG = (None, -1, 1e40, "x", [], {}, [[1]], "http://[x")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Walk all places of a JSON value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(len(value), 3)):
            yield from places(value[key], (*path, key))


def spoilt(value: Any) -> Iterator[Any]:
    """Put every wrong value in every place, and leave out every entry once."""
    for *way, last in places(value):
        for wrong in (*WRONG, ...):
            changed = copy.deepcopy(value)
            parent = changed
            for key in way:
                parent = parent[key]
            if wrong is ...:
                del parent[last]
            else:
                parent[last] = wrong
            yield changed


@pytest.mark.parametrize("layout", ["coco-json", "labelstudio"])
def test_no_damage_gives_another_error_than_ours(tmp_path: Path, layout: str) -> None:
    if layout == "coco-json":
        photo(tmp_path / "images/a.jpg")
        file = tmp_path / "annotations/instances_default.json"
        packed = annotation(0, 2, {"counts": [48], "size": list(SIZE)})
        write_export(file, annotation(0, 1, SQUARE), packed)
        value = json.loads(file.read_text())
    else:
        code = labelstudio.brush(np.ones(SIZE, dtype=bool))
        brush = labelstudio.result("brushlabels", "ball", format="rle", rle=code)
        labelstudio.write_export(tmp_path, labelstudio.polygon("box"), brush)
        file = tmp_path / "export.json"
        value = json.loads(file.read_text())[:1]
    said = []
    for content in spoilt(value):
        file.write_text(json.dumps(content))
        try:
            check(told(tmp_path, layout=layout))
        except OfframpError as error:
            said.append(str(error))
    assert len(said) > 30
    assert [text for text in said if tmp_path.name not in text] == []
