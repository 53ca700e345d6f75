"""Make synthetic data sets; an interrupted run is finished by running it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from offramp.core.errors import BadInput
from offramp.core.progress import Track, silent
from offramp.data.synthetic import packages, scenes
from offramp.data.synthetic.album import SPLITS, Album
from offramp.data.synthetic.movie import write_clip

SEEN_CAMERAS, UNSEEN_CAMERAS = tuple(range(6)), (6, 7)
CLIP_CAMERA, CLIP_FPS = 3, 10


def cameras_of(split: str) -> tuple[int, ...]:
    """Return the cameras of a split: test has two that no other split contains."""
    return UNSEEN_CAMERAS if split == "test" else SEEN_CAMERAS


def make_factory(
    out: Path,
    *,
    images: Mapping[str, int],
    width: int = 640,
    height: int = 384,
    seed: int = 0,
    clip_frames: int = 200,
    track: Track = silent,
) -> Path:
    """Write pictures, masks, tables and a clip of factory floors.

    Args:
        out: Folder to create or to finish.
        images: Number of pictures per split: train, val, calib, test.
        width: Picture width, pixels.
        height: Picture height, pixels.
        seed: Decides the content together with split and index.
        clip_frames: Length of the clip; 0 writes none.
        track: Wraps the indices of each split, for a progress display.

    Returns:
        Path of the data set file, which is written last.
    """
    album = Album(
        kind="factory",
        comment="# synthetic factory floors drawn by offramp; simulation, not real footage",
        names=scenes.NAMES,
        palette=scenes.PALETTE,
        scenes=_Factory(width, height, seed),
    )
    size = {"width": width, "height": height, "seed": seed}
    _check(images, width, height, seed, clip_frames)
    album.claim(out, images, {**size, "clip_frames": clip_frames})
    album.write_splits(out, images, track)
    videos: dict[str, int] = {}
    if clip_frames:
        name = f"ramp_{scenes.camera_name(CLIP_CAMERA)}"
        frames = scenes.clip(
            seed, camera=CLIP_CAMERA, frames=clip_frames, fps=CLIP_FPS, width=width, height=height
        )
        numbered = track(range(clip_frames), clip_frames, name)
        if write_clip(out / "videos" / name, frames, numbered, CLIP_FPS):
            videos[name] = CLIP_FPS
    return album.finish(out, images, videos)


@dataclass(frozen=True)
class _Pictures:
    """The size in pixels and the seed of a series of pictures."""

    width: int
    height: int
    seed: int


class _Factory(_Pictures):
    """Pictures of factory floors."""

    def render(self, split: str, index: int) -> scenes.Frame:
        return scenes.still(
            self.seed,
            split,
            index,
            width=self.width,
            height=self.height,
            cameras=cameras_of(split),
        )

    def camera(self, split: str, index: int) -> str:
        return scenes.camera_name(scenes.camera_of(index, cameras_of(split)))

    def difficulty(self, split: str, index: int) -> float:
        return scenes.difficulty_of(self.seed, split, index)


class _Packages(_Pictures):
    """Pictures of parcels on a conveyor."""

    def render(self, split: str, index: int) -> scenes.Frame:
        return packages.package_still(self.seed, split, index, width=self.width, height=self.height)

    def camera(self, split: str, index: int) -> str:
        del split
        return packages.view_of(index)

    def difficulty(self, split: str, index: int) -> float:
        return packages.difficulty_of(self.seed, split, index)


def make_packages(
    out: Path,
    *,
    images: Mapping[str, int],
    width: int = 960,
    height: int = 540,
    seed: int = 0,
    track: Track = silent,
) -> Path:
    """Write pictures and masks of parcels on a conveyor; arguments as in make_factory."""
    album = Album(
        kind="packages",
        comment="# synthetic parcels on a belt drawn by offramp; simulation, not real footage",
        names=packages.NAMES,
        palette=packages.PALETTE,
        scenes=_Packages(width, height, seed),
    )
    size = {"width": width, "height": height, "seed": seed}
    _check(images, width, height, seed, 0)
    album.claim(out, images, size)
    album.write_splits(out, images, track)
    return album.finish(out, images, {})


def _check(images: Mapping[str, int], width: int, height: int, seed: int, clip_frames: int) -> None:
    scenes.check_size(width, height)
    unknown = [split for split in images if split not in SPLITS]
    if unknown:
        raise BadInput("split names", expected=", ".join(SPLITS), got=", ".join(unknown))
    if not any(images.values()) or min([*images.values(), seed, clip_frames]) < 0:
        raise BadInput(
            "counts of pictures, seed and clip frames",
            expected="0 or more, and at least one picture",
            got=f"{dict(images)}, seed {seed}, {clip_frames} clip frames",
        )
