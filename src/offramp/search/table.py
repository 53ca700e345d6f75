"""A frontier as a CSV table, for spreadsheets and scripts: a row a design, a column a figure."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from offramp.core.files import write_bytes
from offramp.search.neighbours import same_design
from offramp.search.point import Point

ROLE = "role"
"""The first column: "front", "chosen" (also where it is on the front) or "full"."""

COLUMNS = (ROLE, *(field.name for field in fields(Point)))
"""The header: the role, then the fields of a point under their own names."""


def front_csv(frontier: Sequence[Point], chosen: Point, full: Point) -> str:
    """Write the front, the chosen design and the full network as CSV (RFC 4180).

    Numbers are written in full, so that reading them gives the same numbers. Lists are joined by
    spaces; what is not known is empty.

    Args:
        frontier: designs, in the order of the rows.
        chosen: comes after the front where it is not on it.
        full: comes last.
    """
    rows = [("chosen" if same_design(point, chosen) else "front", point) for point in frontier]
    if all(role == "front" for role, _ in rows):
        rows.append(("chosen", chosen))
    rows.append(("full", full))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for role, point in rows:
        writer.writerow([role, *(_cell(getattr(point, name)) for name in COLUMNS[1:])])
    return text.getvalue()


def write_front(file: Path, frontier: Sequence[Point], chosen: Point, full: Point) -> None:
    """Write the table of `front_csv` to a file, whole or not at all."""
    write_bytes(file, front_csv(frontier, chosen, full).encode("utf-8"))


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(_cell(part) for part in value)
    if isinstance(value, float):
        return repr(float(value))  # of numpy's numbers too
    return "" if value is None else str(value)
