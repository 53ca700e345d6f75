"""COCO's JSON beside a folder of images, as CVAT and Roboflow export it.

    annotations/instances_default.json   images/…                          of CVAT
    {train,valid,test}/_annotations.coco.json   images beside it           of Roboflow

or wherever `annotations` and `images` say, each one path or one a split. An image lies below
`images` under its `file_name`. One file without splits is divided.

Categories get labels in the order of their ids, after `background`: what lies outside all
outlines. `background: ignore` makes that 255; the name of a category makes it that one. A category
that only names the family of others, as Roboflow writes one, is passed over.
"""

from pathlib import Path
from typing import Literal

from offramp.core.errors import BadInput
from offramp.data.readers.annotations import Annotations
from offramp.data.readers.reader import SPLITS, Array, Layout, PublicReader, Size
from offramp.data.readers.shapes import Overlap, with_background
from offramp.data.sample import Sample

ROBOFLOW = {"train": "train", "val": "valid", "test": "test"}
Where = str | dict[Literal["train", "val", "calib", "test"], str]


class CocoJsonLayout(Layout):
    """Options of `coco-json`; see this file's head.

    Attributes:
        annotations: the JSON file, or one a split.
        images: folder of images, or one a split.
        background: class of what no outline covers.
        overlap: where two outlines overlap: the later, or 255.
    """

    layout: Literal["coco-json"]
    annotations: Where | None = None
    images: Where | None = None
    background: str = "background"
    overlap: Overlap = "last"


class CocoJson(PublicReader):
    """Reads COCO's JSON of any origin."""

    drawn = True

    def __init__(self, root: Path, layout: CocoJsonLayout) -> None:
        super().__init__(root, layout)
        files = self._files(layout)
        self.overlap = layout.overlap
        self.files = {split: Annotations(file) for split, (file, _) in files.items()}
        self.folders = {split: folder for split, (_, folder) in files.items()}
        classes = {split: _categories(said) for split, said in self.files.items()}
        first = next(iter(classes.values()))
        for split, other in classes.items():
            if list(other.values()) != list(first.values()):
                raise BadInput(
                    f"{self.files[split].file} has other categories than the file before it",
                    expected=", ".join(first.values()),
                    got=", ".join(other.values()),
                )
        self.names, self.outside = with_background(tuple(first.values()), layout.background)
        self.tables = {
            split: {number: self.names.index(name) for number, name in table.items()}
            for split, table in classes.items()
        }

    def public(self) -> dict[str, list[Sample]]:
        """List the images of each file."""
        found = {}
        for split, said in self.files.items():
            images = [self.folders[split] / name for name in said.images]
            found[split] = [
                Sample(self.name_of(image), image, said.file / name)
                for name, image in zip(said.images, images, strict=True)
            ]
        return found

    def labels(self, sample: Sample, size: Size) -> Array:
        """Draw the outlines of an image."""
        split = next(s for s, a in self.files.items() if sample.mask.is_relative_to(a.file))
        said = self.files[split]
        name = sample.mask.relative_to(said.file).as_posix()
        return said.draw(name, self.tables[split], self.outside, self.overlap, size)

    def _files(self, layout: CocoJsonLayout) -> dict[str, tuple[Path, Path]]:
        """Find the file and the image folder of each split."""
        if layout.annotations is None:
            return _usual(self.root)
        files = _by_split(layout.annotations)
        folders = _by_split(layout.images or ".")
        if set(folders) != set(files) and len(folders) == 1:
            folders = dict.fromkeys(files, next(iter(folders.values())))
        if set(folders) != set(files):
            raise BadInput("the layout 'coco-json' needs one image folder, or one a split")
        return {s: (self.root / files[s], self.root / folders[s]) for s in SPLITS if s in files}


def _categories(said: Annotations) -> dict[int, str]:
    """Leave out a category without annotations of which others are kinds."""
    return {
        number: name
        for number, name in said.categories.items()
        if number in said.used or name not in said.families
    }


def _by_split(value: Where) -> dict[str, str]:
    return {"train": value} if isinstance(value, str) else dict(value.items())


def _usual(root: Path) -> dict[str, tuple[Path, Path]]:
    """Find what Roboflow or CVAT writes."""
    found = {}
    for split, folder in ROBOFLOW.items():
        file = root / folder / "_annotations.coco.json"
        if file.is_file():
            found[split] = (file, root / folder)
    default = root / "annotations" / "instances_default.json"
    if default.is_file():
        folders = [root / "images" / "default", root / "images"]
        found.setdefault("train", (default, next((f for f in folders if f.is_dir()), root)))
    if not found:
        raise BadInput(
            f"{root} holds no COCO annotations",
            expected="train/_annotations.coco.json or annotations/instances_default.json",
            repair="name them by 'annotations' and 'images' in a dataset.yaml",
        )
    return found


def recognised(root: Path) -> bool:
    """Say whether a folder holds what Roboflow or CVAT writes."""
    default = (root / "annotations" / "instances_default.json").is_file()
    return default or (root / "train" / "_annotations.coco.json").is_file()
