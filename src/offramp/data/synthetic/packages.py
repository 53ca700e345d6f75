"""Seeded pictures of parcels on a conveyor belt, some of them damaged."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from PIL import Image

from offramp.data.synthetic.backdrop import Backdrop, render
from offramp.data.synthetic.camera import Camera
from offramp.data.synthetic.compose import Thing, compose
from offramp.data.synthetic.layout import Hall, Site, generator
from offramp.data.synthetic.light import Lamps
from offramp.data.synthetic.parcels import Parcel, damaged, intact
from offramp.data.synthetic.props import DARK, Model, darker
from offramp.data.synthetic.scenes import Frame, check_size, stream
from offramp.data.synthetic.sensor import TRAITS, Conditions
from offramp.data.synthetic.solids import Colour, box, loft
from offramp.data.synthetic.texture import Markings, fractal

NAMES = ("background", "package")
PALETTE = ((128, 128, 128), (250, 150, 30))
VIEWS = ("side0", "top0", "side1", "top1")
_HALF = 2.2  # Metres; half of the square that the belt picture spans.
_BELT = 0.42  # Metres; half of the belt's width.
_STEP = 40  # Hall numbers from here on belong to belts.


def package_still(
    seed: int, split: str, index: int, *, width: int = 960, height: int = 540
) -> Frame:
    """Render picture `index` of a split: 0 background, 1 package."""
    check_size(width, height)
    rng = stream(seed, f"package-{split}", index)
    difficulty = float(rng.random())
    conditions = Conditions.at(0.8 * difficulty, rng.random(TRAITS))
    view = view_of(index)
    scene = _belt(VIEWS.index(view), width, height)
    count = 0 if rng.random() < 0.06 else 1 + int(rng.integers(0, 2 + round(4 * difficulty)))
    image, labels = compose(scene, _load(count, rng), conditions, rng)
    return Frame(image, labels, view, difficulty)


def difficulty_of(seed: int, split: str, index: int) -> float:
    """Return the difficulty of a picture without rendering it."""
    return float(stream(seed, f"package-{split}", index).random())


def view_of(index: int) -> str:
    """Return the name of the view whose turn it is."""
    return VIEWS[index % len(VIEWS)]


def _load(count: int, rng: np.random.Generator) -> list[Thing]:
    """Lay parcels on the belt one after the other; a third of them is damaged."""
    things: list[Thing] = []
    taken: list[tuple[float, float]] = []
    for _ in range(count):
        parcel = Parcel.random(rng)
        reach = 0.55 * float(np.hypot(parcel.size[0], parcel.size[1]))
        model = damaged(parcel, rng) if rng.random() < 1 / 3 else intact(parcel, rng)
        turn = float(rng.normal(0, 0.35))
        for _ in range(20):
            y = float(rng.uniform(-0.75, 0.75))
            if all(abs(y - other) > reach + radius for other, radius in taken):
                x = float(rng.uniform(-1, 1)) * max(0.0, _BELT - reach)
                solids = [part.placed((x, y, 0.0), turn) for part in model]
                things.append(Thing(solids, (x, y)))
                taken.append((y, reach))
                break
    return things


@lru_cache(maxsize=8)
def _belt(number: int, width: int, height: int) -> Backdrop:
    """Render the empty conveyor of one view."""
    rng = generator(_STEP + number, 0)
    top = VIEWS[number].startswith("top")
    place = Hall(
        index=_STEP + number,
        site=Site(0, 0, 0, 0, 0, (70, 70, 72), (0.62, 0.63, 0.64), (), 0, None),
        lanes=(),
        lamps=_lamps(rng),
        markings=Markings((), (), (), (), ()),
        statics=_frame(rng),
    )
    camera = Camera(
        position=(0.03, -0.05, 2.05) if top else (2.0, -0.25, 0.95),
        yaw=float(np.pi / 2 if top else -np.pi / 2 + rng.normal(0, 0.12)),
        pitch=float(np.deg2rad(88 if top else 24 + rng.uniform(0, 5))),
        roll=float(rng.normal(0, 0.02)),
        fov=float(np.deg2rad(46 if top else 40)),
        width=width,
        height=height,
    )
    scene = render(place, camera, _belt_picture(rng), _HALF)
    return replace(
        scene,
        labels=np.zeros_like(scene.labels),
        # Rubber and rollers are dull: the lamps show no mirror image.
        gloss=scene.gloss * np.float32(0.15),
        contact=0.22,
    )


def _lamps(rng: np.random.Generator) -> Lamps:
    places = [(-0.9, -1.1), (0.9, -0.9), (-0.7, 1.0), (1.0, 1.2)]
    positions = np.array([[x, y, 2.6] for x, y in places]) + rng.normal(0, 0.1, (4, 3))
    angle = float(rng.uniform(0, 2 * np.pi))
    return Lamps(
        positions=positions,
        powers=4.2 * rng.uniform(0.7, 1.3, 4),
        groups=np.array([1, 2, 1, 2]),
        window=np.array([np.cos(angle), np.sin(angle)]),
    )


def _belt_picture(rng: np.random.Generator) -> Image.Image:
    """Paint a worn rubber belt along y with dark floor on both sides."""
    size = 2000
    x = np.abs((np.arange(size) + 0.5) / size * 2 * _HALF - _HALF)
    belt = rng.choice([70.0, 84.0, 62.0]) * np.array([0.95, 1.0, float(rng.uniform(0.95, 1.2))])
    ground = np.array([112.0, 110.0, 106.0])
    base = np.where((x < _BELT)[None, :, None], belt, ground) * np.ones((size, 1, 1))
    shape = (size, size)
    clouds = 1 + 0.06 * fractal(rng, shape, (6, 20, 90)) + 0.05 * fractal(rng, shape, (500, 1500))
    streaks = rng.normal(0, 0.05, size) * (x < _BELT)
    picture = base * (clouds + streaks[None])[..., None]
    for y in range(int(rng.integers(100, 300)), size, 640):
        picture[y : y + 3, x < _BELT] *= 0.6
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _frame(rng: np.random.Generator) -> Model:
    """Build side rails with bolts, rollers beneath the edge and a rear panel."""
    metal: Colour = (0.62, 0.64, 0.66) if rng.random() < 0.5 else (0.25, 0.38, 0.55)
    model: Model = []
    for x in (-_BELT - 0.05, _BELT + 0.05):
        for y in np.arange(-_HALF + 0.1, _HALF, 0.2).tolist():
            model.append(box((0.08, 0.198, 0.05), (x, y, 0), metal, 0, top=darker(metal, 1.1)))
            bolt = [(x, y, 0.05), (x, y, 0.056)]
            model.append(loft(bolt, (0.012, 0.012), (DARK,), 0, sides=8))
    for y in np.arange(-_HALF + 0.1, _HALF, 0.1).tolist():
        panel = (-_BELT - 0.5, y, 0.0)
        model.append(box((0.06, 0.1, 1.6), panel, darker((0.66, 0.68, 0.68), 0.9), 0))
    for y in (-0.9, 0.85):
        model.append(box((0.09, 0.12, 0.34), (-_BELT - 0.17, y, 0), (0.85, 0.68, 0.1), 0))
        model.append(box((0.02, 0.06, 0.05), (-_BELT - 0.12, y, 0.24), DARK, 0))
    return model
