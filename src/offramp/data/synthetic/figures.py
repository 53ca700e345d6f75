"""People built from lofted limbs: outfits, poses and the walking cycle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offramp.data.synthetic.props import Model, carton, pick
from offramp.data.synthetic.solids import (
    OBSTACLE,
    PERSON,
    Colour,
    Floats,
    Point,
    Solid,
    joined,
    loft,
)

STRIDE = 1.35  # Metres per full walking cycle of two steps.

_SKIN: tuple[Colour, ...] = ((0.80, 0.60, 0.48), (0.66, 0.46, 0.34), (0.42, 0.28, 0.2))
_SHIRTS: tuple[Colour, ...] = (
    (0.16, 0.20, 0.34),
    (0.34, 0.14, 0.40),
    (0.14, 0.36, 0.20),
    (0.62, 0.60, 0.56),
    (0.62, 0.12, 0.12),
    (0.18, 0.18, 0.20),
    (0.16, 0.22, 0.66),
)
_TROUSERS: tuple[Colour, ...] = (
    (0.12, 0.14, 0.22),
    (0.20, 0.20, 0.21),
    (0.32, 0.28, 0.22),
    (0.13, 0.22, 0.48),
)
_VESTS: tuple[Colour, ...] = ((0.80, 0.86, 0.12), (0.98, 0.42, 0.06), (0.98, 0.62, 0.08))
_HELMETS: tuple[Colour, ...] = (
    (0.95, 0.80, 0.10),
    (0.93, 0.93, 0.92),
    (0.90, 0.24, 0.08),
    (0.12, 0.30, 0.70),
)
_HAIR: tuple[Colour, ...] = ((0.10, 0.08, 0.06), (0.30, 0.20, 0.12), (0.55, 0.44, 0.28))
_TAPE: Colour = (0.90, 0.90, 0.86)


@dataclass(frozen=True)
class Outfit:
    """Describe what one person looks like; `scale` multiplies a height of 1.76 m."""

    skin: Colour
    shirt: Colour
    trousers: Colour
    vest: Colour | None
    head: Colour
    helmet: bool
    scale: float
    build: float

    @staticmethod
    def random(rng: np.random.Generator) -> Outfit:
        """Dress a person: most wear a vest or a helmet or both."""
        vest = pick(rng, _VESTS) if rng.random() < 0.62 else None
        helmet = bool(rng.random() < 0.6)
        return Outfit(
            skin=pick(rng, _SKIN),
            shirt=pick(rng, _SHIRTS, 0.15),
            trousers=pick(rng, _TROUSERS, 0.15),
            vest=vest,
            head=pick(rng, _HELMETS if helmet else _HAIR),
            helmet=helmet,
            scale=float(rng.uniform(0.92, 1.07)),
            build=float(rng.uniform(0.95, 1.2)),
        )


@dataclass(frozen=True)
class Pose:
    """Hold joint angles in radians; forward is positive.

    Attributes:
        thighs: Left and right hip angle.
        knees: Left and right knee bend.
        arms: Left and right shoulder angle.
        elbows: Left and right elbow bend.
        lean: Forward lean of the upper body.
        seat: Height of the hip over the ground in metres, or None to stand on the feet.
    """

    thighs: tuple[float, float]
    knees: tuple[float, float]
    arms: tuple[float, float]
    elbows: tuple[float, float]
    lean: float = 0.03
    seat: float | None = None


def walking(phase: float, carrying: bool = False) -> Pose:
    """Return the pose at a walking phase in radians; 2 pi is two steps."""
    swing = float(np.sin(phase))
    knees = tuple(0.12 + 0.75 * max(0.0, float(np.cos(p))) ** 2 for p in (phase, phase + np.pi))
    arms = (0.5, 0.5) if carrying else (-0.5 * swing, 0.5 * swing)
    elbows = (1.15, 1.15) if carrying else (0.35, 0.35)
    return Pose((0.52 * swing, -0.52 * swing), (knees[0], knees[1]), arms, elbows, 0.06)


STANDING = Pose((0.04, -0.04), (0.05, 0.05), (0.06, -0.04), (0.2, 0.25))
WORKING = Pose((0.1, -0.1), (0.1, 0.1), (0.9, 0.7), (0.7, 0.9), 0.35)
POINTING = Pose((0.1, -0.12), (0.05, 0.1), (1.45, 0.0), (0.1, 0.3))
CROUCHING = Pose((1.75, 1.3), (2.3, 2.1), (0.8, 0.9), (0.5, 0.5), 0.5)
SEATED = Pose((1.45, 1.45), (1.4, 1.4), (0.8, 0.8), (0.7, 0.7), 0.02, seat=0.0)


def person(outfit: Outfit, pose: Pose) -> Model:
    """Build a person who stands at the origin and faces +y."""
    hip = 0.92
    left, left_foot = _leg(outfit, -1, pose.thighs[0], pose.knees[0])
    right, right_foot = _leg(outfit, 1, pose.thighs[1], pose.knees[1])
    drop = -min(left_foot, right_foot) if pose.seat is None else pose.seat - hip
    upper = [
        _torso(outfit),
        _head(outfit),
        _arm(outfit, -1, pose.arms[0], pose.elbows[0]),
        _arm(outfit, 1, pose.arms[1], pose.elbows[1]),
    ]
    body = joined([*left, *right, _leaned(joined(upper), pose.lean, hip)])
    return [_scaled(body.placed((0, 0, drop)), outfit.scale)]


def carrier(outfit: Outfit, phase: float, rng: np.random.Generator) -> Model:
    """Build a walking person with a carton; the carton is an obstacle."""
    size = rng.uniform((0.34, 0.28, 0.22), (0.5, 0.36, 0.36))
    load = carton(
        rng,
        (float(size[0]), float(size[1]), float(size[2])),
        (0.0, 0.44, 1.0 * outfit.scale),
        label=OBSTACLE,
    )
    return [*person(outfit, walking(phase, carrying=True)), load]


def _leg(outfit: Outfit, side: int, thigh: float, knee: float) -> tuple[list[Solid], float]:
    """Return a leg with its shoe, and the height of the sole relative to the ground."""
    hip = np.array([side * 0.095, 0.0, 0.92])
    middle = hip + 0.44 * np.array([0.0, np.sin(thigh), -np.cos(thigh)])
    shin = thigh - knee
    ankle = middle + 0.41 * np.array([0.0, np.sin(shin), -np.cos(shin)])
    cloth, fat = outfit.trousers, outfit.build
    path = [_point(p) for p in (hip, middle, ankle)]
    radii = [0.1 * fat, 0.07 * fat, 0.052 * fat]
    leg = loft(path, radii, (cloth, cloth), PERSON)
    tilt = 0.5 * min(0.0, shin)
    toe = ankle + 0.2 * np.array([0.0, np.cos(tilt), np.sin(tilt)]) + (0, 0, -0.03)
    heel = ankle + np.array([0.0, -0.07, -0.02])
    shoe = loft([_point(heel), _point(toe)], (0.055, 0.042), ((0.09, 0.08, 0.08),), PERSON)
    return [leg, shoe], float(min(heel[2], toe[2]) - 0.05)


def _arm(outfit: Outfit, side: int, swing: float, elbow: float) -> Solid:
    shoulder = np.array([side * 0.215 * outfit.build, 0.0, 1.41])
    out = side * 0.14
    middle = shoulder + 0.28 * np.array([out * 0.8, np.sin(swing), -np.cos(swing)])
    lower = swing + elbow
    wrist = middle + 0.24 * np.array([-out * 0.5, np.sin(lower), -np.cos(lower)])
    hand = wrist + 0.1 * np.array([-out * 0.5, np.sin(lower), -np.cos(lower)])
    path = [_point(p) for p in (shoulder, middle, wrist, hand)]
    sleeve = outfit.shirt
    return loft(path, (0.062, 0.048, 0.036, 0.034), (sleeve, sleeve, outfit.skin), PERSON)


def _torso(outfit: Outfit) -> Solid:
    body = outfit.vest or outfit.shirt
    tape = _TAPE if outfit.vest else body
    rows = (
        (0.86, 0.165, 0.115, outfit.trousers),
        (0.97, 0.17, 0.118, body),
        (1.08, 0.168, 0.115, tape),
        (1.13, 0.17, 0.115, body),
        (1.26, 0.19, 0.122, tape),
        (1.31, 0.2, 0.124, body),
        (1.42, 0.205, 0.115, body),
        (1.475, 0.13, 0.08, body),
        (1.5, 0.06, 0.055, body),
    )
    fat = outfit.build
    return loft(
        [(0.0, 0.0, row[0]) for row in rows],
        [(row[1] * fat, row[2] * fat) for row in rows],
        [row[3] for row in rows[:-1]],
        PERSON,
        sides=8,
    )


def _head(outfit: Outfit) -> Solid:
    skin, cover = outfit.skin, outfit.head
    rows = [(1.47, 0.052, skin), (1.54, 0.055, skin), (1.56, 0.078, skin), (1.62, 0.092, skin)]
    if outfit.helmet:
        rows += [(1.665, 0.135, cover), (1.675, 0.118, cover), (1.73, 0.105, cover)]
    else:
        rows += [(1.65, 0.097, cover), (1.69, 0.1, cover), (1.73, 0.088, cover)]
    rows += [(1.77, 0.05, cover)]
    return loft(
        [(0.0, 0.015, row[0]) for row in rows],
        [(row[1], row[1] * 1.1) for row in rows],
        [row[2] for row in rows[:-1]],
        PERSON,
        sides=8,
    )


def _leaned(part: Solid, angle: float, hip: float) -> Solid:
    """Tilt a solid forward about the x axis at hip height."""
    sin, cos = np.sin(angle), np.cos(angle)
    turn = np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    lifted = part.placed((0, 0, -hip))
    return Solid(lifted.quads @ turn, part.colours, part.layers, part.grain, part.label).placed(
        (0, 0, hip)
    )


def _scaled(part: Solid, factor: float) -> Solid:
    return Solid(part.quads * factor, part.colours, part.layers, part.grain, part.label)


def _point(values: Floats) -> Point:
    return (float(values[0]), float(values[1]), float(values[2]))
