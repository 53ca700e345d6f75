"""Procedural noise and the painted concrete floor of a hall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

TEXEL = 0.0145  # Metres per floor texel.
YELLOW, WHITE, BLACK = (226, 178, 30), (222, 222, 214), (30, 30, 30)

Rect = tuple[float, float, float, float]  # left, bottom, right, top in metres
Rgb = tuple[int, int, int]


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], cells: Sequence[int]
) -> NDArray[np.float32]:
    """Sum smooth noise of unit variance, halving the weight per finer cell count."""
    rows, columns = shape
    total: NDArray[np.float32] | None = None
    for octave, count in enumerate(cells):
        grid = rng.standard_normal((count, max(2, count * columns // rows)), dtype=np.float32)
        grid *= np.float32(0.5**octave)
        if total is not None:
            # Adding the coarse sum at the finer size saves enlarging every octave fully.
            grid += _enlarged(total, grid.shape)
        total = grid
    noise = _enlarged(np.zeros((2, 2), np.float32) if total is None else total, shape)
    noise /= max(float(noise[::4, ::4].std()), 1e-6)
    return noise


def _enlarged(noise: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = (shape[1], shape[0])
    return np.array(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class Markings:
    """List what is painted on a floor, in hall metres.

    Attributes:
        lanes: Driving lanes between two yellow lines.
        hatched: Keep-clear areas with diagonal stripes.
        framed: Storage places with an outline, and its colour.
        crossings: Zebra crossings; bars run along the longer edge.
        arrows: x, y and heading in radians of white arrows.
    """

    lanes: tuple[Rect, ...]
    hatched: tuple[Rect, ...]
    framed: tuple[tuple[Rect, Rgb], ...]
    crossings: tuple[Rect, ...]
    arrows: tuple[tuple[float, float, float], ...]


class Floor:
    """Paint one square floor from -half to +half metres; row 0 lies at y = -half."""

    def __init__(self, half: float, colour: Rgb, rng: np.random.Generator) -> None:
        """Prepare bare concrete of a colour."""
        self.half = half
        self.size = int(2 * half / TEXEL)
        self.rng = rng
        self.colour = colour

    def _texel(self, x: float, y: float) -> tuple[float, float]:
        return ((x + self.half) / TEXEL, (y + self.half) / TEXEL)

    def paint(self, markings: Markings) -> Image.Image:
        """Return the finished floor as an RGB picture."""
        base = self._concrete()
        layer = Image.new("RGB", (self.size, self.size))
        cover = Image.new("L", (self.size, self.size))
        self._draw(markings, ImageDraw.Draw(layer), ImageDraw.Draw(cover))
        wear = fractal(self.rng, (self.size, self.size), (40, 160, 500))
        worn = np.clip(0.86 - 0.16 * np.maximum(wear, -0.6), 0.15, 0.97)
        alpha = np.asarray(cover, dtype=np.float32) * worn
        base.paste(layer, mask=Image.fromarray(alpha.astype(np.uint8)))
        return self._soil(base, markings.lanes)

    def _concrete(self) -> Image.Image:
        """Return cloudy concrete with joints and cracks."""
        shape = (self.size, self.size)
        clouds = 1 + 0.055 * fractal(self.rng, shape, (4, 9, 24, 80))
        clouds += 0.03 * fractal(self.rng, shape, (300, 900))
        bands = [np.clip(level * clouds, 0, 255).astype(np.uint8) for level in self.colour]
        base = Image.merge("RGB", [Image.fromarray(band) for band in bands])
        pen = ImageDraw.Draw(base)
        dark = tuple(int(c * 0.45) for c in self.colour)
        pitch = float(self.rng.choice([3.0, 4.0, 5.0]))
        start = -self.half + float(self.rng.uniform(0.5, pitch))
        for offset in np.arange(start, self.half, pitch).tolist():
            low, high = -self.half, self.half
            pen.line([self._texel(low, offset), self._texel(high, offset)], fill=dark, width=2)
            pen.line([self._texel(offset, low), self._texel(offset, high)], fill=dark, width=2)
        for _ in range(int(self.rng.integers(3, 7))):
            self._crack(pen, dark)
        return base

    def _crack(self, pen: ImageDraw.ImageDraw, colour: tuple[int, ...]) -> None:
        at = self.rng.uniform(0, self.size, 2)
        way = self.rng.uniform(0, 2 * np.pi)
        points = [tuple(at.tolist())]
        for _ in range(int(self.rng.integers(12, 30))):
            way += self.rng.normal(0, 0.45)
            at = at + 14 * np.array([np.cos(way), np.sin(way)])
            points.append(tuple(at.tolist()))
        pen.line(points, fill=colour, width=1)

    def _soil(self, base: Image.Image, lanes: Sequence[Rect]) -> Image.Image:
        """Darken the floor with tyre marks along the lanes and with soft stains."""
        # Dirt is soft: half the resolution shows no difference.
        small = (self.size // 2, self.size // 2)
        marks = Image.new("L", small)
        pen = ImageDraw.Draw(marks)
        for lane in lanes:
            for _ in range(int(self.rng.integers(26, 44))):
                self._tyre_mark(pen, lane)
        stains = Image.new("L", small)
        pen = ImageDraw.Draw(stains)
        for _ in range(int(self.rng.integers(30, 60))):
            x, y = self.rng.uniform(0, small[0], 2).tolist()
            a, b = self.rng.uniform(3, 26, 2).tolist()
            shade = int(self.rng.integers(15, 75))
            pen.ellipse([x - a, y - b, x + a, y + b], fill=shade)
        marks = marks.filter(ImageFilter.GaussianBlur(1.2))
        stains = stains.filter(ImageFilter.GaussianBlur(4))
        clean = ImageChops.invert(ImageChops.add(marks, stains).point(lambda dirt: min(dirt, 200)))
        wide = clean.resize(base.size, Image.Resampling.BILINEAR)
        return ImageChops.multiply(base, Image.merge("RGB", (wide, wide, wide)))

    def _tyre_mark(self, pen: ImageDraw.ImageDraw, lane: Rect) -> None:
        left, bottom, right, top = lane
        x, y = self.rng.uniform(left, right), self.rng.uniform(bottom, top)
        length = self.rng.uniform(0.8, 5.0)
        slant = self.rng.normal(0, 0.05) * length
        along = top - bottom > right - left
        dx, dy = (slant, length) if along else (length, slant)
        points = np.array([self._texel(x, y), self._texel(x + dx, y + dy)]) / 2
        shade, width = int(self.rng.integers(15, 95)), int(self.rng.integers(2, 7))
        pen.line(points.ravel().tolist(), fill=shade, width=width)

    def _draw(
        self, marks: Markings, layer: ImageDraw.ImageDraw, cover: ImageDraw.ImageDraw
    ) -> None:
        def fill(corners: Sequence[tuple[float, float]], colour: Rgb) -> None:
            flat = [self._texel(x, y) for x, y in corners]
            layer.polygon(flat, fill=colour)
            cover.polygon(flat, fill=255)

        for lane in marks.lanes:
            for edge in _lane_edges(lane):
                fill(_corners(edge), YELLOW)
        for rect in marks.hatched:
            for stripe in _stripes(rect):
                fill(stripe, YELLOW)
            for edge in _frame(rect, 0.08):
                fill(_corners(edge), YELLOW)
        for rect, colour in marks.framed:
            for edge in _frame(rect, 0.09):
                fill(_corners(edge), colour)
        for rect in marks.crossings:
            for edge in _zebra(rect):
                fill(_corners(edge), WHITE)
        for x, y, heading in marks.arrows:
            fill(_arrow(x, y, heading), WHITE)


def _corners(rect: Rect) -> list[tuple[float, float]]:
    left, bottom, right, top = rect
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


def _lane_edges(lane: Rect, thick: float = 0.1) -> list[Rect]:
    left, bottom, right, top = lane
    if top - bottom > right - left:
        return [(left, bottom, left + thick, top), (right - thick, bottom, right, top)]
    return [(left, bottom, right, bottom + thick), (left, top - thick, right, top)]


def _frame(rect: Rect, thick: float) -> list[Rect]:
    left, bottom, right, top = rect
    return [
        (left, bottom, right, bottom + thick),
        (left, top - thick, right, top),
        (left, bottom, left + thick, top),
        (right - thick, bottom, right, top),
    ]


def _zebra(rect: Rect) -> list[Rect]:
    left, bottom, right, top = rect
    if top - bottom > right - left:
        return [(left, y, right, y + 0.5) for y in np.arange(bottom, top - 0.4, 0.95).tolist()]
    return [(x, bottom, x + 0.5, top) for x in np.arange(left, right - 0.4, 0.95).tolist()]


def _stripes(rect: Rect) -> list[list[tuple[float, float]]]:
    """Cut diagonal stripes of 0.16 m to a rectangle."""
    left, bottom, right, top = rect
    stripes: list[list[tuple[float, float]]] = []
    for offset in np.arange(left - (top - bottom), right, 0.42).tolist():
        shape = [
            (offset, bottom),
            (offset + 0.2, bottom),
            (offset + 0.2 + top - bottom, top),
            (offset + top - bottom, top),
        ]
        clipped = _clip_x(_clip_x(shape, left, 1.0), right, -1.0)
        if len(clipped) > 2:
            stripes.append(clipped)
    return stripes


def _clip_x(
    shape: list[tuple[float, float]], bound: float, sign: float
) -> list[tuple[float, float]]:
    """Keep the part of a polygon where sign * (x - bound) >= 0."""
    kept: list[tuple[float, float]] = []
    for a, b in zip(shape, shape[1:] + shape[:1], strict=True):
        da, db = sign * (a[0] - bound), sign * (b[0] - bound)
        if da >= 0:
            kept.append(a)
        if da * db < 0:
            t = da / (da - db)
            kept.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
    return kept


def _arrow(x: float, y: float, heading: float) -> list[tuple[float, float]]:
    shape = np.array(
        [[-0.1, -0.8], [0.1, -0.8], [0.1, 0.2], [0.3, 0.2], [0, 0.85], [-0.3, 0.2], [-0.1, 0.2]]
    )
    sin, cos = np.sin(heading), np.cos(heading)
    turned = shape @ np.array([[cos, -sin], [sin, cos]]) + (x, y)
    return [(float(a), float(b)) for a, b in turned]
