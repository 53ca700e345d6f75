"""Transport robots, forklifts, carts and tuggers; their loads are part of the vehicle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offramp.data.synthetic.figures import SEATED, Outfit, person
from offramp.data.synthetic.props import (
    CARDBOARD,
    DARK,
    HAZARD,
    STEEL,
    Model,
    bin_box,
    block,
    boxes,
    darker,
    loaded_pallet,
    pick,
)
from offramp.data.synthetic.solids import (
    FRONT,
    LEFT,
    REAR,
    RIGHT,
    TOP,
    VEHICLE,
    Colour,
    Solid,
    bar,
    box,
    joined,
    loft,
)

_ROBOTS: tuple[Colour, ...] = (
    (0.86, 0.87, 0.88),
    (0.90, 0.74, 0.12),
    (0.25, 0.55, 0.75),
    (0.45, 0.72, 0.20),
    (0.85, 0.30, 0.12),
)
_TRUCKS: tuple[Colour, ...] = (
    (0.92, 0.68, 0.08),
    (0.90, 0.40, 0.06),
    (0.72, 0.12, 0.10),
    (0.82, 0.83, 0.82),
)
_CARTS: tuple[Colour, ...] = ((0.18, 0.30, 0.62), (0.42, 0.45, 0.48), (0.66, 0.18, 0.12))


def wheel(x: float, y: float, radius: float, width: float) -> Solid:
    """Build a wheel with its axle along x, standing on the floor."""
    path = [(x - width / 2, y, radius), (x + width / 2, y, radius)]
    return loft(path, (radius, radius), (DARK,), VEHICLE, sides=10, side_axis=(0.0, 1.0, 0.0))


def robot(rng: np.random.Generator) -> Model:
    """Build a flat transport robot of about 0.75 x 1.15 m, often loaded."""
    paint = pick(rng, _ROBOTS)
    width, length = float(rng.uniform(0.62, 0.85)), float(rng.uniform(0.95, 1.35))
    skirt = box((width + 0.04, length + 0.04, 0.1), (0, 0, 0.04), DARK, VEHICLE)
    body = box((width, length, 0.2), (0, 0, 0.14), paint, VEHICLE, taper=0.94)
    for side in (FRONT, REAR):
        body = body.with_sticker(side, (0.1, 0.35, 0.9, 0.65), (0.1, 0.75, 0.85))
    for side in (LEFT, RIGHT):
        body = body.with_sticker(side, (0.3, 0.3, 0.7, 0.7), DARK)
    body = body.with_sticker(TOP, (0.1, 0.12, 0.9, 0.86), darker(paint, 0.45))
    model = [skirt, body]
    kind = rng.random()
    if kind < 0.3:
        model += [_raised(s, 0.34) for s in boxes(rng, VEHICLE)]
    elif kind < 0.5:
        size = (width * 0.95, length * 0.9, float(rng.uniform(0.4, 1.0)))
        model.append(block(rng, size, 0.34, VEHICLE))
    elif kind < 0.65:
        model.append(bin_box(rng, (width * 0.85, length * 0.7, 0.4), (0, 0, 0.34), VEHICLE))
    else:
        model.append(box((0.12, 0.12, 0.12), (0, length * 0.36, 0.34), DARK, VEHICLE))
    return model


def cart(rng: np.random.Generator) -> Model:
    """Build a platform cart with a handle at the rear and a load."""
    paint = pick(rng, _CARTS)
    model = [box((0.72, 1.15, 0.06), (0, 0, 0.22), paint, VEHICLE, top=darker(paint, 1.25))]
    frame = [bar((-0.3, -0.68, 1.0), (0.3, -0.68, 1.0), 0.04, DARK, VEHICLE)]
    for x in (-0.28, 0.28):
        frame += [wheel(x, y, 0.1, 0.06) for y in (-0.42, 0.42)]
        frame.append(bar((x, -0.56, 0.25), (x, -0.68, 1.0), 0.035, STEEL, VEHICLE))
    model.append(joined(frame))
    if rng.random() < 0.3:
        model.append(block(rng, (0.62, 0.9, float(rng.uniform(0.3, 0.8))), 0.28, VEHICLE))
    elif rng.random() < 0.85:
        model += [_raised(s, 0.28) for s in boxes(rng, VEHICLE)]
    return model


def pushed_cart(rng: np.random.Generator, pusher: Model) -> Model:
    """Build a cart and put a person behind its handle; the origin lies between them."""
    rolled = [s.placed((0, 0.55, 0)) for s in cart(rng)]
    return rolled + [s.placed((0, -0.55, 0)) for s in pusher]


def forklift(rng: np.random.Generator) -> Model:
    """Build a counterbalance truck of about 1.15 x 2.9 m with mast, forks and mostly a driver."""
    paint = pick(rng, _TRUCKS)
    wheels = [wheel(x, 0.55, 0.32, 0.2) for x in (-0.5, 0.5)]
    wheels += [wheel(x, -0.95, 0.25, 0.18) for x in (-0.46, 0.46)]
    model = [joined(wheels)]
    model.append(box((0.95, 1.9, 0.35), (0, -0.2, 0.18), darker(paint, 0.85), VEHICLE))
    weight = box((1.05, 0.7, 0.72), (0, -0.98, 0.35), paint, VEHICLE, taper=0.86)
    weight = weight.with_sticker(REAR, (0.1, 0.1, 0.9, 0.3), DARK)
    weight = weight.with_sticker(REAR, (0.35, 0.5, 0.65, 0.8), darker(paint, 0.5))
    model.append(weight)
    model.append(box((0.8, 0.55, 0.28), (0, -0.42, 0.53), DARK, VEHICLE))
    model.append(box((0.55, 0.14, 0.5), (0, -0.68, 0.8), darker(DARK, 1.4), VEHICLE))
    model.append(box((0.9, 0.25, 0.6), (0, 0.52, 0.5), paint, VEHICLE, taper=0.8))
    model += _cage() + _mast(rng)
    if rng.random() < 0.85:
        driver = person(Outfit.random(rng), SEATED)
        model += [s.placed((0, -0.4, 0.86)) for s in driver]
    return model


def _cage() -> Model:
    """Build the overhead guard."""
    tall = 2.1
    model = []
    for x in (-0.45, 0.45):
        model.append(bar((x, -0.85, 1.0), (x, -0.65, tall), 0.07, DARK, VEHICLE))
        model.append(bar((x, 0.55, 0.9), (x, 0.3, tall), 0.07, DARK, VEHICLE))
        model.append(bar((x, -0.65, tall), (x, 0.3, tall), 0.07, DARK, VEHICLE))
    rungs = np.linspace(-0.65, 0.3, 6).tolist()
    model += [bar((-0.45, y, tall), (0.45, y, tall), 0.05, DARK, VEHICLE) for y in rungs]
    return [joined(model)]


def _mast(rng: np.random.Generator) -> Model:
    """Build mast, carriage and forks, loaded in about half of the cases."""
    paint = darker(STEEL, 0.55)
    model = [box((0.1, 0.14, 2.15), (x, 0.82, 0.1), paint, VEHICLE) for x in (-0.34, 0.34)]
    steel = darker(STEEL, 0.5)
    model += [box((0.7, 0.08, 0.1), (0, 0.82, z), steel, VEHICLE) for z in (0.35, 1.2, 2.15)]
    model = [joined(model)]
    lift = float(rng.choice([0.08, 0.15, 0.6]))
    model.append(box((0.9, 0.06, 0.45), (0, 0.94, lift), darker(STEEL, 0.6), VEHICLE))
    forks = [box((0.12, 1.05, 0.05), (x, 1.45, lift), STEEL, VEHICLE) for x in (-0.26, 0.26)]
    model.append(joined(forks))
    if rng.random() < 0.5:
        load = [s.placed((0, 0, 0), np.pi / 2) for s in loaded_pallet(rng, VEHICLE)]
        model += [s.placed((0, 1.42, lift + 0.04)) for s in load]
    return model


def tugger(rng: np.random.Generator) -> Model:
    """Build a compact tow tractor with a driver's stand and one trailer."""
    paint = pick(rng, _TRUCKS)
    model = [joined([wheel(x, y, 0.18, 0.12) for x in (-0.36, 0.36) for y in (0.5, 1.2)])]
    hood = box((0.8, 0.75, 0.75), (0, 1.1, 0.15), paint, VEHICLE, taper=0.85)
    hood = hood.with_sticker(FRONT, (0.12, 0.55, 0.3, 0.75), (0.95, 0.95, 0.85))
    model.append(hood.with_sticker(FRONT, (0.7, 0.55, 0.88, 0.75), (0.95, 0.95, 0.85)))
    model.append(box((0.85, 1.3, 0.14), (0, 0.85, 0.12), DARK, VEHICLE))
    model.append(bar((0, 0.8, 0.8), (0, 0.62, 1.15), 0.06, DARK, VEHICLE))
    driver = person(Outfit.random(rng), SEATED)
    model.append(box((0.6, 0.4, 0.45), (0, 0.4, 0.26), darker(paint, 0.5), VEHICLE))
    model += [s.placed((0, 0.42, 0.74)) for s in driver]
    model.append(bar((0, 0.2, 0.25), (0, -0.25, 0.25), 0.06, STEEL, VEHICLE))
    model += [_turned(s).placed((0, -0.9, 0)) for s in cart(rng)]
    return model


def pallet_truck(rng: np.random.Generator) -> Model:
    """Build a hand pallet truck with a loaded pallet."""
    paint = pick(rng, _TRUCKS)
    model = [box((0.14, 1.2, 0.06), (x, 0.35, 0.08), paint, VEHICLE) for x in (-0.2, 0.2)]
    model.append(box((0.62, 0.35, 0.55), (0, -0.42, 0.1), paint, VEHICLE, taper=0.8))
    model.append(wheel(0, -0.5, 0.12, 0.14))
    model.append(bar((0, -0.5, 0.6), (0, -0.95, 1.15), 0.05, DARK, VEHICLE))
    model.append(bar((-0.18, -0.95, 1.15), (0.18, -0.95, 1.15), 0.05, HAZARD, VEHICLE))
    if rng.random() < 0.7:
        size = (0.8, 1.1, float(rng.uniform(0.5, 1.1)))
        model.append(block(rng, size, 0.16, VEHICLE).placed((0, 0.36, 0)))
        model.append(box((0.8, 1.15, 0.03), (0, 0.36, 0.14), CARDBOARD, VEHICLE))
    return model


def _raised(part: Solid, height: float) -> Solid:
    return part.placed((0, 0, height))


def _turned(part: Solid) -> Solid:
    return part.placed((0, 0, 0), np.pi)


Build = Callable[[np.random.Generator], Model]
# Builders with relative frequency and half length and half width in metres.
FLEET: tuple[tuple[Build, float, float, float], ...] = (
    (robot, 0.4, 0.7, 0.45),
    (cart, 0.2, 0.7, 0.4),
    (forklift, 0.22, 1.5, 0.65),
    (tugger, 0.08, 1.6, 0.5),
    (pallet_truck, 0.1, 1.0, 0.45),
)
# Those that move without somebody who pushes them.
DRIVEN = tuple(entry for entry in FLEET if entry[0] in (robot, forklift, tugger))
