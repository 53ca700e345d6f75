"""Sources of frames: image files, folders of images, video files.

A source yields every frame that it promised, in order. One that cannot be read comes as a frame
without an image and with the reason, so that whoever counts frames misses none.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from offramp.core.errors import BadInput, DataFault
from offramp.data.clips import VIDEO_SUFFIXES, load_av
from offramp.data.images import SUFFIXES, Array, read_image
from offramp.video.picture import Corrupt, Decoded, Picture, Still

Pictures = Generator[Picture | Corrupt, None, None]
"""Frames of a source, and faults in place of those that cannot be read."""


@dataclass(frozen=True)
class Frame:
    """One frame of a source.

    Attributes:
        name: file name of an image; frame number of a video, six digits.
        image: uint8 RGB H×W×3, or none if it could not be read.
        time_s: seconds since the video's start; none for an image.
        fault: why there is no image; empty otherwise.
    """

    name: str
    image: Array | None
    time_s: float | None = None
    fault: str = ""


class Source(Protocol):
    """Where frames come from.

    Attributes:
        name: what its outputs are named after.
        total: how many frames are promised; 0 if unknown.
        fps: frames per second of a video; none for images.
        live: whether frames come when they come, and those not taken in time are lost.
        dropped: how many were lost so far.
    """

    name: str
    total: int
    fps: float | None
    live: bool
    dropped: int

    def frames(self) -> Iterator[Frame]:
        """Yield the frames once, in order."""
        ...


class Images:
    """A list of image files.

    Args:
        name: what outputs are named after.
        files: the images, in order.
    """

    fps: float | None = None
    live = False
    dropped = 0

    def __init__(self, name: str, files: list[Path]) -> None:
        self.name = name
        self.files = files
        self.total = len(files)

    def frames(self) -> Iterator[Frame]:
        """Read one file after the other; a faulty one comes without an image."""
        for file in self.files:
            try:
                yield Frame(file.stem, read_image(file))
            except DataFault as error:
                yield Frame(file.stem, None, fault=str(error))

    def pictures(self) -> Pictures:
        """Read one file after the other."""
        for frame in self.frames():
            yield Corrupt(frame.fault) if frame.image is None else Still(frame.image)


class VideoFile:
    """A video file, decoded by PyAV.

    Args:
        file: the video.

    Raises:
        BadInput: the file cannot be opened, or holds no video.
        MissingExtra: PyAV is not installed.
    """

    live = False
    dropped = 0

    def __init__(self, file: Path) -> None:
        self.name = file.stem
        self.file = file
        with _opened(file) as container:
            stream = container.streams.video[0]
            self.fps: float | None = float(stream.average_rate or stream.guessed_rate or 25)
            self.total = int(stream.frames or 0)

    def frames(self) -> Iterator[Frame]:
        """Decode frame by frame.

        A packet that cannot be decoded comes as a frame without an image. Where the file ends
        before the frames that its header promises, one such frame tells how many are missing.
        """
        for number, picture in enumerate(self.pictures()):
            name = f"{number:06d}"
            try:
                if isinstance(picture, Corrupt):
                    raise picture
                yield Frame(name, picture.rgb(), picture.time_s)
            except Corrupt as fault:
                yield Frame(name, None, fault=str(fault))

    def pictures(self) -> Pictures:
        """Decode frame by frame, as `frames` does, and convert none."""
        av = load_av()
        number = 0
        fault = ""
        with _opened(self.file) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            packets = container.demux(stream)
            while True:
                try:
                    decoded = next(packets).decode()
                except (StopIteration, EOFError):
                    break
                except av.FFmpegError as error:
                    if not _goes_on(error):
                        fault = f"{self.file}: reading stopped: {error}"
                        break
                    yield Corrupt(f"{self.file}: {error}")
                    number += 1
                    continue
                for frame in decoded:
                    yield Decoded(frame)
                    number += 1
        if number < self.total or fault:
            missing = f"{self.file}: {number} of {self.total} promised frames could be read"
            yield Corrupt(fault or missing)


def open_source(text: str) -> Images | VideoFile:
    """Open an image, a folder of images, or a video file.

    Raises:
        BadInput: there is no such file, or it is none of these.
    """
    path = Path(text)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise BadInput(f"{path} holds no images", expected=", ".join(SUFFIXES))
        return Images(path.resolve().name, files)
    if not path.exists():
        raise BadInput(f"the source {path} does not exist")
    if path.suffix.lower() in SUFFIXES:
        return Images(path.stem, [path])
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoFile(path)
    known = ", ".join((*SUFFIXES, *VIDEO_SUFFIXES))
    raise BadInput(f"{path} is no source", expected=f"a folder or a file of {known}")


def _goes_on(error: Exception) -> bool:
    """Tell whether a decoder's error concerns one packet only."""
    return isinstance(error, load_av().InvalidDataError)


def _opened(file: Path) -> Any:
    """Open a video for reading, from this file alone."""
    av = load_av()
    try:
        container = av.open(str(file), options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        raise BadInput(f"{file} cannot be opened as a video", got=str(error)) from None
    if not container.streams.video:
        container.close()
        raise BadInput(f"{file} holds no video")
    return container
