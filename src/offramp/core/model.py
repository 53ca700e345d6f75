"""Which network, at which size, for which classes: what it takes to build it again."""

import re
from typing import Any

from pydantic import Field

from offramp.core.errors import BadInput
from offramp.core.spec import Spec

Size = tuple[int, int]
"""Height and width in pixels."""


class ModelSpec(Spec):
    """A network of the zoo without weights.

    Attributes:
        name: its name in the zoo.
        names: class names; their count is the number of classes.
        size: input height and width in pixels; frames are resized to it.
        knobs: static choices of the architecture, such as `width: 0.5`.
        ignore_index: label of pixels that count nowhere.
        palette: one RGB colour per class, for pictures.
    """

    name: str
    names: tuple[str, ...] = Field(min_length=1)
    size: Size
    knobs: dict[str, Any] = Field(default_factory=dict)
    ignore_index: int = 255
    palette: tuple[tuple[int, int, int], ...] = ()

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.names)


def parse_size(text: str) -> Size:
    """Read "WxH" or a single number for a square; returns height and width in pixels.

    Raises:
        BadInput: the text is neither, or a side is not from 16 to 8192.
    """
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip())
    if match is None or not all(16 <= int(side) <= 8192 for side in match.groups() if side):
        raise BadInput(
            "not an image size", expected="WxH in pixels, as in 640x384", got=f"'{text}'"
        )
    width = int(match[1])
    return int(match[2] or width), width


def format_size(size: Size) -> str:
    """Write height and width as "WxH"."""
    return f"{size[1]}x{size[0]}"
