"""Cityscapes: 19 classes of street scenes, finely annotated.

    leftImg8bit/{train,val}/CITY/NAME_leftImg8bit.png
    gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png       or NAME_gtFine_labelTrainIds.png

Train ids are read where they are there. Else the ids of `labels.py` of cityscapesScripts, 0 to
33, become train ids: 19 ids are classes, all others are 255. The license plate (-1) is in no
mask. The labels of `test` are held back by the benchmark, its masks are dummies: no split here.
Neighbouring frames show the same street, so `calib` is whole cities of `train`.
"""

from pathlib import Path
from typing import Literal

from offramp.data.images import read_mask
from offramp.data.readers.reader import IGNORE, Array, Layout, PublicReader, Size, translate
from offramp.data.sample import Sample

CLASSES = (  # id, name, colour; in the order of the train ids
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
IDS = dict.fromkeys(range(34), IGNORE) | {
    label: index for index, (label, _, _) in enumerate(CLASSES)
}
TRAIN_IDS = {index: index for index in range(len(CLASSES))} | {IGNORE: IGNORE}


class CityscapesLayout(Layout):
    """Options of `cityscapes`: those of all layouts."""

    layout: Literal["cityscapes"]


class Cityscapes(PublicReader):
    """Reads Cityscapes."""

    names = tuple(name for _, name, _ in CLASSES)
    palette = tuple(colour for _, _, colour in CLASSES)

    def public(self) -> dict[str, list[Sample]]:
        """List the images of train and val."""
        found = {split: self._listed(split) for split in ("train", "val")}
        return {split: samples for split, samples in found.items() if samples}

    def labels(self, sample: Sample, size: Size) -> Array:
        """Read train ids, or ids and turn them into train ids."""
        del size
        ready = sample.mask.name.endswith("_labelTrainIds.png")
        return translate(read_mask(sample.mask), TRAIN_IDS if ready else IDS, sample.mask)

    def _listed(self, split: str) -> list[Sample]:
        samples = []
        for image in sorted((self.root / "leftImg8bit" / split).glob("*/*_leftImg8bit.png")):
            city = image.parent.name
            stem = image.name.removesuffix("_leftImg8bit.png")
            labels = self.root / "gtFine" / split / city / f"{stem}_gtFine_labelTrainIds.png"
            if not labels.is_file():
                labels = labels.with_name(f"{stem}_gtFine_labelIds.png")
            samples.append(Sample(self.name_of(image), image, labels, city))
        return samples


def recognised(root: Path) -> bool:
    """Say whether a folder holds Cityscapes."""
    return (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()
