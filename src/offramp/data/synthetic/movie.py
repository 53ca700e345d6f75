"""Clips on disk: an mp4 file and one mask per frame."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.data.synthetic.scenes import Frame

_LOG = logging.getLogger(__name__)


def write_clip(folder: Path, frames: Iterator[Frame], numbers: Iterable[int], fps: int) -> bool:
    """Write frames.mp4 and masks.npz unless both are there.

    Args:
        folder: Folder of the clip.
        frames: Frames in order.
        numbers: One item per frame to write.
        fps: Frames per second.

    Returns:
        Whether the clip exists now; it does not when no video writer is installed.
    """
    movie, masks = folder / "frames.mp4", folder / "masks.npz"
    if movie.is_file() and masks.is_file():
        return True
    folder_was_there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "frames.part.mp4"
    try:
        labels = _encode(part, frames, numbers, fps)
    except ImportError:
        if not folder_was_there:
            folder.rmdir()
        _LOG.warning("skipped clip %s: PyAV is not installed (pip install av)", folder.name)
        return False
    part_masks = folder / "masks.part.npz"
    np.savez_compressed(part_masks, masks=np.stack(labels))
    os.replace(part_masks, masks)
    os.replace(part, movie)
    return True


def _encode(
    path: Path, frames: Iterator[Frame], numbers: Iterable[int], fps: int
) -> list[NDArray[np.uint8]]:
    """Encode the frames and return their labels, each uint8 (H, W)."""
    import av  # Optional: only clips need it.

    labels: list[NDArray[np.uint8]] = []
    with av.open(str(path), "w") as container:
        stream = None
        for _, frame in zip(numbers, frames, strict=False):
            if stream is None:
                name = "libx264" if "libx264" in av.codecs_available else "mpeg4"
                stream = container.add_stream(name, rate=fps)
                stream.height, stream.width = frame.labels.shape
                # Halved colour needs even sizes.
                even = stream.height % 2 == 0 and stream.width % 2 == 0
                stream.pix_fmt = "yuv420p" if even or name == "mpeg4" else "yuv444p"
                # More threads cut the picture differently, which would change the bytes.
                stream.codec_context.thread_count = 1
                if name == "libx264":
                    stream.options = {"crf": "20", "preset": "veryfast"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
            labels.append(frame.labels)
        if stream is not None:
            container.mux(stream.encode(None))
    return labels
