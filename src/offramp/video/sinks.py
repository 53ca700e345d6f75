"""What is written of the answers: masks, overlays, JSON lines, an overlay video.

Every file is written under a temporary name. Lines and video grow with the run; they take their
final names when the run ends, however it ends, with everything that was written until then.
"""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from offramp.core.files import written
from offramp.core.model import ModelSpec
from offramp.data.clips import load_av
from offramp.data.colour import overlay
from offramp.data.images import Array
from offramp.runtime.session import Result
from offramp.video.sources import Frame

KINDS = ("masks", "overlay", "jsonl", "video")


class Sink:
    """Writes what was answered to the frames of one source.

    Args:
        folder: where the files go.
        kinds: what to write, of `KINDS`.
        model: class names and colours.
        fps: frame rate of the overlay video.
    """

    def __init__(self, folder: Path, kinds: set[str], model: ModelSpec, fps: float | None) -> None:
        self.folder = folder
        self.kinds = kinds
        self.model = model
        folder.mkdir(parents=True, exist_ok=True)
        self._movie = Movie(folder / "overlay.mp4", fps) if fps and "video" in kinds else None
        self._lines_file = folder / "results.jsonl"
        self._partial = self._lines_file.with_name(f".results.{os.getpid()}.partial")
        self._lines = self._partial.open("w", encoding="utf-8") if "jsonl" in kinds else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lines is not None:
            self._lines.close()
            os.replace(self._partial, self._lines_file)
        if self._movie is not None:
            self._movie.close()

    def write(self, frame: Frame, result: Result | None) -> None:
        """Write a frame's answer, or that it has none."""
        if self._lines is not None:
            print(json.dumps(self._line(frame, result)), file=self._lines)
        if result is None or frame.image is None:
            return
        if "masks" in self.kinds:
            _save(self.folder / "masks" / f"{frame.name}.png", result.labels)
        if "overlay" not in self.kinds and self._movie is None:
            return
        picture = self._picture(frame.image, result)
        if "overlay" in self.kinds:
            _save(self.folder / "overlay" / f"{frame.name}.jpg", picture)
        if self._movie is not None:
            self._movie.write(picture)

    def _line(self, frame: Frame, result: Result | None) -> dict[str, Any]:
        line: dict[str, Any] = {"frame": frame.name}
        if frame.time_s is not None:
            line["time_s"] = round(frame.time_s, 4)
        if result is None:
            return {**line, "fault": frame.fault}
        pixels = np.bincount(result.labels.ravel(), minlength=len(self.model.names))
        shares = pixels / result.labels.size
        return {
            **line,
            "exit": result.exit,
            "point": result.point,
            "scores": [[round(score, 6) for score in read] for read in result.scores],
            "latency_ms": round(result.latency_ms, 3),
            "area": {n: round(float(s), 5) for n, s in zip(self.model.names, shares, strict=False)},
        }

    def _picture(self, image: Array, result: Result) -> Array:
        """Colour the answer over the frame, and write the exit taken into a corner."""
        picture = Image.fromarray(overlay(image, result.labels, self.model.palette))
        text = f"{result.point}  {result.scores[-1][0]:.3f}  {result.latency_ms:.1f} ms"
        font = ImageFont.load_default(size=max(12, image.shape[0] // 28))
        draw = ImageDraw.Draw(picture)
        left, top, right, bottom = draw.textbbox((8, 6), text, font=font)
        draw.rectangle((left - 5, top - 4, right + 5, bottom + 4), fill=(20, 20, 20))
        draw.text((8, 6), text, font=font, fill=(255, 255, 255))
        return np.asarray(picture)


class Movie:
    """An H.264 video in the making, written in fragments: what is written can be played.

    Args:
        file: the video's final name.
        fps: frames per second.
    """

    def __init__(self, file: Path, fps: float) -> None:
        self.file = file
        self.fps = fps
        self._partial = file.with_name(f".{file.stem}.{os.getpid()}.partial.mp4")
        self._container: Any = None
        self._stream: Any = None

    def write(self, picture: Array) -> None:
        """Append a frame; one of another size than the first is fitted to it."""
        av = load_av()
        if self._container is None:
            self._open(picture.shape[1] & ~1, picture.shape[0] & ~1)  # H.264 wants even sides
        height, width = self._stream.height, self._stream.width
        if picture.shape[:2] not in ((height, width), (height + 1, width), (height, width + 1)):
            picture = np.asarray(Image.fromarray(picture).resize((width, height)))
        cropped = np.ascontiguousarray(picture[:height, :width])
        frame = av.VideoFrame.from_ndarray(cropped, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the video under its final name."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.replace(self._partial, self.file)

    def _open(self, width: int, height: int) -> None:
        av = load_av()
        from fractions import Fraction

        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        self._container = av.open(str(self._partial), "w", format="mp4", options=options)
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        rate = Fraction(self.fps).limit_denominator(1001)
        self._stream = self._container.add_stream(codec, rate=rate)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        if codec == "libx264":
            self._stream.options = {"preset": "veryfast", "crf": "23"}


def _save(file: Path, picture: Array) -> None:
    """Write a picture, whole or not at all."""
    with written(file) as partial, partial.open("wb") as stream:
        form = "PNG" if file.suffix == ".png" else "JPEG"
        Image.fromarray(picture).save(stream, form, quality=90)
