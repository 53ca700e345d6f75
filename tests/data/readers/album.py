"""What tests of readers share: pictures and masks in the forms that public sets have."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from offramp.data.dataset import Dataset
from offramp.data.images import read_image

SIZE = (6, 8)
"""Height and width of the pictures."""


def photo(file: Path, value: int = 90, size: tuple[int, int] = SIZE) -> Path:
    """Save an even photograph."""
    return save(file, np.full((*size, 3), value, dtype=np.uint8))


def save(file: Path, values: np.ndarray, palette: bool = False) -> Path:
    """Save an array as an image, or indices with a palette in which index i has red i."""
    picture = Image.fromarray(values)
    if palette:
        picture = picture.convert("L")
        picture.putpalette([v for i in range(256) for v in (i, 0, 0)])
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)
    return file


def grid(*rows: list[int], rest: int = 0) -> np.ndarray:
    """A mask that begins with `rows` at the top left; the rest is `rest`."""
    values = np.full(SIZE, rest, dtype=np.uint8)
    for number, row in enumerate(rows):
        values[number, : len(row)] = row
    return values


def told(folder: Path, **keys: Any) -> Dataset:
    """Open a data set by a dataset.yaml in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(yaml.safe_dump(keys))
    return Dataset.open(folder)


def write_json(file: Path, value: object) -> Path:
    """Write JSON, and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))
    return file


def counts(data: Dataset) -> dict[str, int]:
    """Count the images of each split."""
    return {split: len(data.samples(split)) for split in data.splits}


def mask_of(data: Dataset, split: str, number: int = 0) -> np.ndarray:
    """Read a mask of a split, and make sure that its image can be read alone too."""
    sample = data.samples(split)[number]
    image, mask = data.read(sample)
    assert np.array_equal(read_image(sample.image), image)
    assert np.array_equal(data.labels(sample), mask)
    assert image.shape == (*mask.shape, 3)
    assert image.dtype == mask.dtype == np.uint8
    return mask
