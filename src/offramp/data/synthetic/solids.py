"""Solids as outward-facing quadrilaterals: boxes, lofted tubes and stickers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Colour = tuple[float, float, float]
Point = tuple[float, float, float]

FLOOR, PERSON, VEHICLE, OBSTACLE, IGNORE = 0, 1, 2, 3, 255

_CORNERS = np.array(
    [
        [-1, -1, 0],
        [1, -1, 0],
        [1, 1, 0],
        [-1, 1, 0],
        [-1, -1, 2],
        [1, -1, 2],
        [1, 1, 2],
        [-1, 1, 2],
    ],
    dtype=np.float64,
)
# Counter-clockwise seen from outside: rear, right, front, left, top, bottom.
_SIDES = np.array(
    [[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7], [3, 2, 1, 0]]
)
REAR, RIGHT, FRONT, LEFT, TOP = range(5)


@dataclass(frozen=True)
class Solid:
    """Hold one solid that hides itself by facing and layer, and others by depth.

    Attributes:
        quads: Corners, (F, 4, 3) metres, counter-clockwise from outside.
        colours: Reflectance per face, (F, 3) in 0..1.
        layers: Paint order per face, (F,); stickers lie on layer 1 and above.
        grain: Strength of the surface pattern per face, (F,).
        label: Class index of every face.
    """

    quads: Floats
    colours: Floats
    layers: NDArray[np.int64]
    grain: Floats
    label: int

    def placed(self, at: Point, heading: float = 0.0) -> Solid:
        """Turn the solid about z by `heading` radians clockwise, then move it by `at` metres."""
        if heading == 0.0:
            return replace(self, quads=self.quads + np.asarray(at))
        sin, cos = math.sin(heading), math.cos(heading)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return replace(self, quads=self.quads @ turn + np.asarray(at))

    def on_layer(self, layer: int) -> Solid:
        """Return the same solid, painted after all lower layers it is joined with."""
        return replace(self, layers=np.full(len(self.quads), layer))

    def with_sticker(
        self, side: int, area: tuple[float, float, float, float], colour: Colour, layer: int = 1
    ) -> Solid:
        """Paint a rectangle on one face, `area` being left, bottom, right, top in 0..1."""
        corner = self.quads[side]
        left, bottom, right, top = area
        across, up = corner[1] - corner[0], corner[3] - corner[0]
        places = ((left, bottom), (right, bottom), (right, top), (left, top))
        quad = np.stack([corner[0] + u * across + v * up for u, v in places])
        return replace(
            self,
            quads=np.concatenate([self.quads, quad[None]]),
            colours=np.concatenate([self.colours, np.asarray([colour])]),
            layers=np.append(self.layers, layer),
            grain=np.append(self.grain, 0.02),
        )


def solid(quads: Floats, colours: Floats, label: int, grain: float = 0.05) -> Solid:
    """Build a solid from quads (F, 4, 3) and colours that broadcast to (F, 3)."""
    count = len(quads)
    return Solid(
        quads=quads,
        colours=np.array(np.broadcast_to(colours, (count, 3)), dtype=np.float64),
        layers=np.zeros(count, dtype=np.int64),
        grain=np.full(count, grain),
        label=label,
    )


def joined(parts: Sequence[Solid]) -> Solid:
    """Join solids of one class into one, which is drawn faster but sorted by face depth only.

    That is right for small parts; layers of the parts are kept.
    """
    return Solid(
        quads=np.concatenate([part.quads for part in parts]),
        colours=np.concatenate([part.colours for part in parts]),
        layers=np.concatenate([part.layers for part in parts]),
        grain=np.concatenate([part.grain for part in parts]),
        label=parts[0].label,
    )


def box(
    size: Point,
    at: Point,
    colour: Colour,
    label: int,
    *,
    heading: float = 0.0,
    top: Colour | None = None,
    taper: float = 1.0,
    grain: float = 0.05,
) -> Solid:
    """Build a box of `size` metres standing on its base centre `at`.

    `taper` scales the top rectangle; `top` recolours the lid.
    """
    corners = _CORNERS * (np.asarray(size) * 0.5)
    corners[4:, :2] *= taper
    colours = np.tile(np.asarray(colour, dtype=np.float64), (6, 1))
    if top is not None:
        colours[TOP] = top
    made = solid(corners[_SIDES], colours, label, grain)
    if heading == 0.0:
        made.quads[...] += at
        return made
    return made.placed(at, heading)


def bar(start: Point, end: Point, thick: float, colour: Colour, label: int) -> Solid:
    """Build a square bar `thick` metres wide between two points."""
    return loft((start, end), (thick * 0.71,) * 2, (colour,), label, sides=4)


def loft(
    path: Sequence[Point],
    radii: Sequence[float | tuple[float, float]],
    colours: Sequence[Colour],
    label: int,
    *,
    sides: int = 6,
    side_axis: Point = (1.0, 0.0, 0.0),
    caps: bool = True,
    grain: float = 0.05,
) -> Solid:
    """Sweep an elliptic ring along a path, one colour per stretch.

    Args:
        path: K ring centres, metres.
        radii: K radii, or pairs of radii along and across `side_axis`, metres.
        colours: K - 1 reflectances.
        label: Class index.
        sides: Corners per ring, even.
        side_axis: Direction of the first radius.
        caps: Whether both ends are closed.
        grain: Strength of the surface pattern.
    """
    centres = np.array(path, dtype=np.float64)
    spread = np.array([r if isinstance(r, tuple) else (r, r) for r in radii])
    corners = _rings(centres, spread, sides, side_axis).reshape(-1, 3)
    quads, paints = _net(len(centres), sides, caps)
    return Solid(
        quads=corners[quads],
        colours=np.array(colours, dtype=np.float64)[paints],
        layers=np.zeros(len(quads), dtype=np.int64),
        grain=np.full(len(quads), grain),
        label=label,
    )


@lru_cache(maxsize=64)
def _net(rings: int, sides: int, caps: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return corner numbers (F, 4) and stretch numbers (F,) of a tube's faces."""
    start = sides * np.arange(rings - 1)[:, None]
    here, after = np.arange(sides), np.arange(1, sides + 1) % sides
    low, high = start, start + sides
    walls = np.stack([low + here, low + after, high + after, high + here], axis=-1)
    quads = walls.reshape(-1, 4)
    paints = np.repeat(np.arange(rings - 1), sides)
    if caps:
        lid = np.array([[0, i, i + 1, i + 2] for i in range(1, sides - 2, 2)])
        top = lid + sides * (rings - 1)
        quads = np.concatenate([quads, sides - 1 - lid, top])
        ends = np.repeat([0, rings - 2], len(lid))
        paints = np.concatenate([paints, ends])
    return quads, paints


@lru_cache(maxsize=16)
def _circle(sides: int) -> Floats:
    """Return the corners (sides, 2) of a regular polygon."""
    angle = (np.arange(sides) + 0.5) * (2 * np.pi / sides)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def cross(a: Floats, b: Floats) -> Floats:
    """Return the cross product (..., 3); on short arrays faster than the library's."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    product[..., 0] = ay * bz - az * by
    product[..., 1] = az * bx - ax * bz
    product[..., 2] = ax * by - ay * bx
    return product


def _rings(centres: Floats, spread: Floats, sides: int, side_axis: Point) -> Floats:
    """Return ring corners (K, sides, 3), counter-clockwise seen from the end of the path."""
    ways = np.empty_like(centres)
    steps = centres[1:] - centres[:-1]
    ways[0], ways[-1] = steps[0], steps[-1]
    ways[1:-1] = steps[1:] + steps[:-1]
    ways /= np.sqrt((ways * ways).sum(axis=1, keepdims=True)) + 1e-12
    axis = np.array(side_axis)
    first = axis - ways * (ways @ axis)[:, None]
    length = np.sqrt((first * first).sum(axis=1, keepdims=True))
    weak = length[:, 0] < 1e-3
    if weak.any():
        first[weak] = cross(ways[weak], np.array([0.0, 0.6, 0.8]))
        length = np.sqrt((first * first).sum(axis=1, keepdims=True))
    first /= length
    frame = np.stack([first * spread[:, :1], cross(ways, first) * spread[:, 1:]], axis=1)
    rings: Floats = centres[:, None] + _circle(sides) @ frame
    return rings
