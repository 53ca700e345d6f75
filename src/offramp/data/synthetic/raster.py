"""Depth-tested drawing of solids into an index image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from offramp.data.synthetic.camera import Camera
from offramp.data.synthetic.solids import Floats, Solid, cross

SAMPLES = 2  # Samples per pixel edge: every pixel is the mean of SAMPLES ** 2 samples.
_NEAR = 0.15  # Metres; faces that come closer to the camera are dropped.


@dataclass(frozen=True)
class Faces:
    """Hold all faces of a frame side by side.

    Attributes:
        quads: Corners, (N, 4, 3) metres.
        normals: Outward unit normals, (N, 3).
        colours: Reflectance, (N, 3).
        labels: Class index, (N,).
        layers: Paint order, (N,).
        grain: Strength of the surface pattern, (N,).
        parts: Index of the solid each face belongs to, (N,).
    """

    quads: Floats
    normals: Floats
    colours: Floats
    labels: NDArray[np.uint8]
    layers: NDArray[np.int64]
    grain: Floats
    parts: NDArray[np.int64]

    @staticmethod
    def of(solids: Sequence[Solid]) -> Faces:
        """Join at least one solid."""
        counts = [len(s.quads) for s in solids]
        quads = np.concatenate([s.quads for s in solids])
        normals = cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return Faces(
            quads=quads,
            normals=normals,
            colours=np.concatenate([s.colours for s in solids]),
            labels=np.repeat(np.array([s.label for s in solids], dtype=np.uint8), counts),
            layers=np.concatenate([s.layers for s in solids]),
            grain=np.concatenate([s.grain for s in solids]),
            parts=np.repeat(np.arange(len(solids)), counts),
        )


class Raster:
    """Keep the nearest face per sample; index 0 means nothing drawn."""

    def __init__(self, camera: Camera, nearness: NDArray[np.float32] | None = None) -> None:
        """Start empty, or behind the inverse depth (rows, columns) of what stands already."""
        self.camera = camera
        shape = (camera.height * SAMPLES, camera.width * SAMPLES)
        self.indices = np.zeros(shape, dtype=np.int32)
        self.nearness = np.zeros(shape, np.float32) if nearness is None else nearness.copy()

    def draw(self, faces: Faces) -> None:
        """Draw all faces that look at the camera, solid by solid."""
        screen = self.camera.project(faces.quads)
        centre = faces.quads.mean(axis=1)
        facing = np.einsum("ij,ij->i", faces.normals, np.asarray(self.camera.position) - centre)
        seen = (facing > 0) & (screen[..., 2].min(axis=1) > _NEAR)
        pixels = screen[..., :2] * SAMPLES
        rows, columns = self.indices.shape
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        seen &= (high > 0).all(axis=1) & (low[:, 0] < columns) & (low[:, 1] < rows)
        chosen = np.flatnonzero(seen)
        depth = screen[chosen, :, 2].mean(axis=1)
        chosen = chosen[np.lexsort((-depth, faces.layers[chosen], faces.parts[chosen]))]
        planes = np.ascontiguousarray(self._planes(faces).T, dtype=np.float32)
        for part in np.split(chosen, np.flatnonzero(np.diff(faces.parts[chosen])) + 1):
            if len(part):
                self._draw_part(part, pixels[part], planes)

    def _planes(self, faces: Faces) -> Floats:
        """Return (N + 1, 3) so that inverse depth = p . (column, row, 1); row 0 is unused."""
        camera = self.camera
        local = faces.normals @ camera.rotation.T
        distance = np.einsum("ij,ij->i", local, camera.to_view(faces.quads[:, 0]))
        local = local / np.where(np.abs(distance) < 1e-9, 1e-9, distance)[:, None]
        x, y = local[:, 0] / camera.focal, local[:, 1] / camera.focal
        constant = local[:, 2] - x * 0.5 * camera.width - y * 0.5 * camera.height
        # Sample k covers the pixel coordinate (k + 0.5) / SAMPLES.
        constant = constant + 0.5 / SAMPLES * (x + y)
        planes = np.stack([x / SAMPLES, y / SAMPLES, constant], axis=1)
        return np.concatenate([np.zeros((1, 3)), planes])

    def _draw_part(
        self, part: NDArray[np.int64], pixels: Floats, planes: NDArray[np.float32]
    ) -> None:
        """Draw the faces of one solid back to front, then keep what is nearer than before."""
        rows, columns = self.indices.shape
        low = np.maximum(np.floor(pixels.min(axis=(0, 1))).astype(int), 0)
        high = np.minimum(np.ceil(pixels.max(axis=(0, 1))).astype(int) + 1, (columns, rows))
        width, height = (high - low).tolist()
        patch = Image.new("I", (width, height))
        pen = ImageDraw.Draw(patch)
        # ImageDraw paints the pixel that holds a corner, hence the half-pixel shift.
        flat = (pixels - low - 0.5).reshape(len(part), 8)
        for index, corners in zip(part.tolist(), flat.tolist(), strict=True):
            pen.polygon(corners, fill=index + 1)
        drawn = np.asarray(patch)
        area = (slice(low[1], high[1]), slice(low[0], high[0]))
        u = np.arange(low[0], high[0], dtype=np.float32)
        v = np.arange(low[1], high[1], dtype=np.float32)[:, None]
        near = planes[0].take(drawn)
        near *= u
        near += planes[1].take(drawn) * v
        near += planes[2].take(drawn)
        wins = near > self.nearness[area]
        np.copyto(self.nearness[area], near, where=wins)
        np.copyto(self.indices[area], drawn, where=wins)
