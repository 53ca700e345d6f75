"""A decoded frame that becomes RGB only when someone wants it."""

from dataclasses import dataclass
from typing import Any, Protocol

from offramp.data.images import MAX_PIXELS, Array


class Corrupt(Exception):
    """A packet or a frame that cannot be decoded; the next may well be."""


class Picture(Protocol):
    """A decoded frame.

    Attributes:
        time_s: its time in its stream, in seconds, if it has one.
        size: width and height in pixels.
        corrupt: whether the decoder knows that parts are missing.
    """

    @property
    def time_s(self) -> float | None: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def corrupt(self) -> bool: ...

    def rgb(self) -> Array:
        """Give the frame as uint8 RGB H×W×3."""
        ...


class Decoded:
    """A frame of PyAV's.

    Args:
        frame: the frame.
    """

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.time_s: float | None = frame.time
        self.size: tuple[int, int] = (frame.width, frame.height)
        self.corrupt = bool(frame.is_corrupt)

    def rgb(self) -> Array:
        """Convert it.

        Raises:
            Corrupt: it has more than `MAX_PIXELS`.
        """
        if self.size[0] * self.size[1] > MAX_PIXELS:
            raise Corrupt(f"a frame of {self.size[0]}x{self.size[1]} pixels")
        image: Array = self._frame.to_ndarray(format="rgb24")
        return image


@dataclass(frozen=True)
class Still:
    """A frame that is RGB already: uint8 H×W×3."""

    image: Array
    time_s: float | None = None
    corrupt: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def rgb(self) -> Array:
        """Give the frame."""
        return self.image
