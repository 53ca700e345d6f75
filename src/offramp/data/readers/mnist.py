"""MNIST, and whatever comes in its four IDX files: a classification as a segmentation.

    train-images-idx3-ubyte[.gz]  train-labels-idx1-ubyte[.gz]
    t10k-images-idx3-ubyte[.gz]   t10k-labels-idx1-ubyte[.gz]

in the folder itself or in `MNIST/raw`; names with a dot before `idx` are found too.

The label of an image fills its mask: a network with one cell answers for all pixels. Grey
becomes RGB. `test` is the 10,000 of t10k. The 60,000 of train are cut in the order of the file:
first `train`, then `val`, then `calib`, of which each has a twelfth: 50,000, 5,000, 5,000.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from offramp.core.errors import BadInput, DataFault
from offramp.data.idx import read_entry, read_idx
from offramp.data.readers.reader import Array, Layout, PublicReader, Share, Size
from offramp.data.sample import Sample

FILES = {"train": "train", "test": "t10k"}


class MnistLayout(Layout):
    """Options of `mnist`."""

    layout: Literal["mnist"]
    calib_share: Share = 1 / 12
    val_share: Share = 1 / 12
    test_share: None = None


class Mnist(PublicReader):
    """Reads MNIST out of memory."""

    names = tuple(str(digit) for digit in range(10))
    drawn = True

    def __init__(self, root: Path, layout: MnistLayout) -> None:
        super().__init__(root, layout)
        self.folder = _folder(root) or root
        self.held_back = layout.val_share, layout.calib_share

    def public(self) -> dict[str, list[Sample]]:
        """List the images of both pairs of files."""
        return {split: self._listed(name) for split, name in FILES.items()}

    @property
    def divided(self) -> dict[str, list[Sample]]:
        """The images by split; `val` and `calib` are the last of the training file."""
        if "_divided" not in self.__dict__:
            splits = self.public()
            pool = splits.pop("train")
            val, calib = (round(share * len(pool)) for share in self.held_back)
            first = len(pool) - val - calib
            if first < 1:
                raise BadInput(f"{self.root}: val_share and calib_share leave nothing to train on")
            parts = {
                "train": pool[:first],
                "val": pool[first : first + val],
                "calib": pool[first + val :],
            }
            self._divided = {**{split: part for split, part in parts.items() if part}, **splits}
        return self._divided

    def labels(self, sample: Sample, size: Size) -> Array:
        """Fill a mask with the image's label."""
        return np.full(size, read_entry(sample.mask), dtype=np.uint8)

    def _listed(self, name: str) -> list[Sample]:
        images = _find(self.folder, f"{name}-images", 3)
        labels = _find(self.folder, f"{name}-labels", 1)
        pictures, digits = read_idx(images), read_idx(labels)
        for file, values, dimensions in ((images, pictures, 3), (labels, digits, 1)):
            if values.ndim != dimensions:
                raise DataFault(f"{file}: {values.ndim} dimensions", expected=str(dimensions))
        if len(pictures) != len(digits):
            raise DataFault(
                f"{labels}: {len(digits)} labels", expected=f"{len(pictures)}, one an image"
            )
        root = images.relative_to(self.root).as_posix()
        numbers = [f"{number:05d}" for number in range(len(pictures))]
        return [Sample(f"{root}/{n}", images / n, labels / n) for n in numbers]


def recognised(root: Path) -> bool:
    """Say whether a folder holds MNIST's files."""
    return _folder(root) is not None


def _folder(root: Path) -> Path | None:
    for folder in (root, root / "MNIST" / "raw", root / "raw"):
        if any(_names(folder, "train-images", 3)):
            return folder
    return None


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    found = _names(folder, stem, dimensions)
    if not found:
        raise DataFault(f"{folder / stem}-idx{dimensions}-ubyte: the file does not exist")
    return found[0]


def _names(folder: Path, stem: str, dimensions: int) -> list[Path]:
    """List the forms of a file's name that are there; the unpacked one first."""
    names = [f"{stem}{dot}idx{dimensions}-ubyte{gz}" for gz in ("", ".gz") for dot in "-."]
    return [folder / name for name in names if (folder / name).is_file()]
