"""PASCAL VOC 2012: background and 20 kinds of things.

    JPEGImages/NAME.jpg
    SegmentationClass/NAME.png              palette: 0 background, 1 to 20, 255 border
    ImageSets/Segmentation/{train,val}.txt  one name a line

in the folder itself, or in `VOC2012` or `VOCdevkit/VOC2012` below it. The labels of `test` are
held back by the benchmark.

With `augmented: true` training images are those of SBD too (10,582 in all), read from the
conversion to PNG that is handed round as `SegmentationClassAug/`. Their list is
`ImageSets/Segmentation/` `train_aug.txt` or `trainaug.txt`; without one, all masks of that folder
that are not in `val.txt`. SBD's own MATLAB files are not read.
"""

from pathlib import Path
from typing import Literal

from offramp.core.errors import DataFault
from offramp.data.colour import voc_colour
from offramp.data.images import read_mask
from offramp.data.readers.reader import (
    IGNORE,
    Array,
    Layout,
    PublicReader,
    Size,
    read_text,
    translate,
)
from offramp.data.sample import Sample

_NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse"
    " motorbike person pottedplant sheep sofa train tvmonitor"
)
NAMES = tuple(_NAMES.split())
LABELS = {index: index for index in range(len(NAMES))} | {IGNORE: IGNORE}


class VocLayout(Layout):
    """Options of `voc`; `augmented`: train on SBD's images too."""

    layout: Literal["voc"]
    augmented: bool = False


class Voc(PublicReader):
    """Reads PASCAL VOC."""

    names = NAMES
    palette = tuple(voc_colour(label) for label in range(len(NAMES)))

    def __init__(self, root: Path, layout: VocLayout) -> None:
        super().__init__(root, layout)
        self.folder = _folder(root) or root
        self.augmented = layout.augmented

    def public(self) -> dict[str, list[Sample]]:
        """List the images of train and val."""
        val = self._names("val")
        train, masks = self._names("train"), "SegmentationClass"
        if self.augmented:
            train, masks = self._augmented(val), "SegmentationClassAug"
        found = {"train": self._listed(train, masks), "val": self._listed(val, "SegmentationClass")}
        return {split: samples for split, samples in found.items() if samples}

    def labels(self, sample: Sample, size: Size) -> Array:
        """Read the indices of a palette."""
        del size
        return translate(read_mask(sample.mask), LABELS, sample.mask)

    def _listed(self, names: list[str], masks: str) -> list[Sample]:
        images = [self.folder / "JPEGImages" / f"{name}.jpg" for name in names]
        return [
            Sample(self.name_of(image), image, self.folder / masks / f"{image.stem}.png")
            for image in images
        ]

    def _names(self, split: str) -> list[str]:
        """Read a list of names; a line may also hold the paths of image and mask."""
        file = self._lists / f"{split}.txt"
        if not file.is_file():
            return []
        lines = read_text(file).splitlines()
        return sorted(Path(line.split()[0]).stem for line in lines if line.strip())

    def _augmented(self, val: list[str]) -> list[str]:
        masks = self.folder / "SegmentationClassAug"
        if not masks.is_dir():
            raise DataFault(
                f"{masks}: the folder does not exist",
                expected="SBD converted to PNG",
                repair="put it there, or leave out 'augmented'",
            )
        listed = self._names("train_aug") or self._names("trainaug")
        return listed or sorted({file.stem for file in masks.glob("*.png")} - set(val))

    @property
    def _lists(self) -> Path:
        return self.folder / "ImageSets" / "Segmentation"


def recognised(root: Path) -> bool:
    """Say whether a folder holds PASCAL VOC."""
    return _folder(root) is not None


def _folder(root: Path) -> Path | None:
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        needed = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")
        if all((folder / name).is_dir() for name in needed):
            return folder
    return None
