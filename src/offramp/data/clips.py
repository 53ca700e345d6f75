"""Labelled clips: a video file with one mask a frame, of which every frame is an image.

A path below a video file names a frame of it: `frames.mp4/00012` is the thirteenth. Frames are
best asked for in their order: the decoder goes on where it was, and begins again to go back.
The masks of frame t are `masks[t]` of an `.npz` file, T×H×W.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import DataFault, MissingExtra
from offramp.data.sample import Sample

Array = NDArray[np.uint8]

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".ts")


def load_av() -> Any:
    """Load PyAV.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("PyAV", "video", "reading and writing video") from None
    return av


def is_frame(path: Path) -> bool:
    """Say whether a path names a frame of a video file."""
    return path.parent.suffix.lower() in VIDEO_SUFFIXES and path.name.isdigit()


def read_frame(path: Path) -> Array:
    """Read the frame that `path` names; uint8 RGB H×W×3.

    Raises:
        DataFault: the video cannot be read, or has no such frame.
    """
    return _reader(path.parent).frame(int(path.name))


def frames(name: str, video: Path, masks: Path) -> list[Sample]:
    """List the labelled frames of a clip, in their order.

    Raises:
        DataFault: the masks cannot be read.
    """
    return [
        Sample(f"{name}/{t:05d}", video / f"{t:05d}", masks / f"{t:05d}", group=name, clip=name)
        for t in range(len(_masks(masks)))
    ]


def frame_labels(sample: Sample) -> Array:
    """Read the labels of a frame; uint8 H×W."""
    labels: Array = _masks(sample.mask.parent)[int(sample.mask.name)]
    return labels


class _Reader:
    """A decoder that stands behind the last frame it gave."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.next = 0
        self.pictures: Iterator[Any] = iter(())
        self.last: Array | None = None

    def frame(self, number: int) -> Array:
        """Decode on to a frame, from the beginning if it lies behind."""
        if self.last is not None and number == self.next - 1:
            return self.last
        if number < self.next or not self.next:
            self.pictures, self.next = self._decoded(), 0
        for picture in self.pictures:
            self.next += 1
            if self.next > number:
                self.last = picture.to_ndarray(format="rgb24")
                return self.last
        raise DataFault(f"{self.file}: there is no frame {number}", got=f"{self.next} frames")

    def _decoded(self) -> Iterator[Any]:
        av = load_av()
        try:
            with av.open(str(self.file), options={"protocol_whitelist": "file"}) as container:
                yield from container.decode(video=0)
        except (av.FFmpegError, IndexError) as error:
            raise DataFault(f"{self.file} cannot be read as a video", got=str(error)) from None


@lru_cache(maxsize=2)
def _reader(file: Path) -> _Reader:
    return _Reader(file)


@lru_cache(maxsize=2)
def _masks(file: Path) -> Array:
    """Read the masks of a clip, T×H×W."""
    try:
        with np.load(file, allow_pickle=False) as opened:
            masks: Array = opened["masks"]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise DataFault(f"{file} holds no masks", got=str(error)) from None
    if masks.ndim != 3 or masks.dtype != np.uint8:
        got = f"{masks.dtype} of shape {masks.shape}"
        raise DataFault(f"{file}: not the masks of a clip", expected="uint8 T×H×W", got=got)
    return masks
