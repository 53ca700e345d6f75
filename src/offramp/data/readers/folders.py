"""Plain folders of images and masks, whatever they are called.

    layout: folders
    images: {train: photos/train, val: photos/val}   # or one folder, which is divided
    masks: {train: truth/train, val: truth/val}
    mask_ending: _mask             # the mask of a.jpg is a_mask.png; default: a.png
    labels: [floor, person]        # masks of indices: the class of 0, of 1, and so on
    colours: {floor: [0, 0, 0], person: [255, 0, 0]}    # or masks of colours
    ignored: [[255, 255, 255]]     # colours that count nowhere

One of `labels` and `colours` is needed. Masks of indices are grey or palette images, of which the
index counts; 255 counts nowhere. Masks of colours may have a palette too: there the colours count.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from offramp.core.errors import BadInput
from offramp.data.images import SUFFIXES, read_mask
from offramp.data.readers.colours import ColourTable
from offramp.data.readers.reader import (
    SPLITS,
    Array,
    Colour,
    Layout,
    PublicReader,
    Size,
)
from offramp.data.sample import Sample

MASKS = (".png", ".bmp", ".tif", ".tiff")


class FoldersLayout(Layout):
    """Options of `folders`; see this file's head."""

    layout: Literal["folders"]
    images: str | dict[Literal["train", "val", "calib", "test"], str]
    masks: str | dict[Literal["train", "val", "calib", "test"], str]
    mask_ending: str = ""
    labels: list[str] = Field(default_factory=list)
    colours: dict[str, Colour] = Field(default_factory=dict)
    ignored: list[Colour] = Field(default_factory=list)


class Folders(PublicReader):
    """Reads plain folders."""

    def __init__(self, root: Path, layout: FoldersLayout) -> None:
        super().__init__(root, layout)
        if bool(layout.labels) == bool(layout.colours):
            raise BadInput(
                "the layout 'folders' does not know its classes",
                expected="either 'labels' for masks of indices or 'colours' for masks of colours",
            )
        self.names = tuple(layout.labels or layout.colours)
        self.palette = tuple(layout.colours.values())
        self.colours = ColourTable(self.palette, layout.ignored) if layout.colours else None
        self.folders = _by_split(layout.images), _by_split(layout.masks)
        self.ending = layout.mask_ending
        if set(self.folders[0]) != set(self.folders[1]):
            raise BadInput(
                "the layout 'folders' needs the same splits for images and masks",
                expected=", ".join(self.folders[0]),
                got=", ".join(self.folders[1]),
            )

    def public(self) -> dict[str, list[Sample]]:
        """List the images of each folder."""
        images, masks = self.folders
        splits = [split for split in SPLITS if split in images]
        return {split: self._listed(images[split], masks[split]) for split in splits}

    def labels(self, sample: Sample, size: Size) -> Array:
        """Read indices or colours."""
        del size
        if self.colours is not None:
            return self.colours.read(sample.mask)
        return read_mask(sample.mask)

    def _listed(self, images: str, masks: str) -> list[Sample]:
        folder, truth = self.root / images, self.root / masks
        samples = []
        for image in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
            if self.ending and truth == folder and image.stem.endswith(self.ending):
                continue  # a mask among the images
            stem = truth / image.relative_to(folder).with_suffix("")
            names = [stem.with_name(f"{stem.name}{self.ending}{end}") for end in MASKS]
            mask = next((name for name in names if name.is_file()), names[0])
            samples.append(Sample(self.name_of(image), image, mask))
        return samples


def _by_split(value: str | dict[Literal["train", "val", "calib", "test"], str]) -> dict[str, str]:
    return {"train": value} if isinstance(value, str) else dict(value.items())
