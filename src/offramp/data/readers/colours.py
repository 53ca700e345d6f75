"""Masks in colours: one RGB colour a class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from offramp.core.errors import BadInput, DataFault
from offramp.data.images import read_coloured
from offramp.data.readers.reader import IGNORE, Array, Colour


class ColourTable:
    """Turns colours into labels.

    Args:
        classes: the colour of each label.
        ignored: colours of pixels that count nowhere.

    Raises:
        BadInput: two classes have one colour.
    """

    def __init__(self, classes: Sequence[Colour], ignored: Sequence[Colour] = ()) -> None:
        codes = [_code(colour) for colour in (*classes, *ignored)]
        if len(set(codes)) < len(codes):
            double = next(c for c in (*classes, *ignored) if codes.count(_code(c)) > 1)
            raise BadInput("two classes have one colour", got=str(list(double)))
        labels = [*range(len(classes)), *[IGNORE] * len(ignored)]
        order = np.argsort(codes)
        self._codes = np.array(codes, dtype=np.int64)[order]
        self._labels = np.array(labels, dtype=np.uint8)[order]

    def read(self, file: Path) -> Array:
        """Read a mask; uint8 H×W.

        Raises:
            DataFault: it cannot be read, is partly transparent, or has other colours.
        """
        picture = read_coloured(file).astype(np.int64)
        codes = picture[..., 0] << 16 | picture[..., 1] << 8 | picture[..., 2]
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        strange = self._codes[places] != codes
        if strange.any():
            first = int(codes[strange][0])
            raise DataFault(
                f"{file}: {int(strange.sum())} pixels have a colour of no class",
                got=f"[{first >> 16}, {first >> 8 & 255}, {first & 255}] and the like",
                repair="save masks without smoothing and not as JPEG, or name the colour",
            )
        return np.asarray(self._labels[places])


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
