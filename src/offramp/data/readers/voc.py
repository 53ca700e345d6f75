"""PASCAL VOC 2012: background and 20 kinds of things.

    JPEGImages/NAME.jpg
    SegmentationClass/NAME.png              palette: 0 background, 1 to 20, 255 border
    ImageSets/Segmentation/{train,val}.txt  one name a line

in the folder itself, or in `VOC2012` or `VOCdevkit/VOC2012` below it. The labels of `test` are
held back by the benchmark.

With `augmented` training images are those of SBD too, 10,582 in all. `true` looks for its
conversion to PNG that is handed round, `SegmentationClassAug/`, whose list is
`ImageSets/Segmentation/` `train_aug.txt` or `trainaug.txt`; without one, all masks of that folder
that are not in `val.txt`. Where that is missing it looks for SBD as released, `benchmark_RELEASE`,
in the folder, in VOCdevkit, or beside; a path instead of `true` names its folder. Of it are taken
all images of its train and val that are not in VOC's `val.txt`; where an image is in VOC's
`train.txt`, VOC's own mask holds, which is finer and has a border.
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
from offramp.data.readers.sbd import RELEASE, find_sbd, read_sbd, sbd_names
from offramp.data.sample import Sample

_NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse"
    " motorbike person pottedplant sheep sofa train tvmonitor"
)
NAMES = tuple(_NAMES.split())
LABELS = {index: index for index in range(len(NAMES))} | {IGNORE: IGNORE}


class VocLayout(Layout):
    """Options of `voc`.

    Attributes:
        augmented: train on SBD's images too; or the folder of SBD, relative to `path`.
    """

    layout: Literal["voc"]
    augmented: bool | str = False


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
        train = self._augmented() if self.augmented else self._listed(self._names("train"))
        found = {"train": train, "val": self._listed(self._names("val"))}
        return {split: samples for split, samples in found.items() if samples}

    def labels(self, sample: Sample, size: Size) -> Array:
        """Read the indices of a palette, or a MATLAB file of SBD."""
        del size
        if sample.mask.suffix == ".mat":
            return read_sbd(sample.mask)
        return translate(read_mask(sample.mask), LABELS, sample.mask)

    def _listed(self, names: list[str], masks: str = "SegmentationClass") -> list[Sample]:
        return [self._sample(name, self.folder / masks / f"{name}.png") for name in names]

    def _sample(self, name: str, mask: Path) -> Sample:
        image = self.folder / "JPEGImages" / f"{name}.jpg"
        return Sample(self.name_of(image), image, mask)

    def _names(self, split: str) -> list[str]:
        """Read a list of names; a line may also hold the paths of image and mask."""
        file = self._lists / f"{split}.txt"
        if not file.is_file():
            return []
        lines = read_text(file).splitlines()
        return sorted(Path(line.split()[0]).stem for line in lines if line.strip())

    def _augmented(self) -> list[Sample]:
        """List the training images of VOC and SBD."""
        val = set(self._names("val"))
        masks = self.folder / "SegmentationClassAug"
        if self.augmented is True and masks.is_dir():
            listed = self._names("train_aug") or self._names("trainaug")
            names = listed or sorted({file.stem for file in masks.glob("*.png")} - val)
            return self._listed(names, masks.name)
        told = [self.root / self.augmented] if isinstance(self.augmented, str) else self._around
        sbd = find_sbd(told)
        if sbd is None:
            raise DataFault(
                f"{told[0]}: SBD is not there",
                expected=f"the folder SegmentationClassAug in {self.folder}, or {RELEASE} as"
                " released in it or beside it",
                repair="put it there, name its folder by 'augmented', or leave that out",
            )
        own = set(self._names("train"))
        extra = [self._sample(n, sbd / "cls" / f"{n}.mat") for n in sbd_names(sbd) - own - val]
        return sorted([*self._listed(sorted(own)), *extra], key=lambda sample: sample.name)

    @property
    def _around(self) -> list[Path]:
        """The folders in which SBD is looked for."""
        usual = [self.root, *self.folder.parents[:2], self.root.parent]
        return [self.folder / RELEASE, *(folder / RELEASE for folder in usual)]

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
