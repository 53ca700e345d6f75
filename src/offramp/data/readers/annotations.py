"""A file of annotations in COCO's JSON: images, annotations, categories."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from offramp.core.errors import BadInput, DataFault
from offramp.core.files import read_json
from offramp.data.readers.reader import Array, Size
from offramp.data.readers.shapes import Overlap, Region, fill, paint, unpack


class Annotations:
    """What a COCO file says.

    Attributes:
        images: the entry of each image, by its file name, sorted.
        categories: name by id, in the order of ids.
        colours: RGB by id, where the file gives them.

    Args:
        file: the JSON file.

    Raises:
        DataFault: it is absent, or not of this form.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            value = read_json(file)
        except BadInput as error:
            raise DataFault(str(error)) from None
        keys = ("images", "annotations", "categories")
        if not isinstance(value, dict) or not all(isinstance(value.get(k), list) for k in keys):
            raise DataFault(f"{file}: not COCO annotations", expected="lists " + ", ".join(keys))
        try:
            self._take(value)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataFault(
                f"{file}: an entry is not as in COCO", got=f"{type(error).__name__} {error}"
            ) from None

    def _take(self, value: dict[str, Any]) -> None:
        entries = {str(entry["file_name"]): entry for entry in value["images"]}
        if len(entries) < len(value["images"]):
            raise ValueError("two images have one file_name")
        if len({int(entry["id"]) for entry in entries.values()}) < len(entries):
            raise ValueError("two images have one id")
        self.images = dict(sorted(entries.items()))
        ordered = sorted(value["categories"], key=lambda category: int(category["id"]))
        self.categories = {int(c["id"]): str(c["name"]) for c in ordered}
        self.colours = {int(c["id"]): tuple(c["color"]) for c in ordered if "color" in c}
        self.families = {str(c.get("supercategory", "")) for c in ordered}
        self._of: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.used: set[int] = set()
        for annotation in value["annotations"]:
            self._of[annotation["image_id"]].append(annotation)
            segments = annotation.get("segments_info") or []
            self.used |= {int(part.get("category_id", -1)) for part in (annotation, *segments)}
            _ = [int(segment["id"]) for segment in segments]

    def of(self, name: str) -> list[dict[str, Any]]:
        """List the annotations of an image, in the order of the file."""
        return self._of.get(self.images[name]["id"], [])

    def draw(
        self, name: str, labels: dict[int, int], background: int, overlap: Overlap, size: Size
    ) -> Array:
        """Draw the annotations of an image; uint8 H×W.

        Args:
            name: the image's file name.
            labels: label by category id; annotations of other categories are passed over.
            background: label outside.
            overlap: what holds where two overlap.
            size: height and width of the picture; the entry may not say otherwise.

        Raises:
            DataFault: an annotation is neither polygons nor run lengths, its category is unknown,
                or the entry is of another size.
        """
        entry = self.images[name]
        where = f"{self.file / name}"
        told = entry.get("height", size[0]), entry.get("width", size[1])
        if told != size:
            raise DataFault(
                f"{where}: the entry has another size than the image",
                expected=f"{size[1]}x{size[0]}",
                got=f"{told[1]}x{told[0]}",
                repair="annotate the upright image, and do not resize it afterwards",
            )
        shapes = []
        for annotation in self.of(name):
            category = annotation.get("category_id")
            if category not in self.categories:
                raise DataFault(
                    f"{where}: there is no category {category}",
                    expected="one of " + ", ".join(str(known) for known in self.categories),
                )
            if category in labels:
                outline = annotation.get("segmentation")
                shapes.append((labels[category], _region(outline, size, where)))
        return paint(size, shapes, background, overlap)


def _region(outline: Any, size: Size, where: str) -> Region:
    if isinstance(outline, dict):
        return unpack(outline, size, where)
    if not isinstance(outline, list) or not outline:
        raise DataFault(
            f"{where}: an annotation has no outline",
            expected="'segmentation' with polygons or run lengths",
            repair="boxes are no masks: export segmentation, or take the annotation out",
        )
    return fill(size, outline, where)
