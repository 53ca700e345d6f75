"""A data set: `dataset.yaml` beside folders of images and masks.

    path: .                       # root, relative to this file
    train: images/train           # one image folder a split: train, val, calib, test
    val: images/val
    names: {0: floor, 1: person}  # class indices without gaps
    ignore_index: 255             # pixels with this label count nowhere
    palette: {0: [128, 128, 128], 1: [220, 20, 60]}
    videos: {ramp: {video: videos/ramp.mp4, masks: videos/ramp.npz, fps: 10}}
    remap: {2: 1}                 # merge classes on reading: label 2 becomes 1

The mask of `images/train/a.jpg` is `masks/train/a.png`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from pydantic import Field

from offramp.core.errors import BadInput, DataFault, UnknownName
from offramp.core.spec import Spec
from offramp.data.images import SUFFIXES, Array, read_image, read_mask

SPLITS = ("train", "val", "calib", "test")

Byte = Annotated[int, Field(ge=0, le=255)]


class Video(Spec):
    """A clip with one mask a frame.

    Attributes:
        video: video file.
        masks: `.npz` file with the array `masks`, uint8 T×H×W.
        meta: optional table with one line a frame.
        fps: frames per second.
    """

    video: str
    masks: str
    meta: str | None = None
    fps: float = 10.0


class DatasetSpec(Spec):
    """The content of a `dataset.yaml`; see this file's head."""

    path: str = "."
    train: str | None = None
    val: str | None = None
    calib: str | None = None
    test: str | None = None
    names: dict[Byte, str] = Field(min_length=1)
    ignore_index: int = Field(default=255, ge=0, le=255)
    palette: dict[Byte, tuple[Byte, Byte, Byte]] = Field(default_factory=dict)
    videos: dict[str, Video] = Field(default_factory=dict)
    remap: dict[Byte, Byte] = Field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One labelled image: where it is, and where its mask is."""

    image: Path
    mask: Path


class Dataset:
    """Labelled images by split.

    Args:
        file: the `dataset.yaml`.
        spec: its content.

    Raises:
        DataFault: the class indices have gaps.
    """

    def __init__(self, file: Path, spec: DatasetSpec) -> None:
        if sorted(spec.names) != list(range(len(spec.names))):
            raise DataFault(
                f"{file}: class indices must run from 0 without gaps", got=str(sorted(spec.names))
            )
        self.file = file
        self.spec = spec
        self.root = (file.parent / spec.path).resolve()

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Open a `dataset.yaml`, or the folder that holds one.

        Raises:
            BadInput: there is none, or it is not understood.
        """
        file = path / "dataset.yaml" if path.is_dir() else path
        try:
            value = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise BadInput(
                f"there is no data set at {path}",
                expected="a dataset.yaml or the folder that holds one",
                repair="see docs/data.md, or make one: offramp data make factory OUT",
            ) from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataFault(
                f"{file} cannot be read as YAML", got=" ".join(str(error).split())
            ) from None
        if not isinstance(value, dict):
            raise DataFault(
                f"{file} is not a data set", expected="keys such as 'train' and 'names'"
            )
        return cls(file, DatasetSpec.parse(value, str(file)))

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of their indices."""
        return tuple(self.spec.names[index] for index in range(len(self.spec.names)))

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """One RGB colour a class; classes without one get a colour of their own."""
        return tuple(
            self.spec.palette.get(index, default_colour(index)) for index in range(len(self.names))
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the file names."""
        return tuple(split for split in SPLITS if getattr(self.spec, split))

    def samples(self, split: str) -> list[Sample]:
        """List the images of `split` with their masks, sorted by name.

        Raises:
            UnknownName: the data set has no such split.
            DataFault: its folder does not exist or holds no image.
        """
        if split not in self.splits:
            raise UnknownName(f"split in {self.file}", split, self.splits)
        relative = str(getattr(self.spec, split))
        folder = self.root / relative
        images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not images:
            raise DataFault(f"{folder}: split '{split}' has no images")
        masks = self.root / _mirrored(relative)
        return [Sample(p, (masks / p.relative_to(folder)).with_suffix(".png")) for p in images]

    def read(self, sample: Sample) -> tuple[Array, Array]:
        """Read an image (uint8 RGB H×W×3) and its mask (uint8 H×W), classes remapped.

        Raises:
            DataFault: a file is unreadable, or image and mask differ in size.
        """
        image, mask = read_image(sample.image), read_mask(sample.mask)
        if image.shape[:2] != mask.shape:
            raise DataFault(
                f"{sample.mask}: image and mask differ in size",
                expected=f"{image.shape[1]}x{image.shape[0]}",
                got=f"{mask.shape[1]}x{mask.shape[0]}",
            )
        return image, self.remapped(mask)

    def remapped(self, mask: Array) -> Array:
        """Apply the data set's `remap` to class indices of any shape."""
        if not self.spec.remap:
            return mask
        table = np.arange(256, dtype=np.uint8)
        for source, target in self.spec.remap.items():
            table[source] = target
        return table[mask]

    def pairs(self, split: str) -> Iterator[tuple[Array, Array]]:
        """Read the images and masks of `split` one after the other."""
        for sample in self.samples(split):
            yield self.read(sample)


def default_colour(index: int) -> tuple[int, int, int]:
    """Give a class a colour: the bit-interleaved colour map of PASCAL VOC, shifted by one."""
    colour = [0, 0, 0]
    bits = index + 1
    for shift in range(7, -1, -1):
        for channel in range(3):
            colour[channel] |= ((bits >> channel) & 1) << shift
        bits >>= 3
    return colour[0], colour[1], colour[2]


def _mirrored(folder: str) -> str:
    """Replace the last path component `images` of `folder` by `masks`."""
    parts = list(Path(folder).parts)
    if "images" not in parts:
        raise DataFault(
            f"'{folder}' has no masks beside it",
            expected="a path with the component 'images', mirrored by 'masks'",
        )
    parts[len(parts) - 1 - parts[::-1].index("images")] = "masks"
    return str(Path(*parts))
