"""Make synthetic data sets; an interrupted run is finished by running it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from offramp.core.errors import BadInput
from offramp.data.synthetic import packages, scenes
from offramp.data.synthetic.movie import write_clip
from offramp.data.synthetic.recipe import SPLITS, Recipe, Track, untracked

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
    track: Track = untracked,
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
    recipe = _factory(width, height, seed)
    size = {"width": width, "height": height, "seed": seed}
    _check(images, width, height, seed, clip_frames)
    recipe.claim(out, images, {**size, "clip_frames": clip_frames})
    recipe.write_splits(out, images, track)
    videos: dict[str, int] = {}
    if clip_frames:
        name = f"ramp_{scenes.camera_name(CLIP_CAMERA)}"
        frames = scenes.clip(
            seed, camera=CLIP_CAMERA, frames=clip_frames, fps=CLIP_FPS, width=width, height=height
        )
        numbered = track(range(clip_frames), clip_frames, name)
        if write_clip(out / "videos" / name, frames, numbered, CLIP_FPS):
            videos[name] = CLIP_FPS
    return recipe.finish(out, images, videos)


def _factory(width: int, height: int, seed: int) -> Recipe:
    """Describe the pictures of factory floors."""

    def render(split: str, index: int) -> scenes.Frame:
        return scenes.still(
            seed, split, index, width=width, height=height, cameras=cameras_of(split)
        )

    def camera(split: str, index: int) -> str:
        return scenes.camera_name(scenes.camera_of(index, cameras_of(split)))

    def difficulty(split: str, index: int) -> float:
        return scenes.difficulty_of(seed, split, index)

    return Recipe(
        kind="factory",
        comment="# synthetic factory floors drawn by offramp; simulation, not real footage",
        names=scenes.NAMES,
        palette=scenes.PALETTE,
        render=render,
        camera=camera,
        difficulty=difficulty,
    )


def make_packages(
    out: Path,
    *,
    images: Mapping[str, int],
    width: int = 960,
    height: int = 540,
    seed: int = 0,
    track: Track = untracked,
) -> Path:
    """Write pictures and masks of parcels on a conveyor; arguments as in make_factory."""

    def render(split: str, index: int) -> scenes.Frame:
        return packages.package_still(seed, split, index, width=width, height=height)

    def camera(split: str, index: int) -> str:
        del split
        return packages.view_of(index)

    def difficulty(split: str, index: int) -> float:
        return packages.difficulty_of(seed, split, index)

    recipe = Recipe(
        kind="packages",
        comment="# synthetic parcels on a belt drawn by offramp; simulation, not real footage",
        names=packages.NAMES,
        palette=packages.PALETTE,
        render=render,
        camera=camera,
        difficulty=difficulty,
    )
    size = {"width": width, "height": height, "seed": seed}
    _check(images, width, height, seed, 0)
    recipe.claim(out, images, size)
    recipe.write_splits(out, images, track)
    return recipe.finish(out, images, {})


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
