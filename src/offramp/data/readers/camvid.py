"""CamVid: street scenes filmed from a car, in the two forms in which it is handed round.

Of SegNet, 11 classes and 11 for void, which becomes 255:

    {train,val,test}/NAME.png    {train,val,test}annot/NAME.png

The original, 31 classes in colours and Void, which becomes 255. Which colour is which class
stands in `label_colors.txt` (R G B name, one a line) or `class_dict.csv` (name,r,g,b):

    701_StillsRaw_full/NAME.png    LabeledApproved_full/NAME_L.png
    {train,val,test}/NAME.png      {train,val,test}_labels/NAME_L.png

The frames of a film are alike, so splits are made of whole sequences: of what stands before the
first underscore of a name, and of one sequence the last frames.
"""

import re
from pathlib import Path
from typing import Literal

from offramp.core.errors import DataFault
from offramp.data.images import read_mask
from offramp.data.readers.colours import ColourTable
from offramp.data.readers.reader import (
    IGNORE,
    Array,
    Colour,
    Layout,
    PublicReader,
    Size,
    read_text,
    translate,
)
from offramp.data.sample import Sample

CLASSES = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (60, 40, 222)),
    ("tree", (128, 128, 0)),
    ("sign symbol", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)
VOID = 11
LABELS = {index: index for index in range(VOID)} | {VOID: IGNORE, IGNORE: IGNORE}
TABLES = ("label_colors.txt", "class_dict.csv")
STILLS, APPROVED = "701_StillsRaw_full", "LabeledApproved_full"
SPLITS = ("train", "val", "test")


class CamvidLayout(Layout):
    """Options of `camvid`: those of all layouts."""

    layout: Literal["camvid"]


class Camvid(PublicReader):
    """Reads CamVid."""

    def __init__(self, root: Path, layout: CamvidLayout) -> None:
        super().__init__(root, layout)
        self.colours: ColourTable | None = None
        if _segnet(root):
            self.names = tuple(name for name, _ in CLASSES)
            self.palette = tuple(colour for _, colour in CLASSES)
            return
        file = next((root / name for name in TABLES if (root / name).is_file()), None)
        if file is None:
            raise DataFault(f"{root}: there is no table of colours", expected=" or ".join(TABLES))
        table = read_table(file)
        void = {name for name in table if name.lower() == "void"}
        self.names = tuple(name for name in table if name not in void)
        self.palette = tuple(table[name] for name in self.names)
        self.colours = ColourTable(self.palette, [table[name] for name in void])

    def public(self) -> dict[str, list[Sample]]:
        """List the images of the splits that have a folder, or all stills as one."""
        if self.colours is None:
            found = {split: self._listed(split, f"{split}annot", "") for split in SPLITS}
        elif (self.root / STILLS).is_dir():
            found = {"train": self._listed(STILLS, APPROVED, "_L")}
        else:
            found = {split: self._listed(split, f"{split}_labels", "_L") for split in SPLITS}
        return {split: samples for split, samples in found.items() if samples}

    def labels(self, sample: Sample, size: Size) -> Array:
        """Read indices or colours."""
        del size
        if self.colours is not None:
            return self.colours.read(sample.mask)
        return translate(read_mask(sample.mask), LABELS, sample.mask)

    def _listed(self, images: str, masks: str, ending: str) -> list[Sample]:
        return [
            Sample(
                self.name_of(image),
                image,
                self.root / masks / f"{image.stem}{ending}.png",
                image.stem.split("_")[0],
            )
            for image in sorted((self.root / images).glob("*.png"))
        ]


def read_table(file: Path) -> dict[str, Colour]:
    """Read which class has which colour, in the order of the file.

    Raises:
        DataFault: a line is no class and colour.
    """
    table: dict[str, Colour] = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip() or line.replace(" ", "").lower() == "name,r,g,b":
            continue
        match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S.*?)\s*", line)
        parts = [*match.groups()[3:], *match.groups()[:3]] if match else line.split(",")
        try:
            name, red, green, blue = parts[0].strip(), *(int(part) for part in parts[1:])
        except ValueError:
            name, red, green, blue = "", -1, -1, -1
        if not name or not all(0 <= value <= 255 for value in (red, green, blue)):
            raise DataFault(
                f"{file}: line {number} is no class and colour",
                expected="R G B name, or name,r,g,b",
                got=line.strip()[:60],
            )
        table[name] = (red, green, blue)
    return table


def recognised(root: Path) -> bool:
    """Say whether a folder holds CamVid in either form."""
    folders = (root / STILLS).is_dir() or (root / "train_labels").is_dir()
    return _segnet(root) or (folders and any((root / name).is_file() for name in TABLES))


def _segnet(root: Path) -> bool:
    return (root / "train").is_dir() and (root / "trainannot").is_dir()
