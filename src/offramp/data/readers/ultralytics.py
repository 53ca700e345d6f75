"""Segmentation as Ultralytics reads it: a text file of polygons beside each image.

    data.yaml                     path, train, val, test, names
    images/train/a.jpg            labels/train/a.txt: class x1 y1 x2 y2 … one polygon a line

Coordinates run from 0 to 1 over the upright image's width and height. `train`, `val` and `test`
are a folder, a text file that lists images, or several of these, relative to `path`, which is
relative to data.yaml; where `path` does not exist, data.yaml's own folder counts. The labels of
an image lie where `images`, the last time it stands in its path, is replaced by `labels`. An
image without a text file shows background alone; a split without any text file is refused.

Classes follow `background`: what no polygon covers. `background: ignore` makes that 255. Later
lines lie over earlier ones.
"""

from pathlib import Path
from typing import Any, Literal

from offramp.core.errors import DataFault
from offramp.core.spec import parse_yaml
from offramp.data.images import SUFFIXES
from offramp.data.readers.reader import Array, Layout, PublicReader, Size, read_text
from offramp.data.readers.shapes import Region, fill, paint, with_background
from offramp.data.sample import Sample


class UltralyticsLayout(Layout):
    """Options of `ultralytics`.

    Attributes:
        file: the YAML file.
        background: class of what no polygon covers.
    """

    layout: Literal["ultralytics"]
    file: str = "data.yaml"
    background: str = "background"


class Ultralytics(PublicReader):
    """Reads polygons in text files."""

    drawn = True

    def __init__(self, root: Path, layout: UltralyticsLayout) -> None:
        super().__init__(root, layout)
        self.file = root / layout.file
        value = parse_yaml(read_text(self.file), str(self.file))
        if not isinstance(value, dict):
            raise DataFault(f"{self.file}: not a data set", expected="'train', 'val' and 'names'")
        self.value: dict[str, Any] = value
        self.classes = _names(value.get("names"), self.file)
        self.names, self.outside = with_background(self.classes, layout.background)
        base = root / str(value.get("path") or ".")
        self.base = base if base.is_dir() else self.file.parent

    def public(self) -> dict[str, list[Sample]]:
        """List the images of the splits that data.yaml names."""
        found = {}
        for split in ("train", "val", "test"):
            told = self.value.get(split) or []
            sources = told if isinstance(told, list) else [told]
            images = sorted({image for source in sources for image in self._images(str(source))})
            if images:
                found[split] = [Sample(self._name(i), i, _labels_of(i)) for i in images]
                if not any(sample.mask.is_file() for sample in found[split]):
                    raise DataFault(
                        f"{found[split][0].mask.parent}: split '{split}' has no labels",
                        expected="a text file of polygons for each image that shows a class",
                    )
        return found

    def labels(self, sample: Sample, size: Size) -> Array:
        """Draw the polygons of an image."""
        shapes: list[tuple[int, Region]] = []
        if sample.mask.is_file():
            lines = read_text(sample.mask).splitlines()
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    shapes.append(self._shape(line, size, f"{sample.mask}: line {number}"))
        return paint(size, shapes, self.outside, "last")

    def _shape(self, line: str, size: Size, where: str) -> tuple[int, Region]:
        """Read one line: a class and the corners of a polygon."""
        try:
            first, *rest = (float(word) for word in line.split())
        except ValueError:
            raise DataFault(f"{where} has what is no number", got=line.strip()[:60]) from None
        if first not in range(len(self.classes)):
            raise DataFault(
                f"{where} names class {first:g}", expected=f"0 to {len(self.classes) - 1}"
            )
        if len(rest) < 6 or len(rest) % 2:
            raise DataFault(
                f"{where} is not a polygon",
                expected="a class and three corners or more",
                got=f"{len(rest)} numbers after the class" + (": a box" if len(rest) == 4 else ""),
            )
        if not all(0 <= value <= 1 for value in rest):
            raise DataFault(f"{where} has a corner outside the image", expected="0 to 1")
        corners = [v * size[1 - i % 2] for i, v in enumerate(rest)]
        label = self.names.index(self.classes[int(first)])
        return label, fill(size, [corners], where)

    def _images(self, source: str) -> list[Path]:
        """List the images of a folder or of a text file."""
        place = self.base / source
        if not place.exists() and source.startswith("../"):
            place = self.base / source[3:]  # as Roboflow writes it
        if place.is_file():
            lines = read_text(place).splitlines()
            return [place.parent / line.strip() for line in lines if line.strip()]
        return [p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES]

    def _name(self, image: Path) -> str:
        resolved = image.resolve()
        inside = resolved.is_relative_to(self.root)
        return resolved.relative_to(self.root).as_posix() if inside else image.as_posix()


def _names(value: Any, file: Path) -> tuple[str, ...]:
    """Read the class names, which are a list or a table."""
    table = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(table, dict) or sorted(table) != list(range(len(table))) or not table:
        raise DataFault(
            f"{file}: 'names' is no list of classes",
            expected="names, or a table from 0 without gaps",
            got=str(value)[:60],
        )
    return tuple(str(table[index]) for index in sorted(table))


def _labels_of(image: Path) -> Path:
    parts = list(image.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def recognised(root: Path) -> bool:
    """Say whether a folder holds what Ultralytics reads."""
    return (root / "data.yaml").is_file()
