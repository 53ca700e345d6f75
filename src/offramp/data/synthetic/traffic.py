"""Who and what stands in a hall: free floor and random placement."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offramp.data.synthetic.backdrop import Backdrop
from offramp.data.synthetic.compose import Thing
from offramp.data.synthetic.figures import (
    CROUCHING,
    POINTING,
    STANDING,
    WORKING,
    Outfit,
    carrier,
    person,
    walking,
)
from offramp.data.synthetic.layout import HALF, overlaps
from offramp.data.synthetic.props import LOOSE, Model
from offramp.data.synthetic.solids import FLOOR, Floats
from offramp.data.synthetic.vehicles import FLEET, Build, pushed_cart

_EMPTY_BELOW = 0.1  # Difficulty under which nobody is in the picture.
_EMPTY_ABOVE = 0.11  # Share of pictures without people at any higher difficulty.
BODY = 0.38  # Metres around a person that stay free.


@dataclass
class Ground:
    """Keep track of the floor that is still free under one camera."""

    scene: Backdrop
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def clear(self, x: float, y: float, radius: float) -> bool:
        """Tell whether a disc in metres touches neither walls nor props."""
        if max(abs(x), abs(y)) > HALF - radius:
            return False
        for left, bottom, right, top in self.scene.hall.blocked:
            dx = max(left - x, 0.0, x - right)
            dy = max(bottom - y, 0.0, y - top)
            if dx * dx + dy * dy < radius * radius:
                return False
        return True

    def free(self, x: float, y: float, radius: float) -> bool:
        """Tell whether a disc is clear and not taken by another thing."""
        near = any((x - a) ** 2 + (y - b) ** 2 < (radius + r) ** 2 for a, b, r in self.taken)
        return not near and self.clear(x, y, radius)

    def visible(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Tell whether one floor place in metres is in the picture and not hidden."""
        return bool(self.seen(np.array([[x, y]]), margin)[0])

    def seen(self, places: Floats, margin: float) -> NDArray[np.bool_]:
        """Tell which floor places (N, 2) in metres are in the picture and not hidden.

        A border of `margin` times the picture size counts as outside.
        """
        camera, labels = self.scene.camera, self.scene.labels
        ground = np.concatenate([places, np.zeros((len(places), 1))], axis=1)
        u, v, depth = camera.project(ground).T
        wide, tall = margin * camera.width, margin * camera.height
        inside = (depth > 0.5) & (u >= wide) & (u < camera.width - wide)
        inside &= (v >= tall) & (v < camera.height - tall)
        column = np.where(inside, u, 0).astype(np.int64)
        row = np.where(inside, v, 0).astype(np.int64)
        found: NDArray[np.bool_] = inside & (labels[row, column] == FLOOR)
        return found

    def on_lane(self, x: float, y: float, radius: float) -> bool:
        """Tell whether a disc in metres reaches into a lane."""
        disc = (x - radius, y - radius, x + radius, y + radius)
        return any(overlaps(disc, lane, 0.0) for lane in self.scene.hall.lanes)

    def distance(self, x: float, y: float) -> float:
        """Return the distance in metres from the foot of the camera."""
        px, py, _ = self.scene.camera.position
        return float(np.hypot(x - px, y - py))


def crowd_size(difficulty: float, rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw how many people, vehicles and loose obstacles are in a picture."""
    nobody = difficulty < _EMPTY_BELOW or rng.random() < _EMPTY_ABOVE
    people = 0 if nobody else 1 + int(rng.poisson(9.5 * difficulty**1.3))
    vehicles = int(rng.poisson(0.15 + 4.6 * difficulty**1.2))
    loose = int(rng.poisson(0.15 + 5.0 * difficulty**1.1))
    if difficulty < 0.04:
        vehicles = loose = 0
    return min(people, 18), min(vehicles, 8), min(loose, 9)


def scatter(scene: Backdrop, difficulty: float, rng: np.random.Generator) -> list[Thing]:
    """Place a random crowd for one still picture."""
    people, vehicles, loose = crowd_size(difficulty, rng)
    ground = Ground(scene)
    things: list[Thing] = []
    for _ in range(vehicles):
        things += _vehicle(ground, rng)
    for _ in range(loose):
        things += loose_obstacle(ground, difficulty, rng)
    for _ in range(people):
        things += _someone(ground, difficulty, rng)
    return things


def find_spot(
    ground: Ground, radius: float, difficulty: float, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Find a free visible place; easy pictures keep things near, hence large."""
    places = rng.uniform(-HALF, HALF, (120, 2))
    feet = np.asarray(ground.scene.camera.position[:2])
    far = np.maximum(np.hypot(*(places - feet).T) - 7.0, 0)
    kept = rng.random(len(places)) < np.exp(-0.45 * far * (1.05 - difficulty))
    for x, y in places[kept & ground.seen(places, 0.02)].tolist():
        if ground.free(x, y, radius):
            return x, y
    return None


def _someone(ground: Ground, difficulty: float, rng: np.random.Generator) -> list[Thing]:
    # A tall person needs room above the feet, so the nearest rows are fine and kept.
    spot = find_spot(ground, BODY, difficulty, rng)
    if spot is None:
        return []
    outfit = Outfit.random(rng)
    phase = float(rng.uniform(0, 2 * np.pi))
    kind = rng.random()
    if kind < 0.48:
        model = person(outfit, walking(phase))
    elif kind < 0.60:
        model = carrier(outfit, phase, rng)
    elif kind < 0.66 and ground.free(*spot, 1.2):
        model = pushed_cart(rng, person(outfit, walking(phase, carrying=True)))
        ground.taken.append((*spot, 0.8))
    else:
        poses = (STANDING, STANDING, WORKING, POINTING, CROUCHING)
        model = person(outfit, poses[int(rng.integers(len(poses)))])
    ground.taken.append((*spot, BODY))
    return [put(model, *spot, float(rng.uniform(0, 2 * np.pi)))]


def loose_obstacle(
    ground: Ground, difficulty: float, rng: np.random.Generator, *, off_lane: bool = False
) -> list[Thing]:
    build, radius = LOOSE[int(rng.integers(len(LOOSE)))]
    spot = find_spot(ground, radius, difficulty, rng)
    if spot is None or (off_lane and ground.on_lane(*spot, radius)):
        return []
    ground.taken.append((*spot, radius))
    return [put(build(rng), *spot, float(rng.uniform(0, 2 * np.pi)))]


def choose_vehicle(
    fleet: tuple[tuple[Build, float, float, float], ...], rng: np.random.Generator
) -> tuple[Build, float, float]:
    """Draw a builder with its half length and half width in metres."""
    shares = np.array([entry[1] for entry in fleet])
    build, _, long, wide = fleet[int(rng.choice(len(fleet), p=shares / shares.sum()))]
    return build, long, wide


def _vehicle(ground: Ground, rng: np.random.Generator) -> list[Thing]:
    """Place a vehicle, mostly on a lane and along it."""
    build, long, wide = choose_vehicle(FLEET, rng)
    for _ in range(60):
        if rng.random() < 0.75:
            x, y, heading = on_lane(ground, wide, rng)
        else:
            x, y = rng.uniform(-HALF, HALF, 2).tolist()
            heading = float(rng.uniform(0, 2 * np.pi))
        discs = _discs(x, y, heading, long, wide)
        near = ground.distance(x, y) < 2.2 + 0.5 * long
        if not near and all(ground.free(*d) for d in discs) and ground.visible(x, y, 0.01):
            ground.taken += discs
            return [put(build(rng), x, y, heading)]
    return []


def on_lane(ground: Ground, wide: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw a place on the right-hand half of a random lane and the heading there."""
    lanes = ground.scene.hall.lanes
    left, bottom, right, top = lanes[int(rng.integers(len(lanes)))]
    forth = bool(rng.random() < 0.5)
    side = 0.72 if forth else -0.72
    wander = float(rng.normal(0, 0.1)) - 0.1 * (wide - 0.45)
    if top - bottom > right - left:
        x = (left + right) / 2 + side + wander
        return x, float(rng.uniform(bottom, top)), 0.0 if forth else np.pi
    y = (bottom + top) / 2 - side + wander
    return float(rng.uniform(left, right)), y, np.pi / 2 if forth else -np.pi / 2


def _discs(
    x: float, y: float, heading: float, long: float, wide: float
) -> list[tuple[float, float, float]]:
    """Cover a vehicle with discs along its length."""
    sin, cos = float(np.sin(heading)), float(np.cos(heading))
    steps = np.linspace(-long + wide, long - wide, 4) if long > wide else np.zeros(1)
    return [(x + s * sin, y + s * cos, wide) for s in steps.tolist()]


def put(model: Model, x: float, y: float, heading: float) -> Thing:
    return Thing([part.placed((x, y, 0.0), heading) for part in model], (x, y))
