"""The front as CSV, read back by Python's own reader."""

import csv
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from offramp.search.point import Point
from offramp.search.table import COLUMNS, front_csv, write_front
from tests.search.fronts import FRONT, FULL, C, point, random_front

LISTS = {"exits": str, "scores": str, "thresholds": float, "shares": float}
WHOLE = {"parameters", "bytes", "memory"}


def read(row: dict[str, str]) -> Point:
    """Read a row, as a script of a user would."""
    values: dict[str, object] = {"network": row["network"]}
    for name, cell in row.items():
        if name in LISTS:
            values[name] = tuple(LISTS[name](part) for part in cell.split())
        elif name == "held_out":
            values[name] = float(cell) if cell else None
        elif name not in ("role", "network"):
            values[name] = int(cell) if name in WHOLE else float(cell)
    return Point(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_read_back_is_what_was_written(tmp_path: Path, seed: int) -> None:
    front = random_front(seed)
    file = tmp_path / "deep" / "front.csv"
    write_front(file, front, front[7], FULL)
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [read(row) for row in rows] == [*front, FULL]
    roles = ["chosen" if i == 7 else "front" for i in range(len(front))]
    assert [row["role"] for row in rows] == [*roles, "full"]


def test_the_header_names_every_field() -> None:
    head = front_csv(FRONT, C, FULL).splitlines()[0].split(",")
    assert tuple(head) == COLUMNS == ("role", *(field.name for field in fields(Point)))


def test_a_chosen_design_beside_the_front_has_its_own_row() -> None:
    other = point(0.5, 70e9, "late/r8-b0-fcn", network='narrow, "0.5"')
    rows = list(csv.DictReader(front_csv(FRONT, other, FULL).splitlines()))
    assert [row["role"] for row in rows] == ["front"] * 5 + ["chosen", "full"]
    assert rows[5]["network"] == 'narrow, "0.5"'
    assert read(rows[5]) == other


def test_the_chosen_design_is_known_by_its_exits_and_thresholds() -> None:
    summed_otherwise = replace(C, macs=C.macs + 1e-5)
    rows = list(csv.DictReader(front_csv(FRONT, summed_otherwise, FULL).splitlines()))
    assert [row["role"] for row in rows] == ["front", "front", "chosen", "front", "front", "full"]
    other_threshold = replace(C, thresholds=(0.51,))
    rows = list(csv.DictReader(front_csv(FRONT, other_threshold, FULL).splitlines()))
    assert [row["role"] for row in rows] == ["front"] * 5 + ["chosen", "full"]


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    odd = replace(C, miou=np.float64(0.1), thresholds=(np.float64(0.3),))
    text = front_csv([odd], odd, FULL)
    assert "np." not in text
    assert read(next(csv.DictReader(text.splitlines()))) == odd
