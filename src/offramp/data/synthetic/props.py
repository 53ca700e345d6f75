"""Obstacles: machines, racks, pillars, pallets, boxes and what else stands in a hall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offramp.data.synthetic.solids import (
    FRONT,
    LEFT,
    OBSTACLE,
    REAR,
    RIGHT,
    TOP,
    Colour,
    Solid,
    bar,
    box,
    joined,
    loft,
)

Model = list[Solid]

CARDBOARD: Colour = (0.66, 0.50, 0.35)
WOOD: Colour = (0.70, 0.56, 0.38)
STEEL: Colour = (0.55, 0.57, 0.60)
DARK: Colour = (0.13, 0.14, 0.15)
HAZARD: Colour = (0.93, 0.74, 0.10)
WRAP: Colour = (0.72, 0.74, 0.76)
PAINTS: tuple[Colour, ...] = (
    (0.16, 0.42, 0.32),
    (0.24, 0.42, 0.60),
    (0.82, 0.82, 0.78),
    (0.88, 0.72, 0.18),
    (0.44, 0.46, 0.50),
    (0.70, 0.32, 0.18),
)
BINS: tuple[Colour, ...] = ((0.10, 0.48, 0.48), (0.16, 0.28, 0.62), (0.66, 0.14, 0.13), WRAP)


def pick(rng: np.random.Generator, options: tuple[Colour, ...], spread: float = 0.05) -> Colour:
    """Choose a colour and vary it a little."""
    colour = np.asarray(options[int(rng.integers(len(options)))])
    varied = np.clip(colour * (1 + rng.normal(0, spread)) + rng.normal(0, 0.015, 3), 0.03, 0.97)
    return (float(varied[0]), float(varied[1]), float(varied[2]))


def darker(colour: Colour, factor: float) -> Colour:
    """Scale a colour."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def carton(
    rng: np.random.Generator,
    size: tuple[float, float, float],
    at: tuple[float, float, float],
    heading: float = 0.0,
    label: int = OBSTACLE,
) -> Solid:
    """Build one taped cardboard box with an address label."""
    colour = pick(rng, (CARDBOARD,), 0.12)
    body = box(size, at, colour, label, heading=heading, grain=0.08)
    tape = darker((0.78, 0.62, 0.42), 1.05)
    body = body.with_sticker(TOP, (0.0, 0.44, 1.0, 0.56), tape)
    side = int(rng.choice([REAR, RIGHT, FRONT, LEFT]))
    body = body.with_sticker(side, (0.58, 0.45, 0.88, 0.8), (0.86, 0.86, 0.83))
    return body.with_sticker((side + 2) % 4, (0.2, 0.2, 0.4, 0.45), darker(colour, 0.6))


def boxes(rng: np.random.Generator, label: int = OBSTACLE) -> Model:
    """Build one to three loose or stacked cartons within 0.9 m."""
    size = rng.uniform((0.35, 0.35, 0.25), (0.7, 0.6, 0.5))
    turn = float(rng.uniform(-0.3, 0.3))
    model = [carton(rng, _xyz(size), (0, 0, 0), turn, label)]
    if rng.random() < 0.6:
        upper = size * rng.uniform(0.6, 0.95, 3)
        model.append(carton(rng, _xyz(upper), (0.02, 0.0, float(size[2])), turn + 0.2, label))
    return model


def bin_box(
    rng: np.random.Generator,
    size: tuple[float, float, float],
    at: tuple[float, float, float],
    label: int = OBSTACLE,
) -> Solid:
    """Build an open plastic bin with dark or filled inside."""
    colour = pick(rng, BINS)
    body = box(size, at, colour, label, taper=1.06)
    body = body.with_sticker(TOP, (0.07, 0.07, 0.93, 0.93), darker(colour, 0.45))
    if rng.random() < 0.6:
        filling = pick(rng, (CARDBOARD, STEEL, WOOD))
        body = body.with_sticker(TOP, (0.15, 0.2, 0.6, 0.85), filling, 2)
    for side in (REAR, FRONT):
        body = body.with_sticker(side, (0.3, 0.55, 0.7, 0.8), darker(colour, 0.6))
    return body


def bins(rng: np.random.Generator, label: int = OBSTACLE) -> Model:
    """Build a large open bin on the floor."""
    return [bin_box(rng, (0.9, 0.7, 0.6), (0, 0, 0.05), label)]


def pallet(label: int = OBSTACLE) -> Model:
    """Build an empty euro pallet, 0.8 x 1.2 m."""
    model = [box((0.8, 0.1, 0.1), (0, y, 0), darker(WOOD, 0.7), label) for y in (-0.5, 0, 0.5)]
    model += [
        box((0.12, 1.2, 0.03), (x, 0, 0.11), WOOD, label, grain=0.1).on_layer(1)
        for x in (-0.34, -0.17, 0.0, 0.17, 0.34)
    ]
    return [joined(model)]


def block(
    rng: np.random.Generator, size: tuple[float, float, float], base: float, label: int
) -> Solid:
    """Build a wrapped block of equal cartons with visible rows and columns."""
    colour = pick(rng, (WRAP, CARDBOARD, CARDBOARD, (0.8, 0.78, 0.7)), 0.1)
    body = box(size, (0, 0, base), colour, label, grain=0.09)
    line = darker(colour, 0.72)
    for side in (REAR, RIGHT, FRONT, LEFT, TOP):
        for cut in np.linspace(0, 1, 5)[1:-1].tolist():
            body = body.with_sticker(side, (cut - 0.012, 0, cut + 0.012, 1), line)
            body = body.with_sticker(side, (0, cut - 0.012, 1, cut + 0.012), line)
    return body


def drum(x: float, y: float, base: float, colour: Colour, label: int) -> Solid:
    """Build an oil drum of 0.58 m with ribs."""
    rib = darker(colour, 0.75)
    levels = (0.0, 0.28, 0.32, 0.58, 0.62, 0.88)
    path = [(x, y, base + z) for z in levels]
    return loft(path, (0.29,) * 6, (colour, rib, colour, rib, colour), label, sides=12)


def loaded_pallet(rng: np.random.Generator, label: int = OBSTACLE) -> Model:
    """Build a pallet with a wrapped block, drums, loose cartons or nothing."""
    model = pallet(label)
    kind = int(rng.integers(4))
    if kind == 0:
        model.append(block(rng, (0.78, 1.16, float(rng.uniform(0.5, 1.3))), 0.14, label))
    elif kind == 1:
        colour = pick(rng, ((0.2, 0.45, 0.62), (0.62, 0.1, 0.25), (0.15, 0.45, 0.3), DARK))
        model += [drum(0, y, 0.14, colour, label) for y in (-0.3, 0.31)]
    elif kind == 2:
        for y in (-0.33, 0.3):
            size = _xyz(rng.uniform((0.5, 0.4, 0.35), (0.74, 0.56, 0.7)))
            model.append(carton(rng, size, (0, y, 0.14), float(rng.normal(0, 0.08)), label))
    return model


def rack(rng: np.random.Generator, bays: int = 2) -> Model:
    """Build a pallet rack along y, 1.1 m deep and 2.6 m per bay, with goods."""
    blue, orange = (0.13, 0.24, 0.60), (0.88, 0.42, 0.10)
    length, depth = 2.6 * bays, 1.0
    levels = (0.15, 1.35, 2.5)
    sides, heights = (-depth / 2, depth / 2), (0.5, 1.8)
    model: Model = []
    for bay in range(bays + 1):
        y = -length / 2 + 2.6 * bay
        model += [box((0.1, 0.1, 3.3), (x, y, 0), blue, OBSTACLE) for x in sides]
        model += [
            bar((sides[0], y, z), (sides[1], y, z + 0.8), 0.05, blue, OBSTACLE) for z in heights
        ]
    for z in levels:
        model.append(box((depth, length, 0.04), (0, 0, z), WRAP, OBSTACLE))
        beam = (0.05, length, 0.12)
        model += [box(beam, (1.06 * x, 0, z - 0.06), orange, OBSTACLE) for x in sides]
        for bay in range(bays):
            model += _shelf_goods(rng, -length / 2 + 2.6 * bay, z + 0.04)
    return model


def _shelf_goods(rng: np.random.Generator, start: float, base: float) -> Model:
    """Fill one bay of a shelf from `start` metres along y."""
    goods: Model = []
    y = start + 0.12
    while y < start + 2.0:
        width = float(rng.uniform(0.55, 1.15))
        height = float(rng.uniform(0.35, 0.9))
        size = (float(rng.uniform(0.6, 0.9)), min(width, start + 2.48 - y), height)
        centre = (float(rng.normal(0, 0.03)), y + size[1] / 2, base)
        kind = rng.random()
        if kind < 0.5:
            goods.append(carton(rng, size, centre))
        elif kind < 0.68:
            goods.append(bin_box(rng, size, centre))
        elif kind < 0.85:
            goods.append(block(rng, size, 0.0, OBSTACLE).placed(centre))
        y += width + float(rng.uniform(0.03, 0.15))
    return goods


def pillar(rng: np.random.Generator) -> Model:
    """Build a column to the ceiling with hazard bands at its foot."""
    colour = pick(rng, ((0.55, 0.60, 0.58), (0.62, 0.42, 0.32), (0.7, 0.69, 0.65)))
    width = float(rng.uniform(0.4, 0.55))
    model = [box((width, width, 8.0), (0, 0, 0), colour, OBSTACLE, grain=0.07)]
    band = (width + 0.02, width + 0.02, 0.18)
    paints = (DARK, HAZARD)
    model += [box(band, (0, 0, 0.18 * k), paints[k % 2], OBSTACLE) for k in range(7)]
    return model


def machine(rng: np.random.Generator) -> Model:
    """Build a machine tool of about 2.2 x 1.6 m with window, panel, cabinet and hazard plinth."""
    main, second = pick(rng, PAINTS), pick(rng, PAINTS)
    length, depth = float(rng.uniform(1.7, 2.7)), float(rng.uniform(1.3, 1.8))
    height = float(rng.uniform(1.4, 2.1))
    plinth = box((length + 0.06, depth + 0.06, 0.12), (0, 0, 0), HAZARD, OBSTACLE)
    for side in (REAR, RIGHT, FRONT, LEFT):
        for cut in np.arange(0.0, 1.0, 0.125).tolist():
            plinth = plinth.with_sticker(side, (cut, 0, cut + 0.0625, 1), DARK)
    body = box((length, depth, height), (0, 0, 0.12), main, OBSTACLE, top=darker(main, 1.1))
    body = body.with_sticker(REAR, (0.12, 0.42, 0.58, 0.8), darker(STEEL, 0.55))
    body = body.with_sticker(REAR, (0.14, 0.45, 0.56, 0.77), DARK, 2)
    body = body.with_sticker(REAR, (0.68, 0.4, 0.94, 0.75), second)
    body = body.with_sticker(REAR, (0.72, 0.55, 0.9, 0.7), (0.08, 0.12, 0.14), 2)
    for side in (RIGHT, FRONT, LEFT):
        body = body.with_sticker(side, (0.49, 0.05, 0.505, 0.95), darker(main, 0.6))
        body = body.with_sticker(side, (0.05, 0.3, 0.95, 0.315), darker(main, 0.6))
        body = body.with_sticker(side, (0.6, 0.55, 0.72, 0.68), HAZARD)
    body = body.with_sticker(RIGHT, (0.2, 0.4, 0.45, 0.8), DARK, 2)
    cap = 0.12 + height
    upper = box(
        (length * 0.5, depth * 0.55, 0.45), (length * 0.2, 0.1, cap), second, OBSTACLE, taper=0.92
    )
    upper = upper.with_sticker(REAR, (0.2, 0.25, 0.7, 0.75), DARK)
    vent = box((0.5, 0.5, 0.2), (-length * 0.28, 0, cap), darker(STEEL, 0.8), OBSTACLE)
    vent = vent.with_sticker(TOP, (0.15, 0.15, 0.85, 0.85), DARK)
    cabinet = box((0.45, 0.7, 1.0), (length / 2 + 0.26, 0.1, 0.2), second, OBSTACLE)
    cabinet = cabinet.with_sticker(RIGHT, (0.2, 0.5, 0.7, 0.85), DARK)
    lamp = loft(
        [(length * 0.42, -depth * 0.35, cap + z) for z in (0, 0.25, 0.38, 0.5)],
        (0.025, 0.05, 0.05, 0.05),
        (STEEL, (0.1, 0.6, 0.2), (0.85, 0.15, 0.08)),
        OBSTACLE,
    )
    return [plinth, body, upper, vent, cabinet, lamp]


def workbench(rng: np.random.Generator) -> Model:
    """Build a slatted table of 2 x 0.8 m with a few things on it."""
    legs = [(x, y) for x in (-0.34, 0.34) for y in (-0.9, 0.9)]
    parts = [box((0.06, 0.06, 0.8), (x, y, 0), STEEL, OBSTACLE) for x, y in legs]
    for x in np.linspace(-0.33, 0.33, 5).tolist():
        plank = box((0.15, 2.0, 0.05), (x, 0, 0.8), pick(rng, (WOOD,)), OBSTACLE, grain=0.1)
        parts.append(plank.on_layer(1))
    model = [joined(parts)]
    places = rng.uniform(-0.8, 0.8, int(rng.integers(0, 3))).tolist()
    model += [bin_box(rng, (0.35, 0.28, 0.2), (0.05, y, 0.85)) for y in places]
    return model


def barrier(rng: np.random.Generator) -> Model:
    """Build a yellow guard rail of 2 m along y."""
    del rng
    paint = (0.90, 0.72, 0.08)
    model = [box((0.1, 0.1, 1.0), (0, y, 0), paint, OBSTACLE) for y in (-1.0, 0.0, 1.0)]
    rails = [box((0.06, 2.0, 0.14), (0.05, 0, z), paint, OBSTACLE) for z in (0.35, 0.82)]
    return model + rails


def cone(rng: np.random.Generator) -> Model:
    """Build a traffic cone."""
    del rng
    orange, white = (0.9, 0.33, 0.08), (0.9, 0.9, 0.88)
    base = box((0.38, 0.38, 0.04), (0, 0, 0), orange, OBSTACLE)
    path = [(0.0, 0.0, z) for z in (0.04, 0.25, 0.42, 0.7)]
    return [base, loft(path, (0.15, 0.1, 0.07, 0.025), (orange, white, orange), OBSTACLE, sides=8)]


def drums(rng: np.random.Generator) -> Model:
    """Build two or three drums that stand together."""
    places = ((0.0, 0.0), (0.62, 0.1), (0.25, 0.6))
    paints = ((0.25, 0.45, 0.62), (0.6, 0.12, 0.25), (0.2, 0.45, 0.3))
    count = int(rng.integers(2, 4))
    colour = pick(rng, paints)
    return [drum(x - 0.3, y - 0.2, 0.0, colour, OBSTACLE) for x, y in places[:count]]


# Loose obstacles that come and go, with the radius in metres each needs.
LOOSE: tuple[tuple[Callable[[np.random.Generator], Model], float], ...] = (
    (boxes, 0.5),
    (loaded_pallet, 0.8),
    (cone, 0.3),
    (bins, 0.65),
    (drums, 0.75),
    (workbench, 1.1),
)


def _xyz(size: np.ndarray) -> tuple[float, float, float]:
    return (float(size[0]), float(size[1]), float(size[2]))
