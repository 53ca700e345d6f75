"""An export of Label Studio in its JSON format, with the images beside it.

    export.json        the only JSON file in the folder, or `file`
    …/photo.jpg        below the folder, or below `images`

Polygons (`polygonlabels`, corners in percent) and brushes (`brushlabels`, packed) are drawn in the
order of the export, later ones over earlier ones. Results of other kinds are passed over, and
counted in a warning. So are tasks that nobody labelled or that were skipped. Of several
annotations of a task, the one marked as ground truth counts, or else the first.

An image is found by the file name in its task, also without the eight hexadecimal digits that
uploading puts before it. Labels are those of the export in the order of the alphabet, or
`labels`, after `background`: what no result covers. `background: ignore` makes that 255.
"""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import Field

from offramp.core.errors import BadInput, DataFault
from offramp.core.files import read_json
from offramp.data.images import SUFFIXES
from offramp.data.readers.brush import decode_brush
from offramp.data.readers.reader import Array, Layout, PublicReader, Size
from offramp.data.readers.shapes import Region, fill, paint, with_background
from offramp.data.sample import Sample

logger = logging.getLogger(__name__)

KINDS = ("polygonlabels", "brushlabels")


class LabelStudioLayout(Layout):
    """Options of `labelstudio`.

    Attributes:
        file: the export; absent: the only JSON file in the folder.
        images: folder that holds the images, with its subfolders.
        key: which entry of a task's data names the image.
        labels: class names in their order; absent: those of the export, sorted.
        background: class of what no result covers.
    """

    layout: Literal["labelstudio"]
    file: str | None = None
    images: str = "."
    key: str = "image"
    labels: list[str] = Field(default_factory=list)
    background: str = "background"


class LabelStudio(PublicReader):
    """Reads an export of Label Studio."""

    drawn = True

    def __init__(self, root: Path, layout: LabelStudioLayout) -> None:
        super().__init__(root, layout)
        self.file = root / layout.file if layout.file else _only_json(root)
        self.key = layout.key
        self.images = root / layout.images
        try:
            self.results = self._taken(_tasks(self.file))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, DataFault):
                raise
            raise DataFault(
                f"{self.file}: a task is not as Label Studio writes it", got=str(error)
            ) from None
        found = sorted({label for results in self.results.values() for label, _ in results})
        self.classes = tuple(layout.labels or found)
        unknown = [label for label in found if label not in self.classes]
        if unknown:
            raise DataFault(
                f"{self.file}: labels that 'labels' does not name", got=", ".join(unknown)
            )
        self.names, self.outside = with_background(self.classes, layout.background)
        if not self.names:
            raise DataFault(f"{self.file}: nothing is labelled")

    def public(self) -> dict[str, list[Sample]]:
        """List the labelled images, as one split that is to be divided."""
        files = {p.name: p for p in self.images.rglob("*") if p.suffix.lower() in SUFFIXES}
        samples = []
        for name in sorted(self.results):
            bare = re.sub(r"^[0-9a-f]{8}-", "", name)
            image = files.get(name) or files.get(bare) or self.images / name
            samples.append(Sample(self.name_of(image), image, self.file / name))
        return {"train": samples}

    def labels(self, sample: Sample, size: Size) -> Array:
        """Draw the results of an image."""
        shapes: list[tuple[int, Region]] = []
        for label, result in self.results[sample.mask.name]:
            told = result.get("original_height"), result.get("original_width")
            if told != size:
                raise DataFault(
                    f"{sample.mask}: was labelled on an image of another size",
                    expected=f"{size[1]}x{size[0]}",
                    got=f"{told[1]}x{told[0]}",
                )
            if result.get("image_rotation"):
                raise DataFault(f"{sample.mask}: was labelled on a rotated image")
            region = _region(result, size, str(sample.mask))
            shapes.append((self.names.index(label), region))
        return paint(size, shapes, self.outside, "last")

    def _taken(self, tasks: list[dict[str, Any]]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """Take the results that can be drawn, by the file name of the image; count the others."""
        taken: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        passed: Counter[str] = Counter()
        for task in tasks:
            annotations = [
                a for a in task.get("annotations") or [] if not a.get("was_cancelled", False)
            ]
            if not annotations:
                passed["tasks without annotation"] += 1
                continue
            annotation = max(annotations, key=lambda a: bool(a.get("ground_truth")))
            name = self._image_name(task)
            if name in taken:
                raise DataFault(f"{self.file}: two tasks have the image {name}")
            taken[name] = []
            for result in annotation.get("result") or []:
                kind = str(result.get("type"))
                labels = result.get("value", {}).get(kind) if kind in KINDS else None
                if labels:
                    taken[name].append((str(labels[0]), result))
                else:
                    passed[f"results of kind '{kind}'"] += 1
        if passed:
            counts = ", ".join(f"{count} {what}" for what, count in sorted(passed.items()))
            logger.warning("%s: passed over %s", self.file, counts)
        return taken

    def _image_name(self, task: dict[str, Any]) -> str:
        """Find the file name of a task's image, which may be in an address."""
        data = task.get("data")
        address = data.get(self.key) if isinstance(data, dict) else None
        if not isinstance(address, str):
            raise DataFault(
                f"{self.file}: task {task.get('id')} names no image",
                expected=f"an address at data.{self.key}",
                repair="say by 'key' where it stands",
            )
        parts = urlsplit(address)
        path = parse_qs(parts.query).get("d", [parts.path])[0]
        return unquote(path).replace("\\", "/").rsplit("/", 1)[-1]


def _tasks(file: Path) -> list[dict[str, Any]]:
    try:
        value = read_json(file)
    except BadInput as error:
        raise DataFault(str(error)) from None
    if not isinstance(value, list) or not all(isinstance(task, dict) for task in value):
        raise DataFault(f"{file}: not an export of Label Studio", expected="a list of tasks")
    if value and not any("annotations" in task for task in value):
        raise DataFault(
            f"{file}: an export without annotations",
            expected="tasks with 'annotations'",
            repair="export as JSON, not as JSON-MIN",
        )
    return value


def _region(result: dict[str, Any], size: Size, where: str) -> Region:
    """Draw one result: a polygon in percent, or what a brush painted."""
    value = result["value"]
    if result["type"] == "brushlabels":
        return decode_brush(value.get("rle") or result.get("rle"), size, where)
    points = value.get("points")
    try:
        corners = [float(c) * size[1 - i] / 100 for point in points for i, c in enumerate(point)]
    except (TypeError, ValueError, IndexError):
        raise DataFault(f"{where}: not a polygon", expected="points in percent") from None
    return fill(size, [corners], where)


def _only_json(root: Path) -> Path:
    files = sorted(root.glob("*.json"))
    if len(files) != 1:
        raise BadInput(
            f"{root}: which file is the export?",
            expected="one JSON file",
            got=", ".join(file.name for file in files) or "none",
            repair="name it by 'file'",
        )
    return files[0]


def recognised(root: Path) -> bool:
    """Say whether a folder holds one JSON file, which is a list of tasks."""
    files = list(root.glob("*.json"))
    if len(files) != 1:
        return False
    with files[0].open("rb") as file:
        head = file.read(4096).lstrip(b"\xef\xbb\xbf \r\n\t")
    return head.startswith(b"[") and b'"annotations"' in head
