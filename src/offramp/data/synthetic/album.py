"""Files of a synthetic data set: pictures, masks, tables and the data set file."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from offramp.core.errors import BadInput
from offramp.core.files import write_bytes
from offramp.core.progress import Track
from offramp.data.synthetic.scenes import Frame
from offramp.data.synthetic.solids import IGNORE

SPLITS = ("train", "val", "calib", "test")
_QUALITY = 92
_MARKER = ".synthetic.json"  # Tells a previous output of this command from foreign files.
_FEW = 64  # Up to so many pictures are drawn before more processes would have started.


class Scenes(Protocol):
    """What is drawn; every picture follows from split and index alone."""

    def render(self, split: str, index: int) -> Frame:
        """Draw a picture and its mask."""
        ...

    def camera(self, split: str, index: int) -> str:
        """Name the camera of a picture."""
        ...

    def difficulty(self, split: str, index: int) -> float:
        """Tell the difficulty of a picture, 0 to 1."""
        ...


@dataclass(frozen=True)
class Album:
    """A synthetic data set on disk, drawn on all cores.

    Attributes:
        kind: Name of the kind.
        comment: First line of the data set file.
        names: Class names by index.
        palette: Class colours by index.
        scenes: What is drawn.
    """

    kind: str
    comment: str
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    scenes: Scenes

    def claim(self, out: Path, images: Mapping[str, int], size: Mapping[str, int]) -> None:
        """Create the folder, or accept it when the same command made it."""
        counts = {split: images[split] for split in SPLITS if images.get(split)}
        order = json.dumps({"kind": self.kind, "images": counts, **size}, indent=1) + "\n"
        if out.exists() and not out.is_dir():
            raise BadInput(
                "output folder cannot be created",
                expected="a folder",
                got=f"a file at {out}",
                repair="choose another name",
            )
        marker = out / _MARKER
        if marker.is_file() and marker.read_text(encoding="utf-8") != order:
            raise BadInput(
                "output folder holds another data set",
                expected="one written with the same counts, size and seed",
                got=str(out),
                repair="choose another folder or repeat the first values",
            )
        foreign = [entry.name for entry in _entries(out) if _MARKER not in entry.name]
        if foreign and not marker.is_file():
            raise BadInput(
                "output folder is not empty",
                expected="an empty folder or one that this command has written",
                got=f"{out} with {sorted(foreign)[0]}",
                repair="choose another folder",
            )
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(marker, order.encode())
        # Without this file the data set counts as incomplete until the run has ended.
        (out / "dataset.yaml").unlink(missing_ok=True)

    def write_splits(self, out: Path, images: Mapping[str, int], track: Track) -> None:
        """Write the missing pictures of all splits, and their tables."""
        with _spread(sum(images.values())) as spread:
            for split in SPLITS:
                count = images.get(split, 0)
                if not count:
                    continue
                for folder in ("images", "masks"):
                    (out / folder / split).mkdir(parents=True, exist_ok=True)
                # Camera by camera: a process that draws one keeps its backdrop.
                order = sorted(range(count), key=partial(self.scenes.camera, split))
                drawn = spread(partial(self._row, out, split), order)
                rows = dict(zip(order, track(drawn, count, f"drawing {split}"), strict=True))
                table = [rows[index] for index in range(count)]
                self._write_table(out / "meta" / f"{split}.csv", table)

    def _row(self, out: Path, split: str, index: int) -> list[str]:
        """Write one picture unless it is there, and return its row of the table."""
        camera = self.scenes.camera(split, index)
        stem = f"{split}_{index:04d}_{camera}"
        picture = out / "images" / split / f"{stem}.jpg"
        mask = out / "masks" / split / f"{stem}.png"
        if picture.is_file() and mask.is_file():
            with Image.open(mask) as kept:
                labels = np.asarray(kept)
        else:
            frame = self.scenes.render(split, index)
            labels = frame.labels
            write_bytes(picture, _encoded(frame.image, "JPEG", quality=_QUALITY))
            write_bytes(mask, _encoded(labels, "PNG", compress_level=4))
        counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)
        shares = [f"{counts[k] / labels.size:.5f}" for k in (*range(len(self.names)), IGNORE)]
        return [picture.name, camera, f"{self.scenes.difficulty(split, index):.4f}", *shares]

    def _write_table(self, path: Path, rows: list[list[str]]) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        classes = [f"{name}_frac" for name in (*self.names, "ignore")]
        table.writerow(["file", "camera", "difficulty", *classes])
        table.writerows(rows)
        write_bytes(path, text.getvalue().encode())

    def finish(self, out: Path, images: Mapping[str, int], videos: Mapping[str, int]) -> Path:
        """Write the data set file last; `videos` maps clip names to frames per second."""
        lines = [self.comment, "path: ."]
        lines += [f"{split}: images/{split}" for split in SPLITS if images.get(split)]
        lines += ["names:", *(f"  {k}: {name}" for k, name in enumerate(self.names))]
        lines += [f"ignore_index: {IGNORE}", "palette:"]
        lines += [f"  {k}: {list(colour)}" for k, colour in enumerate(self.palette)]
        if videos:
            lines.append("videos:")
        for name, fps in videos.items():
            folder = f"videos/{name}"
            files = f"video: {folder}/frames.mp4, masks: {folder}/masks.npz, fps: {fps}"
            lines.append(f"  {name}: {{{files}}}")
        path = out / "dataset.yaml"
        write_bytes(path, ("\n".join(lines) + "\n").encode())
        return path


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _encoded(pixels: NDArray[np.uint8], form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


@contextmanager
def _spread(count: int) -> Iterator[Callable[[Callable[[int], Any], list[int]], Iterable[Any]]]:
    """Yield a `map` that keeps the order: over all cores where there is enough to draw."""
    workers = min(len(os.sched_getaffinity(0)), 8)
    if count <= _FEW or workers == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts)
    try:
        yield lambda draw, order: pool.map(draw, order, chunksize=max(len(order) // 16, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Let the parent alone answer Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
