"""The eight halls: camera poses, floors, lanes, lamps and static obstacles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from offramp.data.synthetic.camera import Camera
from offramp.data.synthetic.light import Lamps
from offramp.data.synthetic.props import (
    DARK,
    Model,
    barrier,
    bins,
    darker,
    loaded_pallet,
    machine,
    pillar,
    rack,
    workbench,
)
from offramp.data.synthetic.solids import OBSTACLE, Colour, Floats, Solid, box, solid
from offramp.data.synthetic.texture import WHITE, YELLOW, Markings, Rect, Rgb

HALF = 11.0  # Metres; every hall is a square of 22 m around the spot its camera aims at.
CAMERAS = 8
_ENTROPY = 7_310_552  # Separates the halls from every data set seed.


@dataclass(frozen=True)
class Site:
    """Describe one camera and its hall; angles are in degrees, lengths in metres."""

    height: float
    pitch: float
    yaw: float
    fov: float
    aim: float
    floor: Rgb
    wall: Colour
    wanted: tuple[tuple[str, int], ...]
    lane_x: float
    cross_y: float | None
    roll: float = 0.0


SITES: tuple[Site, ...] = (
    Site(5.6, 35, 2, 66, 7.5, (150, 152, 152), (0.78, 0.77, 0.74),
         (("rack", 4), ("pallet", 2), ("barrier", 2), ("bench", 1)), 0.3, None, 0.5),
    Site(5.8, 31, 14, 74, 8.5, (62, 128, 100), (0.70, 0.74, 0.76),
         (("pillar", 3), ("machine", 5), ("barrier", 1)), 0.8, 2.5, -0.6),
    Site(6.6, 50, -32, 66, 6.2, (96, 96, 98), (0.66, 0.66, 0.66),
         (("machine", 3), ("bench", 2), ("bin", 2), ("pillar", 1), ("barrier", 2)), 0.0, None, 1.0),
    Site(6.4, 43, 58, 64, 7.0, (172, 160, 138), (0.74, 0.72, 0.66),
         (("machine", 4), ("pillar", 1), ("barrier", 1), ("rack", 1)), -1.5, 1.0, 0.0),
    Site(6.0, 37, -24, 76, 7.2, (126, 136, 150), (0.68, 0.72, 0.75),
         (("machine", 6), ("bin", 1), ("barrier", 1)), 1.8, -1.5, 0.8),
    Site(6.9, 53, 18, 68, 5.8, (150, 92, 78), (0.74, 0.72, 0.70),
         (("rack", 3), ("machine", 2), ("bench", 1), ("barrier", 1)), -0.8, None, -1.2),
    Site(5.0, 31, -10, 68, 8.0, (122, 116, 108), (0.60, 0.62, 0.62),
         (("rack", 4), ("pillar", 2), ("bench", 1), ("pallet", 1)), -0.6, 3.0, 0.6),
    Site(6.2, 45, 38, 70, 6.6, (92, 116, 146), (0.76, 0.74, 0.70),
         (("machine", 3), ("rack", 2), ("pillar", 1), ("bin", 2), ("barrier", 1)), 0.6, 0.0, -0.8),
)  # fmt: skip

# Half length along y and half width along x each kind of prop needs, metres.
_EXTENT = {
    "rack": (2.7, 0.6),
    "pillar": (0.3, 0.3),
    "machine": (1.0, 1.55),
    "barrier": (1.05, 0.1),
    "bench": (1.05, 0.45),
    "bin": (0.45, 0.5),
    "pallet": (0.65, 0.45),
}
_BUILD = {
    "rack": rack,
    "pillar": pillar,
    "machine": machine,
    "barrier": barrier,
    "bench": workbench,
    "bin": bins,
    "pallet": loaded_pallet,
}


@dataclass
class Hall:
    """Hold everything that never changes under one camera.

    Attributes:
        index: Camera index.
        site: Pose and style.
        lanes: Driving lanes, metres.
        lamps: Ceiling lamps.
        statics: Solids of walls and props.
        blocked: Footprints that nothing else may enter, metres.
        markings: Paint on the floor.
    """

    index: int
    site: Site
    lanes: tuple[Rect, ...]
    lamps: Lamps
    markings: Markings
    statics: list[Solid] = field(default_factory=list)
    blocked: list[Rect] = field(default_factory=list)

    def camera(self, width: int, height: int) -> Camera:
        """Return the hall's camera for an image size in pixels."""
        site = self.site
        yaw = np.deg2rad(site.yaw)
        x, y = -site.aim * np.sin(yaw), -site.aim * np.cos(yaw)
        return Camera(
            position=(float(x), float(y), site.height),
            yaw=float(yaw),
            pitch=float(np.deg2rad(site.pitch)),
            roll=float(np.deg2rad(site.roll)),
            fov=float(np.deg2rad(site.fov)),
            width=width,
            height=height,
        )


def generator(index: int, purpose: int) -> np.random.Generator:
    """Return the random stream of one hall for one purpose."""
    return np.random.default_rng(np.random.SeedSequence([_ENTROPY, index, purpose]))


def hall(index: int) -> Hall:
    """Build hall `index`; the result depends on the index alone."""
    site = SITES[index]
    rng = generator(index, 0)
    lanes: tuple[Rect, ...] = ((site.lane_x - 1.5, -HALF, site.lane_x + 1.5, HALF),)
    if site.cross_y is not None:
        lanes += ((-HALF, site.cross_y - 1.4, HALF, site.cross_y + 1.4),)
    placed: list[tuple[str, Rect]] = []
    statics = _walls(site, rng)
    for kind, count in site.wanted:
        for _ in range(count):
            statics += _place(kind, site, lanes, placed, rng)
    return Hall(
        index=index,
        site=site,
        lanes=lanes,
        lamps=_lamps(rng),
        markings=_markings(lanes, placed, site, rng),
        statics=statics,
        blocked=[rect for _, rect in placed],
    )


def _place(
    kind: str,
    site: Site,
    lanes: tuple[Rect, ...],
    placed: list[tuple[str, Rect]],
    rng: np.random.Generator,
) -> Model:
    """Find a free place beside the lanes for one prop and build it there."""
    long, wide = _EXTENT[kind]
    yaw = np.deg2rad(site.yaw)
    ahead = np.array([np.sin(yaw), np.cos(yaw)])
    foot = -site.aim * ahead
    for _ in range(300):
        quarter = 0 if kind in ("rack", "barrier") and site.cross_y is None else rng.integers(4)
        dx, dy = (wide, long) if quarter % 2 == 0 else (long, wide)
        x = float(rng.uniform(-HALF + dx + 0.15, HALF - dx - 0.15))
        y = float(rng.uniform(-HALF + dy + 0.15, HALF - dy - 0.15))
        if kind == "rack" and rng.random() < 0.7 and quarter % 2 == 0:
            x = site.lane_x + float(rng.choice([-1, 1])) * (1.5 + dx + float(rng.uniform(0.5, 3)))
        rect = (x - dx, y - dy, x + dx, y + dy)
        gap = np.array([x, y]) - foot
        # Props under or right in front of the camera would fill the picture.
        along = float(gap @ ahead)
        crowding = along < 2.4 + 0.45 * long + (1.6 if kind in ("rack", "machine") else 0.0)
        off_centre = abs(float(gap @ np.array([ahead[1], -ahead[0]])))
        outside = abs(x) + dx > HALF or abs(y) + dy > HALF or off_centre > 0.75 * along + 2.0
        taken = any(overlaps(rect, lane, 0.25) for lane in lanes)
        taken = taken or any(overlaps(rect, other, 0.7) for _, other in placed)
        if not (crowding or outside or taken):
            placed.append((kind, rect))
            model = _BUILD[kind](rng)
            return [s.placed((x, y, 0.0), float(quarter) * np.pi / 2) for s in model]
    return []


def overlaps(a: Rect, b: Rect, margin: float) -> bool:
    """Tell whether two rectangles come closer than `margin` metres."""
    return (
        a[0] < b[2] + margin
        and b[0] < a[2] + margin
        and a[1] < b[3] + margin
        and b[1] < a[3] + margin
    )


def _lamps(rng: np.random.Generator) -> Lamps:
    rows, columns = np.meshgrid(np.linspace(-8, 8, 4), np.linspace(-8, 8, 4), indexing="ij")
    positions = np.stack([columns.ravel(), rows.ravel(), np.full(16, 7.6)], axis=1)
    positions[:, :2] += rng.normal(0, 0.3, 2)
    angle = float(rng.uniform(0, 2 * np.pi))
    return Lamps(
        positions=positions,
        powers=9.0 * rng.uniform(0.75, 1.15, 16),
        groups=np.repeat([1, 2, 1, 2], 4),
        window=np.array([np.cos(angle), np.sin(angle)]),
    )


def _walls(site: Site, rng: np.random.Generator) -> Model:
    """Build four corrugated walls that face inwards, with doors and a dark base rail."""
    ribs = 110
    edges = np.linspace(-HALF, HALF, ribs + 1)
    quads: list[Floats] = []
    paints: list[Colour] = []
    doors = (darker((0.2, 0.5, 0.3), 1.0), (0.15, 0.3, 0.62), (0.7, 0.35, 0.12), (0.82, 0.82, 0.8))
    for turn in range(4):
        gate = float(rng.uniform(-7, 4))
        gate_wide = float(rng.choice([1.1, 3.6]))
        door = doors[int(rng.integers(len(doors)))]
        sin, cos = np.sin(turn * np.pi / 2), np.cos(turn * np.pi / 2)
        way = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        for rib, (a, b) in enumerate(itertools.pairwise(edges.tolist())):
            shade = (1.0, 0.9, 0.72, 0.9)[rib % 4]
            in_gate = gate < a < gate + gate_wide
            gate_top = 2.2 if gate_wide < 2 else 3.4
            for low, high in ((0.0, 0.3), (0.3, gate_top), (gate_top, 4.6), (4.6, 5.0), (5.0, 9.0)):
                colour = darker(site.wall, shade)
                if low == 0.0 or low == 4.6:
                    colour = darker(site.wall, 0.6 * shade)
                if in_gate and high <= gate_top:
                    colour = darker(door, 0.85 + 0.15 * shade)
                corners = [[a, HALF, low], [b, HALF, low], [b, HALF, high], [a, HALF, high]]
                quads.append(np.array(corners) @ way)
                paints.append(colour)
    return [solid(np.stack(quads), np.asarray(paints), OBSTACLE, 0.05), *_fittings(rng)]


def _fittings(rng: np.random.Generator) -> Model:
    """Hang control boxes on the walls."""
    model: Model = []
    for turn in range(4):
        for x in rng.uniform(-9, 9, 3).tolist():
            size = (float(rng.uniform(0.4, 0.9)), 0.2, float(rng.uniform(0.5, 1.1)))
            part = box(size, (x, HALF - 0.1, 1.2), (0.6, 0.62, 0.62), OBSTACLE)
            part = part.with_sticker(0, (0.2, 0.5, 0.8, 0.85), DARK)
            model.append(part.placed((0, 0, 0), turn * np.pi / 2))
    return model


def _markings(
    lanes: tuple[Rect, ...],
    placed: list[tuple[str, Rect]],
    site: Site,
    rng: np.random.Generator,
) -> Markings:
    framed: list[tuple[Rect, Rgb]] = []
    hatched: list[Rect] = []
    for kind, (left, bottom, right, top) in placed:
        grown = (left - 0.25, bottom - 0.25, right + 0.25, top + 0.25)
        if kind == "machine" and rng.random() < 0.6:
            hatched.append((left - 0.45, bottom - 0.45, right + 0.45, top + 0.45))
        elif kind in ("machine", "pallet", "bin"):
            framed.append((grown, WHITE if rng.random() < 0.6 else YELLOW))
    spaces = [rect for _, rect in placed]
    for number in range(40):
        x, y = rng.uniform(-HALF + 2, HALF - 2, 2).tolist()
        wide, long = rng.uniform(0.6, 1.2), rng.uniform(0.8, 1.6)
        rect = (x - wide, y - long, x + wide, y + long)
        if any(overlaps(rect, other, 0.2) for other in (*lanes, *spaces)):
            continue
        spaces.append(rect)
        if number % 3:
            framed.append((rect, WHITE if number % 2 else YELLOW))
        else:
            hatched.append(rect)
    x = site.lane_x
    zebra = float(rng.uniform(-4.5, 0.0))
    crossings = ((x - 1.45, zebra - 1.2, x + 1.45, zebra + 1.2),)
    arrows = [(x, y, 0.0) for y in np.arange(-9.0, 10, 4.2).tolist() if abs(y - zebra) > 2]
    if site.cross_y is not None:
        arrows += [(float(v), site.cross_y, np.pi / 2) for v in (-6.0, -3.0, 5.5)]
    return Markings(lanes, tuple(hatched), tuple(framed), crossings, tuple(arrows))
