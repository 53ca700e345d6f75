"""COCO: everyday photographs.

    {train,val}2017/NAME.jpg                          or images/{train,val}2017
    annotations/instances_{train,val}2017.json
    annotations/panoptic_{train,val}2017.json         annotations/panoptic_{train,val}2017/NAME.png
    annotations/stuff_{train,val}2017.json            annotations/stuff_{train,val}2017_pixelmaps

`classes` says what is read:

- `voc`: background and the 20 categories that PASCAL VOC has, in its order, as torchvision's
  reference training does: where two outlines overlap, the label is 255; crowds count as their
  category. `min_area: 1000` leaves out the training images that torchvision leaves out.
- `things`: background and the 80 categories of the instances, likewise.
- `panoptic`: 80 things and 53 kinds of stuff, from the colours of the PNG: a segment's id is
  R + 256 G + 65536 B; 0 is void and becomes 255.
- `stuff`: 91 kinds of stuff and "other" from the pixel maps, whose values are category ids; 0
  becomes 255.

Categories get labels in the order of their ids. `test` has no labels.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from offramp.core.errors import DataFault
from offramp.data.images import read_coloured, read_mask
from offramp.data.readers import voc
from offramp.data.readers.annotations import Annotations
from offramp.data.readers.reader import IGNORE, Array, Layout, PublicReader, Size, translate
from offramp.data.readers.shapes import Overlap
from offramp.data.sample import Sample

OF_VOC = (5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
"""Category ids of VOC's classes from aeroplane to tvmonitor."""

SPLITS = ("train", "val")


class CocoLayout(Layout):
    """Options of `coco`; see this file's head.

    Attributes:
        classes: what is read.
        year: of the images.
        overlap: of outlines: `ignore` or `last`.
        min_area: of `voc` and `things`: training images are left out that have no more
            annotated pixels than this.
    """

    layout: Literal["coco"]
    classes: Literal["voc", "things", "panoptic", "stuff"] = "voc"
    year: int = 2017
    overlap: Overlap = "ignore"
    min_area: int = Field(default=0, ge=0)


class Coco(PublicReader):
    """Reads COCO."""

    def __init__(self, root: Path, layout: CocoLayout) -> None:
        super().__init__(root, layout)
        self.told = layout
        self.drawn = layout.classes in ("voc", "things")
        self.kind = "instances" if self.drawn else layout.classes
        categories = self._first.categories
        if layout.classes == "voc":
            missing = [number for number in OF_VOC if number not in categories]
            if missing:
                raise DataFault(f"{self._first.file}: categories are missing", got=str(missing))
            self.names = voc.NAMES
            self.table = {number: index for index, number in enumerate(OF_VOC, start=1)}
            self.palette = voc.Voc.palette
            return
        first = 1 if layout.classes == "things" else 0
        self.names = (*(("background",) if first else ()), *categories.values())
        self.table = {number: index for index, number in enumerate(categories, start=first)}
        colours = self._first.colours
        if len(colours) == len(categories) and not first:
            self.palette = tuple(colours[number] for number in categories)

    @cached_property
    def files(self) -> dict[str, Annotations]:
        """The annotations of the splits that are there."""
        folder = self.root / "annotations"
        names = {split: f"{self.kind}_{split}{self.told.year}.json" for split in SPLITS}
        found = {s: Annotations(folder / n) for s, n in names.items() if (folder / n).is_file()}
        if not found:
            raise DataFault(f"{folder / names['train']}: the file does not exist")
        return found

    @property
    def _first(self) -> Annotations:
        return next(iter(self.files.values()))

    def public(self) -> dict[str, list[Sample]]:
        """List the images of train and val."""
        return {split: self._listed(split, said) for split, said in self.files.items()}

    def labels(self, sample: Sample, size: Size) -> Array:
        """Draw outlines, or read a PNG."""
        if self.kind == "stuff":
            return translate(read_mask(sample.mask), {0: IGNORE, **self.table}, sample.mask)
        said = self._said_of(sample)
        if self.kind == "panoptic":
            return self._panoptic(sample, said)
        return said.draw(sample.image.name, self.table, 0, self.told.overlap, size)

    def _listed(self, split: str, said: Annotations) -> list[Sample]:
        year = f"{split}{self.told.year}"
        folder = self.root / "images" / year
        folder = folder if folder.is_dir() else self.root / year
        masks = {
            "panoptic": self.root / "annotations" / f"panoptic_{year}",
            "stuff": self.root / "annotations" / f"stuff_{year}_pixelmaps",
        }.get(self.kind)
        samples = []
        for name in said.images:
            image = folder / name
            mask = said.file / name if masks is None else masks / f"{image.stem}.png"
            if (
                split == "val"
                or not (self.drawn and self.told.min_area)
                or self._enough(said, name)
            ):
                samples.append(Sample(self.name_of(image), image, mask))
        return samples

    def _said_of(self, sample: Sample) -> Annotations:
        year = self.told.year
        return self.files[next(s for s in SPLITS if f"{s}{year}" in sample.image.parent.parts)]

    def _enough(self, said: Annotations, name: str) -> bool:
        """Say whether enough of an image is annotated."""
        kept = [a for a in said.of(name) if a.get("category_id") in self.table]
        return sum(float(a.get("area", 0)) for a in kept) > self.told.min_area

    def _panoptic(self, sample: Sample, said: Annotations) -> Array:
        """Turn the segments of a panoptic PNG into classes."""
        picture = read_coloured(sample.mask).astype(np.int64)
        segments = picture[..., 0] + 256 * picture[..., 1] + 65536 * picture[..., 2]
        table = {0: IGNORE}
        for annotation in said.of(sample.image.name):
            for segment in annotation.get("segments_info") or []:
                category = segment.get("category_id")
                if category not in self.table:
                    raise DataFault(f"{sample.mask}: there is no category {category}")
                table[int(segment["id"])] = self.table[category]
        ids, places = np.unique(segments, return_inverse=True)
        wrong = [int(number) for number in ids if int(number) not in table]
        if wrong:
            raise DataFault(f"{sample.mask}: segments {wrong} are not in {said.file}")
        values = np.array([table[int(number)] for number in ids], dtype=np.uint8)
        return np.asarray(values[places.reshape(segments.shape)])


def recognised(root: Path) -> bool:
    """Say whether a folder holds COCO."""
    kinds = ("instances", "panoptic", "stuff")
    names = [f"{kind}_{split}20??.json" for kind in kinds for split in SPLITS]
    return any(any((root / "annotations").glob(name)) for name in names)
