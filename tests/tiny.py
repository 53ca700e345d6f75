"""Small things that many tests need: a labelled data set, and hand-written traces and costs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from offramp.core.costs import Cost, Costs
from offramp.core.rule import AtLeast
from offramp.metrics.trace import Trace

NAMES = ("ground", "box", "ball")
COLOURS = ((90, 110, 90), (200, 60, 40), (40, 70, 210))
SPLITS = {"train": 12, "val": 6, "calib": 8, "test": 6}
SIZE = (64, 96)
"""Height and width of the images, in pixels."""


def draw(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Draw coloured rectangles on noise; an image H×W×3 and its mask H×W."""
    height, width = size
    mask = np.zeros(size, dtype=np.uint8)
    for label in (1, 2):
        for _ in range(int(rng.integers(1, 3))):
            top, left = int(rng.integers(0, height - 20)), int(rng.integers(0, width - 24))
            mask[top : top + int(rng.integers(10, 28)), left : left + int(rng.integers(12, 36))] = (
                label
            )
    image = np.array(COLOURS)[mask] + rng.normal(0, 12, (*size, 3))
    mask[-2:] = 255  # the last two rows count nowhere
    return image.clip(0, 255).astype(np.uint8), mask


def write_dataset(folder: Path, splits: dict[str, int] = SPLITS, **keys: object) -> Path:
    """Write a data set of rectangles and its dataset.yaml; returns that file.

    Images of "train" and "val" are JPEG, others PNG; every fourth of "calib" is larger.
    """
    rng = np.random.default_rng(7)
    for split, count in splits.items():
        suffix = ".jpg" if split in ("train", "val") else ".png"
        for number in range(count):
            larger = split == "calib" and number % 4 == 3
            image, mask = draw(rng, (80, 120) if larger else SIZE)
            write_pair(folder, split, f"{number:03d}", image, mask, suffix)
    content = {
        "path": ".",
        **{split: f"images/{split}" for split in splits},
        "names": dict(enumerate(NAMES)),
        "palette": {index: list(colour) for index, colour in enumerate(COLOURS)},
        **keys,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "dataset.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def write_pair(
    folder: Path, split: str, name: str, image: np.ndarray, mask: np.ndarray, suffix: str = ".png"
) -> tuple[Path, Path]:
    """Write an image and its mask where a data set expects them."""
    files = folder / "images" / split / f"{name}{suffix}", folder / "masks" / split / f"{name}.png"
    for file, picture in zip(files, (image, mask), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return files


def at_least(threshold: float | None) -> AtLeast | None:
    """Make the rule of a threshold, or none of none."""
    return None if threshold is None else AtLeast(threshold=threshold)


def make_trace(
    scores: np.ndarray,
    intersections: np.ndarray,
    unions: np.ndarray,
    exits: Sequence[tuple[str, str]],
    score_names: Sequence[str] = ("mean-top1",),
) -> Trace:
    """Make a trace by hand; shapes E×N×S, E×N×C and E×N×C."""
    return Trace(
        images=tuple(f"{n}.png" for n in range(scores.shape[1])),
        exits=tuple(exits),
        names=tuple(f"class{c}" for c in range(unions.shape[2])),
        score_names=tuple(score_names),
        scores=scores.astype(np.float64),
        intersections=intersections.astype(np.int64),
        unions=unions.astype(np.int64),
        size=SIZE,
    )


def make_costs(
    segments: Sequence[int], heads: dict[str, dict[str, int]], engine: str = "hand", decode: int = 0
) -> Costs:
    """Make a cost table by hand; a piece takes as many milliseconds as it has MACs."""

    def cost(value: int) -> Cost:
        return Cost(macs=value, parameters=value, latency_ms=float(value))

    return Costs(
        points=tuple(heads),
        segments=tuple(cost(value) for value in segments),
        heads={p: {name: cost(v) for name, v in table.items()} for p, table in heads.items()},
        decode=Cost(latency_ms=float(decode)),
        size=SIZE,
        engine={"engine": engine} if engine else {},
    )
