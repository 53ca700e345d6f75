"""Who and what moves through a hall: random placement and paths over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offramp.data.synthetic.backdrop import Backdrop
from offramp.data.synthetic.compose import Thing
from offramp.data.synthetic.figures import (
    CROUCHING,
    POINTING,
    STANDING,
    STRIDE,
    WORKING,
    Outfit,
    carrier,
    person,
    walking,
)
from offramp.data.synthetic.layout import HALF
from offramp.data.synthetic.props import LOOSE, Model
from offramp.data.synthetic.solids import FLOOR, Floats
from offramp.data.synthetic.vehicles import FLEET, pushed_cart

_EMPTY_BELOW = 0.1  # Difficulty under which nobody is in the picture.
_EMPTY_ABOVE = 0.11  # Share of pictures without people at any higher difficulty.
_BODY = 0.38  # Metres around a person that stay free.


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
        things += _loose(ground, difficulty, rng)
    for _ in range(people):
        things += _someone(ground, difficulty, rng)
    return things


def _spot(
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
    spot = _spot(ground, _BODY, difficulty, rng)
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
    ground.taken.append((*spot, _BODY))
    return [_put(model, *spot, float(rng.uniform(0, 2 * np.pi)))]


def _loose(ground: Ground, difficulty: float, rng: np.random.Generator) -> list[Thing]:
    build, radius = LOOSE[int(rng.integers(len(LOOSE)))]
    spot = _spot(ground, radius, difficulty, rng)
    if spot is None:
        return []
    ground.taken.append((*spot, radius))
    return [_put(build(rng), *spot, float(rng.uniform(0, 2 * np.pi)))]


def _choose_vehicle(
    rng: np.random.Generator,
) -> tuple[Callable[[np.random.Generator], Model], float, float]:
    shares = np.array([entry[1] for entry in FLEET])
    build, _, long, wide = FLEET[int(rng.choice(len(FLEET), p=shares / shares.sum()))]
    return build, long, wide


def _vehicle(ground: Ground, rng: np.random.Generator) -> list[Thing]:
    """Place a vehicle, mostly on a lane and along it."""
    build, long, wide = _choose_vehicle(rng)
    for _ in range(60):
        if rng.random() < 0.75:
            x, y, heading = _on_lane(ground, wide, rng)
        else:
            x, y = rng.uniform(-HALF, HALF, 2).tolist()
            heading = float(rng.uniform(0, 2 * np.pi))
        discs = _discs(x, y, heading, long, wide)
        near = ground.distance(x, y) < 2.2 + 0.5 * long
        if not near and all(ground.free(*d) for d in discs) and ground.visible(x, y, 0.01):
            ground.taken += discs
            return [_put(build(rng), x, y, heading)]
    return []


def _on_lane(ground: Ground, wide: float, rng: np.random.Generator) -> tuple[float, float, float]:
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


def _put(model: Model, x: float, y: float, heading: float) -> Thing:
    return Thing([part.placed((x, y, 0.0), heading) for part in model], (x, y))


@dataclass(frozen=True)
class Mover:
    """Follow a straight path and build the model for any time.

    Attributes:
        start: First place, metres.
        end: Last place, metres.
        begin: Time at the first place, seconds.
        speed: Metres per second.
        pause: Time of a stop on half the way, seconds.
        pose: Builds the model from metres walked and whether it stands still.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    begin: float
    speed: float
    pause: float
    pose: Callable[[float, bool], Model]

    @property
    def length(self) -> float:
        """Return the length of the path in metres."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    @property
    def duration(self) -> float:
        """Return the travel time in seconds."""
        return self.length / self.speed + self.pause

    def walked(self, time: float) -> float | None:
        """Return metres walked at a time in seconds, or None while away."""
        passed = time - self.begin
        if not 0 <= passed <= self.duration:
            return None
        half = 0.5 * self.length / self.speed
        moving = min(passed, half) + max(0.0, passed - half - self.pause)
        return moving * self.speed

    def place(self, time: float) -> tuple[float, float] | None:
        """Return the place in metres at a time in seconds, or None while away."""
        done = self.walked(time)
        if done is None:
            return None
        share = done / max(self.length, 1e-6)
        x0, y0 = self.start
        return x0 + share * (self.end[0] - x0), y0 + share * (self.end[1] - y0)

    def thing(self, time: float) -> Thing | None:
        """Return the model at a time in seconds, or None while away."""
        place, done = self.place(time), self.walked(time)
        if place is None or done is None:
            return None
        heading = float(np.arctan2(self.end[0] - self.start[0], self.end[1] - self.start[1]))
        half = 0.5 * self.length / self.speed
        waits = self.pause > 0 and half <= time - self.begin <= half + self.pause
        return _put(self.pose(done, waits), *place, heading)


def schedule(
    scene: Backdrop, seconds: float, rng: np.random.Generator
) -> tuple[list[Thing], list[Mover]]:
    """Plan a clip that is empty at both ends and crowded in the middle.

    Returns:
        Loose obstacles that stay all the time, and everything that moves.
    """
    ground = Ground(scene)
    fixed = [thing for _ in range(3) for thing in _loose(ground, 0.5, rng)]
    movers: list[Mover] = []
    for number in range(22):
        for _ in range(20):
            make = _driver if number % 4 == 3 else _walker
            mover = make(ground, seconds, rng)
            if mover is not None and not _collides(mover, movers):
                movers.append(mover)
                break
    return fixed, movers


def load(time: float, seconds: float) -> float:
    """Return the planned load in 0..1 at a time: up to the middle and down again."""
    return float(np.clip(1 - abs(2 * time / max(seconds, 1e-6) - 1), 0, 1))


def _middle(seconds: float, rng: np.random.Generator) -> float:
    """Draw the time at which a mover is half way, mostly mid-clip."""
    return float(rng.triangular(0.16 * seconds, 0.5 * seconds, 0.84 * seconds))


def _walker(ground: Ground, seconds: float, rng: np.random.Generator) -> Mover | None:
    spot = _spot(ground, _BODY, 0.6, rng)
    if spot is None:
        return None
    way = float(rng.uniform(0, 2 * np.pi))
    start = _edge(ground, spot, way + np.pi)
    end = _edge(ground, spot, way)
    if start is None or end is None:
        return None
    outfit = Outfit.random(rng)
    carries = bool(rng.random() < 0.2)
    load_seed = int(rng.integers(2**31))

    def pose(done: float, waits: bool) -> Model:
        phase = 2 * np.pi * done / STRIDE
        if carries:
            return carrier(outfit, phase, np.random.default_rng(load_seed))
        return person(outfit, STANDING if waits else walking(phase))

    speed = float(rng.uniform(1.1, 1.6))
    pause = 2.0 if rng.random() < 0.2 and not carries else 0.0
    mover = Mover(start, end, 0.0, speed, pause, pose)
    begin = _middle(seconds, rng) - mover.duration / 2
    return Mover(start, end, begin, speed, pause, pose)


def _edge(ground: Ground, spot: tuple[float, float], way: float) -> tuple[float, float] | None:
    """Walk from a spot until out of the picture; None when something blocks the way."""
    x, y = spot
    hidden = 0.0
    for _ in range(200):
        x, y = x + 0.15 * float(np.sin(way)), y + 0.15 * float(np.cos(way))
        if not ground.free(x, y, 0.3):
            return None
        # One body length beyond the border nothing of a person is left in the picture.
        hidden = hidden + 0.15 if not ground.visible(x, y) else 0.0
        if hidden > 2.2:
            return x, y
    return None


def _driver(ground: Ground, seconds: float, rng: np.random.Generator) -> Mover | None:
    build, _, wide = _choose_vehicle(rng)
    x, y, heading = _on_lane(ground, wide, rng)
    way = np.array([np.sin(heading), np.cos(heading)])
    across = np.abs(np.array([way[1], way[0]])) * (x, y)
    reach = (HALF - 1.0) * way
    start, end = across - reach, across + reach
    path: Floats = np.linspace(start, end, 60)
    if not all(ground.free(a, b, wide) for a, b in path.tolist()):
        return None
    model = build(rng)
    speed = float(rng.uniform(1.4, 2.4))
    begin = _middle(seconds, rng) - 0.5 * float(np.hypot(*(end - start))) / speed
    return Mover(_pair(start), _pair(end), begin, speed, 0.0, lambda done, waits: model)


def _collides(mover: Mover, others: list[Mover]) -> bool:
    """Tell whether two movers come closer than 1.1 m at any sampled time."""
    times: NDArray[np.float64] = mover.begin + np.arange(0, mover.duration, 0.4)
    for time in times.tolist():
        here = mover.place(time)
        for other in others:
            there = other.place(time)
            if here and there and np.hypot(here[0] - there[0], here[1] - there[1]) < 1.1:
                return True
    return False


def _pair(values: Floats) -> tuple[float, float]:
    return (float(values[0]), float(values[1]))
