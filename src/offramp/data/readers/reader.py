"""What a reader of a data set offers, and what the options of all layouts share."""

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from offramp.core.errors import DataFault
from offramp.core.spec import Spec
from offramp.data.readers.shares import Shares, divide
from offramp.data.sample import Sample

Array = NDArray[np.uint8]
Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Byte, Byte, Byte]
Share = Annotated[float, Field(ge=0, lt=1)]
Size = tuple[int, int]

SPLITS = ("train", "val", "calib", "test")
IGNORE = 255
"""The label that counts nowhere, in every layout but our own, which may choose."""


class Reader(ABC):
    """Finds the images of a data set, and reads their labels.

    Attributes:
        names: class names in the order of their labels, before any merging.
        palette: RGB colours by label; classes beyond it get one.
        drawn: labels are drawn at the image's size, and are not a file of their own.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...] = ()
    drawn: bool = False

    @property
    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """The splits there are, in the order of `SPLITS`."""

    @abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """List the images of `split`, which is one of `splits`.

        Raises:
            DataFault: there is none, or a list of them is faulty.
        """

    @abstractmethod
    def labels(self, sample: Sample, size: Size) -> Array:
        """Read the labels of an image; uint8 H×W, before any merging.

        Args:
            sample: which image.
            size: its height and width; only readers that draw look at it.

        Raises:
            DataFault: they cannot be read, or are no labels of this layout.
        """


class Layout(Spec):
    """What a `dataset.yaml` with the key `layout` may hold whatever the layout.

    Attributes:
        layout: which.
        path: root of the data, relative to the file.
        names: class names after merging; absent: those of the layout that are left.
        palette: colours for pictures, by index after merging.
        remap: merges classes on reading, by name or label.
        calib_share: share of the public training images that becomes `calib`.
        val_share: share of them that becomes `val`; the public `val` is then `test`.
        test_share: share of them that becomes `test`.
    """

    layout: str
    path: str = "."
    names: dict[Byte, str] | None = None
    palette: dict[Byte, Colour] = Field(default_factory=dict)
    remap: dict[Byte | str, Byte | str] = Field(default_factory=dict)
    calib_share: Share = 0.1
    val_share: Share | None = None
    test_share: Share | None = None


class PublicReader(Reader):
    """A reader of a layout: public splits, and what is taken out of `train`.

    Args:
        root: folder of the data.
        layout: its options.
    """

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root = root
        self.shares = Shares(layout.calib_share, layout.val_share, layout.test_share)

    @abstractmethod
    def public(self) -> dict[str, list[Sample]]:
        """List the images of the public splits that have labels."""

    @cached_property
    def divided(self) -> dict[str, list[Sample]]:
        """The images by split, after `calib` and the like were taken out of `train`."""
        return divide(self.public(), self.shares, str(self.root))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are."""
        return tuple(split for split in SPLITS if split in self.divided)

    def samples(self, split: str) -> list[Sample]:
        """List the images of `split`."""
        found = self.divided[split]
        if not found:
            raise DataFault(f"{self.root}: split '{split}' has no images")
        return found

    def name_of(self, image: Path) -> str:
        """Name an image by its path below the root."""
        return image.relative_to(self.root).as_posix()


def read_text(file: Path) -> str:
    """Read a text file in UTF-8.

    Raises:
        DataFault: it is absent, or no such text.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataFault(f"{file}: the file does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataFault(f"{file}: cannot be read as text", got=str(error)) from None


def translate(labels: NDArray[np.integer], table: dict[int, int], file: Path) -> Array:
    """Turn the values of a mask into classes by a table.

    Raises:
        DataFault: a value is not in the table.
    """
    values = np.full(256, -1, dtype=np.int16)
    values[list(table)] = list(table.values())
    result = values[labels]
    if result.min(initial=0) < 0:
        wrong = [int(label) for label in np.unique(labels[result < 0])]
        raise DataFault(f"{file}: labels {wrong} are out of range", expected=_ranges(sorted(table)))
    return np.asarray(result, dtype=np.uint8)


def _ranges(values: list[int]) -> str:
    """Write numbers as ranges: 0 to 33, 255."""
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts)
