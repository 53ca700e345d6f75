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

With the key `layout` the file names a public data set instead, and takes the keys of that layout:

    layout: cityscapes
    path: /data/cityscapes
    remap: {rider: person}        # by name; the classes that are left close up
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field

from offramp.core.errors import BadInput, DataFault, UnknownName
from offramp.core.spec import Spec
from offramp.data.clips import frame_labels, frames
from offramp.data.colour import voc_colour
from offramp.data.images import Array, image_size, read_image
from offramp.data.merging import by_name, merge
from offramp.data.readers.layouts import LAYOUTS, open_layout, recognise
from offramp.data.readers.plain import Plain
from offramp.data.readers.reader import IGNORE, SPLITS, Byte, Colour, Reader, Size
from offramp.data.sample import Sample


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
    palette: dict[Byte, Colour] = Field(default_factory=dict)
    videos: dict[str, Video] = Field(default_factory=dict)
    remap: dict[Byte, Byte | str] = Field(default_factory=dict)


class Dataset:
    """Labelled images by split.

    Args:
        file: the `dataset.yaml`, or the folder of a public layout.
        spec: its content; of a layout, what it amounts to.
        reader: what finds images and reads labels; absent: our own folders.
        table: what each label becomes on reading; absent: what `spec.remap` says.

    Raises:
        DataFault: the class indices have gaps.
        UnknownName: `remap` leads to a class that there is not.
    """

    def __init__(
        self,
        file: Path,
        spec: DatasetSpec,
        reader: Reader | None = None,
        table: dict[int, int] | None = None,
    ) -> None:
        if sorted(spec.names) != list(range(len(spec.names))):
            raise DataFault(
                f"{file}: class indices must run from 0 without gaps", got=str(sorted(spec.names))
            )
        self.file = file
        self.spec = spec
        self.root = (file.parent / spec.path).resolve()
        folders = {split: getattr(spec, split) for split in SPLITS if getattr(spec, split)}
        self.reader = reader or Plain(self.root, folders, self.names)
        if table is None:
            table = by_name(str(file), spec.remap, spec.names, spec.ignore_index)
        self._table = np.arange(256, dtype=np.uint8) if table else None
        for source, target in table.items():
            self._table[source] = target  # type: ignore[index]

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Open a `dataset.yaml`, the folder that holds one, or a public set's folder.

        Raises:
            BadInput: there is none, or it is not understood.
        """
        file = path / "dataset.yaml" if path.is_dir() else path
        try:
            value = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            if path.is_dir() and (layout := recognise(path)) is not None:
                return cls._of_layout(path, {"layout": layout, "path": path.name})
            raise BadInput(
                f"there is no data set at {path}",
                expected="a dataset.yaml, the folder that holds one, or the folder of a public"
                f" set in one of the layouts {', '.join(LAYOUTS)}",
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
        if "layout" in value:
            return cls._of_layout(file, value)
        return cls(file, DatasetSpec.parse(value, str(file)))

    @classmethod
    def _of_layout(cls, file: Path, value: dict[str, Any]) -> "Dataset":
        """Open a public set: `file` is a dataset.yaml with `layout`, or the set's own folder."""
        layout, reader = open_layout(file, value)
        if not 0 < len(reader.names) < IGNORE:
            raise DataFault(f"{file}: {len(reader.names)} classes", expected="1 to 254")
        merged = merge(str(file), reader.names, layout.remap, layout.names, IGNORE)
        colours = {
            index: reader.palette[label]
            for index, label in merged.origin.items()
            if label < len(reader.palette)
        }
        amounts_to = {
            "path": layout.path,
            "names": merged.names,
            "ignore_index": IGNORE,
            "palette": {**colours, **layout.palette},
        }
        spec = DatasetSpec.parse(amounts_to, str(file))
        return cls(file, spec, reader, merged.table)

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
        """The splits that the data set has."""
        return self.reader.splits

    def samples(self, split: str) -> list[Sample]:
        """List the images of a split, or frames of a clip, with their masks; the order stays.

        Raises:
            UnknownName: the data set has no such split, and no such clip.
            DataFault: its folder does not exist or holds no image.
        """
        if split in self.spec.videos:
            clip = self.spec.videos[split]
            return frames(split, self.root / clip.video, self.root / clip.masks)
        if split not in self.splits:
            raise UnknownName(f"split in {self.file}", split, (*self.splits, *self.spec.videos))
        return self.reader.samples(split)

    def read(self, sample: Sample) -> tuple[Array, Array]:
        """Read an image (uint8 RGB H×W×3) and its mask (uint8 H×W), classes remapped.

        Raises:
            DataFault: a file is unreadable, or image and mask differ in size.
        """
        image = read_image(sample.image)
        mask = self.labels(sample, (image.shape[0], image.shape[1]))
        if image.shape[:2] != mask.shape:
            raise DataFault(
                f"{sample.mask}: image and mask differ in size",
                expected=f"{image.shape[1]}x{image.shape[0]}",
                got=f"{mask.shape[1]}x{mask.shape[0]}",
            )
        return image, mask

    def labels(self, sample: Sample, size: Size | None = None) -> Array:
        """Read the mask of an image alone (uint8 H×W), classes remapped.

        Args:
            sample: which image.
            size: the image's height and width, where it is known already.

        Raises:
            DataFault: the labels are unreadable, or none of the layout's.
        """
        if sample.clip:
            return self.remapped(frame_labels(sample))
        if size is None and self.reader.drawn:
            size = image_size(sample.image)
        return self.remapped(self.reader.labels(sample, size or (0, 0)))

    def remapped(self, mask: Array) -> Array:
        """Apply the data set's `remap` to class indices of any shape."""
        return mask if self._table is None else self._table[mask]

    def pairs(self, split: str) -> Iterator[tuple[Array, Array]]:
        """Read the images and masks of `split` one after the other."""
        for sample in self.samples(split):
            yield self.read(sample)


def default_colour(index: int) -> tuple[int, int, int]:
    """Give a class a colour: the colour map of PASCAL VOC, shifted by one."""
    return voc_colour(index + 1)
