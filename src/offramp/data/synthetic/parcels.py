"""Parcels: taped cartons with labels, intact or dented, torn or wet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offramp.data.synthetic.props import Model, darker, pick
from offramp.data.synthetic.solids import (
    FRONT,
    LEFT,
    REAR,
    RIGHT,
    TOP,
    Colour,
    Floats,
    Point,
    Solid,
    box,
    solid,
)

PACKAGE = 1
_PAPER: tuple[Colour, ...] = (
    (0.66, 0.50, 0.34),
    (0.72, 0.57, 0.40),
    (0.58, 0.43, 0.29),
    (0.82, 0.81, 0.78),
    (0.24, 0.33, 0.50),
)
_CELLS = 26  # Cells per edge of a face that can be bent or stained.


@dataclass(frozen=True)
class Parcel:
    """Describe one parcel: size in metres, paper and tape colour."""

    size: Point
    paper: Colour
    tape: Colour

    @staticmethod
    def random(rng: np.random.Generator) -> Parcel:
        """Draw a parcel of shoe-box to moving-box size."""
        size = rng.uniform((0.16, 0.18, 0.06), (0.5, 0.55, 0.36))
        tapes: tuple[Colour, ...] = ((0.78, 0.66, 0.46), (0.52, 0.36, 0.22), (0.86, 0.86, 0.84))
        return Parcel(
            (float(size[0]), float(size[1]), float(size[2])),
            pick(rng, _PAPER, 0.08),
            pick(rng, tapes, 0.04),
        )


def intact(parcel: Parcel, rng: np.random.Generator) -> Model:
    """Build a sound parcel."""
    paper = parcel.paper
    body = box((parcel.size), (0, 0, 0), paper, PACKAGE, grain=0.05)
    body = body.with_sticker(TOP, (0.47, 0.0, 0.475, 1.0), darker(paper, 0.6))
    body = body.with_sticker(TOP, (0.41, 0.0, 0.54, 1.0), parcel.tape, 2)
    for side in (REAR, FRONT):
        body = body.with_sticker(side, (0.42, 0.68, 0.54, 1.0), parcel.tape)
    side = int(rng.choice([RIGHT, LEFT]))
    body = _address(body, TOP, 0.6, 0.1)
    return [_address(body, side, 0.12, 0.3)]


def _address(body: Solid, side: int, left: float, bottom: float) -> Solid:
    """Stick an address label with a bar code on one side."""
    body = body.with_sticker(side, (left, bottom, left + 0.3, bottom + 0.4), (0.9, 0.9, 0.88), 3)
    for row in range(3):
        y = bottom + 0.33 - 0.05 * row
        body = body.with_sticker(side, (left + 0.03, y, left + 0.2, y + 0.02), (0.2, 0.2, 0.2), 4)
    for stroke in range(9):
        x = left + 0.03 + 0.027 * stroke
        thick = 0.008 + 0.007 * (stroke * 7 % 3)
        area = (x, bottom + 0.04, x + thick, bottom + 0.16)
        body = body.with_sticker(side, area, (0.08, 0.08, 0.08), 4)
    return body


def damaged(parcel: Parcel, rng: np.random.Generator) -> Model:
    """Build a parcel that is dented, torn or wet."""
    skin = _skin(parcel)
    kind = int(rng.integers(3))
    if kind == 0:
        for _ in range(int(rng.integers(1, 4))):
            skin = _dent(skin, parcel.size, rng)
    elif kind == 1:
        skin = _tear(_dent(skin, parcel.size, rng), parcel.size, rng)
    else:
        skin = _soak(skin, parcel.size, rng)
    return [skin]


def _skin(parcel: Parcel) -> Solid:
    """Cut the faces of a box into small cells; tape and label become cell colours."""
    body = box(parcel.size, (0, 0, 0), parcel.paper, PACKAGE)
    step = np.linspace(0, 1, _CELLS + 1)
    quads: list[Floats] = []
    paints: list[Floats] = []
    for side in range(5):
        origin, along, _, up = body.quads[side]
        spread = (
            origin + step[None, :, None] * (along - origin) + step[:, None, None] * (up - origin)
        )
        cells = np.stack(
            [spread[:-1, :-1], spread[:-1, 1:], spread[1:, 1:], spread[1:, :-1]], axis=2
        )
        paint = np.tile(np.asarray(parcel.paper), (_CELLS, _CELLS, 1))
        if side == TOP:
            paint[:, 11:15] = parcel.tape
            paint[3:12, 17:24] = (0.9, 0.9, 0.88)
            paint[4:7, 18:23:2] = 0.1
        quads.append(cells.reshape(-1, 4, 3))
        paints.append(paint.reshape(-1, 3))
    return solid(np.concatenate(quads), np.concatenate(paints), PACKAGE, 0.05)


def _surface_spot(size: Point, rng: np.random.Generator) -> Floats:
    """Draw a place on the upper edges or the lid, where damage is seen from all sides."""
    corner = rng.choice([-1.0, 1.0], 2)
    place = np.array([corner[0] * 0.5, corner[1] * 0.5, 1.0])
    place[int(rng.integers(2))] *= rng.uniform(0, 1)
    place[2] = rng.uniform(0.7, 1.0)
    spot: Floats = place * np.asarray(size)
    return spot


def _dent(skin: Solid, size: Point, rng: np.random.Generator) -> Solid:
    """Push the surface in around a spot."""
    spot = _surface_spot(size, rng)
    radius = float(rng.uniform(0.3, 0.5)) * min(size[0], size[1], 2 * size[2])
    inward = np.array([0.0, 0.0, 0.45 * size[2]]) - spot
    inward /= np.linalg.norm(inward)
    far = np.linalg.norm(skin.quads - spot, axis=-1, keepdims=True) / radius
    depth = radius * 0.55 * np.exp(-2.2 * far**2) * (1 + 0.25 * np.sin(9 * far))
    moved = skin.quads + depth * inward
    moved[..., 2] = np.maximum(moved[..., 2], 0.0)
    return replace(skin, quads=moved)


def _tear(skin: Solid, size: Point, rng: np.random.Generator) -> Solid:
    """Open a ragged hole with a light paper edge."""
    spot = _surface_spot(size, rng)
    radius = float(rng.uniform(0.25, 0.4)) * min(size[0], size[1])
    centres = skin.quads.mean(axis=1)
    far = np.linalg.norm(centres - spot, axis=1) / radius + rng.normal(0, 0.12, len(centres))
    colours = skin.colours.copy()
    colours[far < 1.25] = np.minimum(colours[far < 1.25] * 1.25 + 0.06, 0.92)
    colours[far < 0.95] = (0.12, 0.09, 0.07)
    return replace(skin, colours=colours)


def _soak(skin: Solid, size: Point, rng: np.random.Generator) -> Solid:
    """Darken the lower part or a puddle on the lid, with a wavy dark rim."""
    centres = skin.quads.mean(axis=1)
    phase = rng.uniform(0, 6, 2)
    wave = 0.12 * np.sin(14 * centres[:, 0] + phase[0])
    wave += 0.1 * np.sin(17 * centres[:, 1] + phase[1])
    rise = centres[:, 2] / size[2] + wave - float(rng.uniform(0.35, 0.65))
    spot = _surface_spot(size, rng)
    lid = np.linalg.norm((centres - spot)[:, :2], axis=1) / (0.45 * size[1]) + wave - 1
    level = np.minimum(rise, np.where(centres[:, 2] > 0.98 * size[2], lid, 1.0))
    factor = np.where(level < 0, 0.62, np.where(level < 0.06, 0.5, 1.0))
    return replace(skin, colours=skin.colours * factor[:, None])
