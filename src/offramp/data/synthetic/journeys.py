"""Journeys through a hall: who walks and drives where and when in a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from offramp.data.synthetic.backdrop import Backdrop
from offramp.data.synthetic.compose import Thing
from offramp.data.synthetic.figures import STANDING, STRIDE, Outfit, carrier, person, walking
from offramp.data.synthetic.layout import HALF
from offramp.data.synthetic.props import Model
from offramp.data.synthetic.solids import Floats
from offramp.data.synthetic.traffic import (
    BODY,
    Ground,
    choose_vehicle,
    find_spot,
    loose_obstacle,
    on_lane,
    put,
)
from offramp.data.synthetic.vehicles import DRIVEN

_STEP = 0.4  # Seconds between two checks for collisions.
_STEPS = 2000  # Checked times around the start of the clip.


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
        radius: Room it needs, metres.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    begin: float
    speed: float
    pause: float
    pose: Callable[[float, bool], Model]
    radius: float = BODY

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
        return put(self.pose(done, waits), *place, heading)


def schedule(
    scene: Backdrop, seconds: float, rng: np.random.Generator
) -> tuple[list[Thing], list[Mover]]:
    """Plan a clip that is empty at both ends and crowded in the middle.

    Returns:
        Loose obstacles that stay all the time, and everything that moves.
    """
    ground = Ground(scene)
    offers = [loose_obstacle(ground, 0.5, rng, off_lane=True) for _ in range(12)]
    fixed = [thing for offer in offers for thing in offer][:3]
    ground.taken = [(x, y, 0.9) for x, y in (thing.place for thing in fixed)]
    movers: list[tuple[Mover, Floats]] = []
    for number in range(32):
        for _ in range(20):
            make = _driver if number % 4 == 1 else _walker
            mover = make(ground, seconds, rng)
            if mover is None:
                continue
            track = _track(mover)
            if not _collides(mover, track, movers):
                movers.append((mover, track))
                break
    return fixed, [mover for mover, _ in movers]


def load(time: float, seconds: float) -> float:
    """Return the planned load in 0..1 at a time: up to the middle and down again."""
    return float(np.clip(1 - abs(2 * time / max(seconds, 1e-6) - 1), 0, 1))


def _begin(seconds: float, duration: float, rng: np.random.Generator) -> float:
    """Draw the start of a journey so that most movers are half way in mid-clip."""
    middle = float(rng.triangular(0.16 * seconds, 0.5 * seconds, 0.84 * seconds))
    begin = middle - duration / 2
    # A clip that is long enough starts and ends with nobody on the way.
    return min(max(begin, 0.0), seconds - duration) if duration < seconds else begin


def _walker(ground: Ground, seconds: float, rng: np.random.Generator) -> Mover | None:
    spot = find_spot(ground, BODY, 0.6, rng)
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
    begin = _begin(seconds, mover.duration, rng)
    return Mover(start, end, begin, speed, pause, pose)


def _edge(ground: Ground, spot: tuple[float, float], way: float) -> tuple[float, float] | None:
    """Walk from a spot until out of the picture; None when something blocks the way."""
    stride = 0.15
    steps = stride * np.arange(1, 200)[:, None]
    path = np.asarray(spot) + steps * (np.sin(way), np.cos(way))
    hidden = 0.0
    for (x, y), seen in zip(path.tolist(), ground.seen(path, 0.0).tolist(), strict=True):
        if not ground.free(x, y, 0.3):
            return None
        # One body length beyond the border nothing of a person is left in the picture.
        hidden = 0.0 if seen else hidden + stride
        if hidden > 2.2:
            return x, y
    return None


def _driver(ground: Ground, seconds: float, rng: np.random.Generator) -> Mover | None:
    build, long, wide = choose_vehicle(DRIVEN, rng)
    x, y, heading = on_lane(ground, wide, rng)
    way = np.array([np.sin(heading), np.cos(heading)])
    across = np.abs(np.array([way[1], way[0]])) * (x, y)
    reach = (HALF - 1.0) * way
    start, end = across - reach, across + reach
    path: Floats = np.linspace(start, end, 60)
    if not all(ground.free(a, b, wide) for a, b in path.tolist()):
        return None
    model = build(rng)
    speed = float(rng.uniform(1.4, 2.4))
    begin = _begin(seconds, float(np.hypot(*(end - start))) / speed, rng)
    return Mover(_pair(start), _pair(end), begin, speed, 0.0, lambda done, waits: model, long)


def _track(mover: Mover) -> Floats:
    """Return places (T, 2) in metres every 0.4 s of the clip's time, NaN while away."""
    first = int(np.ceil(mover.begin / _STEP))
    count = int(np.floor((mover.begin + mover.duration) / _STEP)) - first + 1
    track = np.full((_STEPS, 2), np.nan)
    for step in range(max(first, -_STEPS // 2), min(first + count, _STEPS // 2)):
        track[step + _STEPS // 2] = mover.place(step * _STEP) or (np.nan, np.nan)
    return track


def _collides(mover: Mover, track: Floats, others: list[tuple[Mover, Floats]]) -> bool:
    """Tell whether a mover comes too close to another one at any sampled time."""
    for other, path in others:
        gap = track - path
        near = (mover.radius + other.radius + 0.15) ** 2
        # Comparing with NaN is false: who is away collides with nobody.
        if ((gap * gap).sum(axis=1) < near).any():
            return True
    return False


def _pair(values: Floats) -> tuple[float, float]:
    return (float(values[0]), float(values[1]))
