"""Seeded pictures and clips of a factory floor with exact labels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.data.synthetic.backdrop import backdrop
from offramp.data.synthetic.compose import compose
from offramp.data.synthetic.journeys import load, schedule
from offramp.data.synthetic.layout import CAMERAS
from offramp.data.synthetic.sensor import TRAITS, Conditions
from offramp.data.synthetic.traffic import scatter

NAMES = ("floor", "person", "vehicle", "obstacle")
PALETTE = ((128, 128, 128), (220, 20, 60), (0, 110, 230), (250, 190, 30))
MIN_SIZE, MAX_SIZE = 64, 4096


@dataclass(frozen=True)
class Frame:
    """Hold one picture with its labels.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        labels: uint8 (H, W) class index, 255 where two classes tie.
        camera: Name of the camera.
        difficulty: 0 (empty, good light) to 1 (crowded, dim, noisy).
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    camera: str
    difficulty: float


def check_size(width: int, height: int) -> None:
    """Raise BadInput unless both sizes in pixels are possible."""
    for name, value in (("width", width), ("height", height)):
        if not MIN_SIZE <= value <= MAX_SIZE:
            raise BadInput(
                f"image {name}",
                expected=f"{MIN_SIZE} to {MAX_SIZE} pixels",
                got=str(value),
                repair=f"choose a {name} in that range, for example 640 x 384",
            )


def stream(seed: int, split: str, index: int) -> np.random.Generator:
    """Return the random numbers of frame `index` of a split, and of no other frame."""
    if seed < 0 or index < 0:
        raise BadInput("seed or index", expected="0 or more", got=str(min(seed, index)))
    entropy = [seed, zlib.crc32(split.encode()), index]
    return np.random.default_rng(np.random.SeedSequence(entropy))


def difficulty_of(seed: int, split: str, index: int) -> float:
    """Return the difficulty of a picture without rendering it."""
    return float(stream(seed, split, index).random())


def still(
    seed: int,
    split: str,
    index: int,
    *,
    width: int = 640,
    height: int = 384,
    cameras: Sequence[int] = range(CAMERAS),
) -> Frame:
    """Render picture `index` of a split; it depends on the arguments alone."""
    check_size(width, height)
    camera = camera_of(index, cameras)
    rng = stream(seed, split, index)
    difficulty = float(rng.random())
    conditions = Conditions.at(difficulty, rng.random(TRAITS))
    scene = backdrop(camera, width, height)
    things = scatter(scene, difficulty, rng)
    image, labels = compose(scene, things, conditions, rng)
    return Frame(image, labels, camera_name(camera), difficulty)


def clip(
    seed: int,
    *,
    camera: int = 3,
    frames: int = 300,
    fps: int = 10,
    width: int = 640,
    height: int = 384,
) -> Iterator[Frame]:
    """Yield a clip under one camera that goes from empty to crowded and back."""
    check_size(width, height)
    camera_of(0, [camera])
    if frames < 1 or fps < 1:
        raise BadInput(
            "clip length", expected="frames and fps of 1 or more", got=f"{frames}, {fps}"
        )
    return _frames(seed, camera, frames, fps, width, height)


def _frames(
    seed: int, camera: int, frames: int, fps: int, width: int, height: int
) -> Iterator[Frame]:
    scene = backdrop(camera, width, height)
    rng = stream(seed, f"clip-{camera}", 0)
    traits = rng.random(TRAITS)
    fixed, movers = schedule(scene, frames / fps, rng)
    for number in range(frames):
        time = number / fps
        difficulty = 0.08 + 0.7 * load(time, frames / fps)
        moving = [thing for mover in movers if (thing := mover.thing(time)) is not None]
        conditions = Conditions.at(difficulty, traits)
        noise = stream(seed, f"clip-{camera}", number + 1)
        image, labels = compose(scene, fixed + moving, conditions, noise)
        yield Frame(image, labels, camera_name(camera), difficulty)


def camera_of(index: int, cameras: Sequence[int]) -> int:
    """Return the camera whose turn it is."""
    if not cameras or not all(0 <= camera < CAMERAS for camera in cameras):
        raise BadInput(
            "cameras", expected=f"numbers from 0 to {CAMERAS - 1}", got=str(list(cameras))
        )
    return cameras[index % len(cameras)]


def camera_name(camera: int) -> str:
    """Return the name of a camera as file names and tables spell it."""
    return f"cam{camera:02d}"
