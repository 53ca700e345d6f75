"""Outlines against pycocotools, whose masks COCO's own evaluation and torchvision use.

The tolerance is none, for polygons as for run lengths: ours follow the rule of pycocotools, and
both round to fifths of a pixel. What does not depend on it is tested by hand and by areas.
"""

from typing import Any

import numpy as np
import pytest

from offramp.data.readers.shapes import fill, unpack
from tests.data.readers.album import SIZE
from tests.data.readers.test_coco import SQUARE, runs

# pycocotools 2.0.11 hands arrays to numpy 2 in a way that numpy will give up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Outline = list[list[float]]


@pytest.fixture(scope="module")
def coco() -> Any:
    return pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")


def drawn(coco: Any, outline: Outline, size: tuple[int, int]) -> np.ndarray:
    """Draw an outline as `annToMask` of pycocotools does."""
    return coco.decode(coco.merge(coco.frPyObjects(outline, *size))).astype(bool)


def star(rng: np.random.Generator, size: tuple[int, int], radius: float) -> np.ndarray:
    """Corners of an outline that does not cross itself, around any place; K×2."""
    angles = np.sort(rng.random(int(rng.integers(3, 30)))) * 2 * np.pi
    reach = radius * rng.uniform(0.4, 1, len(angles))
    middle = rng.random(2) * size[::-1]
    return middle + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize("radius", [2, 10, 40, 300])
def test_random_shapes_are_those_of_pycocotools(
    coco: Any, radius: float, rng: np.random.Generator
) -> None:
    filled = 0
    for _ in range(100):
        size = int(rng.integers(1, 120)), int(rng.integers(1, 120))
        parts = [star(rng, size, radius).ravel().tolist() for _ in range(int(rng.integers(1, 4)))]
        region = fill(size, parts, "x")
        assert np.array_equal(region, drawn(coco, parts, size))
        filled += region.sum()
    assert filled > 100


@pytest.mark.parametrize("grain", [1, 2, 10, 1e9])
def test_crossing_doubled_and_outlying_corners_too(
    coco: Any, grain: float, rng: np.random.Generator
) -> None:
    for _ in range(100):
        size = int(rng.integers(1, 60)), int(rng.integers(1, 60))
        corners = rng.uniform(-0.5, 1.5, (int(rng.integers(3, 12)), 2)) * size[::-1]
        corners = np.round(corners * grain) / grain
        corners[1] = corners[0]
        outline = [corners.ravel().tolist()]
        assert np.array_equal(fill(size, outline, "x"), drawn(coco, outline, size))


@pytest.mark.parametrize("packed", [True, False])
def test_random_run_lengths_are_those_of_pycocotools(
    coco: Any, packed: bool, rng: np.random.Generator
) -> None:
    for share in (0.0, 0.01, 0.5, 0.99, 1.0):
        for size in ((1, 1), (6, 8), (37, 53), (240, 320)):
            region = rng.random(size) < share
            code = coco.encode(np.asfortranarray(region, dtype=np.uint8))
            assert np.array_equal(coco.decode(code), region)
            counts = code["counts"].decode() if packed else runs(region)
            if not packed:  # their own reading of numbers agrees with our writing of them
                plain = {"counts": counts, "size": list(size)}
                assert coco.frPyObjects(plain, *size)["counts"] == code["counts"]
            assert np.array_equal(unpack({"counts": counts, "size": list(size)}, size, "x"), region)


@pytest.mark.parametrize("radius", [5, 20, 80])
def test_areas_are_those_of_the_polygons(radius: float, rng: np.random.Generator) -> None:
    size = (400, 400)
    shares = []
    for _ in range(50):
        corners = star(rng, (100, 100), radius) + 150
        (x, y), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
        area = abs(float(np.sum(x * y1 - x1 * y))) / 2
        region = fill(size, [corners.ravel().tolist()], "x")
        shares.append(region.sum() / area)
    assert np.mean(shares) == pytest.approx(1, abs=0.03)


def test_a_polygon_holds_the_pixels_whose_centres_it_holds() -> None:
    region = fill(SIZE, SQUARE, "x")
    assert region.sum() == 9
    assert region[1:4, 1:4].all()
    assert fill(SIZE, [[0, 0, 8, 0, 8, 6, 0, 6]], "x").all()
    assert fill(SIZE, [[-90, -90, 90, -90, 90, 90, -90, 90]], "x").all()
    assert not fill(SIZE, [[1, 1, 5, 1, 1, 1]], "x").any()
    assert not fill(SIZE, [[20, 20, 30, 20, 30, 30]], "x").any()


def test_neighbours_share_no_pixel_and_leave_none(rng: np.random.Generator) -> None:
    for _ in range(50):
        x, y = rng.uniform(2, 28, 2)
        corners = [(0, 0), (30, 0), (30, 30), (0, 30)]
        sides = zip(corners, corners[1:] + corners[:1], strict=True)
        parts = [fill((30, 30), [[*a, *b, x, y]], "x") for a, b in sides]
        assert (np.sum(parts, axis=0) == 1).all()
