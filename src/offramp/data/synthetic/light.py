"""Lamps, ambient light and soft shadows of a hall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from offramp.data.synthetic.raster import Faces
from offramp.data.synthetic.solids import Floats

GROUPS = 3  # Ambient light, lamps in even rows, lamps in odd rows.
_CELLS = 366  # Light-map cells per floor edge.
_SHADOW_BLUR = 0.0045  # Share of the floor edge; long tubes throw soft shadows.


@dataclass(frozen=True)
class Lamps:
    """Hold the ceiling lamps of a hall.

    Attributes:
        positions: (L, 3) metres.
        powers: (L,) relative flux.
        groups: (L,) switching group, 1 or 2.
        window: Horizontal direction (2,) that daylight comes from.
    """

    positions: Floats
    powers: Floats
    groups: NDArray[np.int64]
    window: Floats

    def ambient(self, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return indirect light (...,) for unit normals (..., 3)."""
        side = normals[..., 0] * self.window[0] + normals[..., 1] * self.window[1]
        light: NDArray[np.float32] = (0.27 + 0.13 * normals[..., 2] + 0.11 * side).astype(
            np.float32
        )
        return light

    def irradiance(
        self, points: NDArray[np.float32], normals: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return unshadowed light (GROUPS, ...) at points (..., 3) with normals (..., 3)."""
        total = np.zeros((GROUPS, *points.shape[:-1]), dtype=np.float32)
        total[0] = self.ambient(normals)
        for position, power, group in zip(self.positions, self.powers, self.groups, strict=True):
            total[group] += _from_lamp(points, normals, position.astype(np.float32), float(power))
        return total

    def strongest(self, place: Floats, count: int) -> NDArray[np.int64]:
        """Return the lamps that light a floor place (2,) most, brightest first."""
        gap = self.positions[:, :2] - place
        height = self.positions[:, 2]
        strength = self.powers * height**2 / ((gap**2).sum(axis=1) + height**2) ** 2
        return np.argsort(-strength, kind="stable")[:count]


def _from_lamp(
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    lamp: NDArray[np.float32],
    power: float,
) -> NDArray[np.float32]:
    """Return the light (...,) of one downward lamp."""
    dx, dy, dz = lamp[0] - points[..., 0], lamp[1] - points[..., 1], lamp[2] - points[..., 2]
    square = dx * dx + dy * dy + dz * dz
    facing = normals[..., 0] * dx + normals[..., 1] * dy + normals[..., 2] * dz
    # Two cosines, each a product divided by the distance, over the squared distance.
    light: NDArray[np.float32] = (
        power * np.maximum(facing, 0) * np.maximum(dz, 0) / np.maximum(square * square, 0.2)
    )
    return light


def cast(quads: Floats, lamp: Floats) -> Floats:
    """Project quads (N, 4, 3) from lamps (3,) or (N, 3) onto the floor as (N, 4, 2) metres."""
    top, foot = lamp[..., None, 2:], lamp[..., None, :2]
    height = np.minimum(quads[..., 2:], top - 0.4)
    shadow: Floats = foot + (quads[..., :2] - foot) * (top / (top - height))
    return shadow


def bake_floor(lamps: Lamps, faces: Faces, half: float) -> NDArray[np.float32]:
    """Return the light (GROUPS, rows, columns) on a square floor with the shadows of faces.

    Row 0 lies at y = -half metres, as in the floor texture.
    """
    size = _CELLS
    axis = ((np.arange(size) + 0.5) * (2 * half / size) - half).astype(np.float32)
    points = np.zeros((size, size, 3), dtype=np.float32)
    points[..., 0], points[..., 1] = axis[None], axis[:, None]
    up = np.zeros_like(points)
    up[..., 2] = 1
    light = np.zeros((GROUPS, size, size), dtype=np.float32)
    light[0] = lamps.ambient(up)
    low = faces.quads[..., 2].max(axis=1) < lamps.positions[:, 2].min() - 1.0
    quads = faces.quads[low]
    for position, power, group in zip(lamps.positions, lamps.powers, lamps.groups, strict=True):
        lit = 1 - 0.95 * _mask(cast(quads, position), size, half, _SHADOW_BLUR)
        light[group] += lit * _from_lamp(points, up, position.astype(np.float32), float(power))
    near_floor = quads[quads[..., 2].min(axis=1) < 0.064 * half]
    # Corners and gaps get less indirect light: darken around every footprint.
    footprint = _mask(near_floor[..., :2], size, half, 0.0023)
    closed = np.maximum(footprint, _mask(near_floor[..., :2], size, half, 0.016))
    return light * (1 - np.float32(0.55) * closed)


def _mask(polygons: Floats, size: int, half: float, blur: float) -> NDArray[np.float32]:
    """Draw floor polygons (N, 4, 2) in metres, blurred by a share of the floor edge."""
    picture = Image.new("L", (size, size))
    pen = ImageDraw.Draw(picture)
    for corners in ((polygons + half) * (size / (2 * half))).reshape(-1, 8).tolist():
        pen.polygon(corners, fill=255)
    soft = picture.filter(ImageFilter.GaussianBlur(blur * size))
    return np.asarray(soft, dtype=np.float32) / np.float32(255)
