"""Join a lit backdrop with the moving things of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from offramp.data.synthetic.backdrop import Backdrop, grain_tile
from offramp.data.synthetic.light import cast
from offramp.data.synthetic.raster import SAMPLES, Faces, Raster
from offramp.data.synthetic.sensor import Conditions, develop
from offramp.data.synthetic.solids import IGNORE, OBSTACLE, Floats, Solid

Image32 = NDArray[np.float32]
_CLASSES = 4
_SHADOW_STEP = 3  # Shadows are soft, so they are drawn at a third of the size.


@dataclass(frozen=True)
class Thing:
    """Hold one movable model in hall metres and the floor place (2,) it stands on."""

    solids: list[Solid]
    place: tuple[float, float]


def compose(
    scene: Backdrop, things: Sequence[Thing], conditions: Conditions, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the picture uint8 (H, W, 3) and its labels uint8 (H, W)."""
    weights = np.asarray(conditions.weights, dtype=np.float32)
    light = weights[0] * scene.light[0]
    shine = np.zeros_like(light)
    for group in (1, 2):
        light += weights[group] * scene.light[group]
        shine += weights[group] * scene.gloss[group]
    labels = scene.labels.copy()
    if things:
        shade = 1 - scene.floor * _shadows(scene, things, weights)
        light *= shade
        shine *= shade
    linear = scene.albedo * light[..., None]
    linear += shine[..., None]
    if things:
        _draw(scene, things, weights, linear, labels)
    return develop(linear, conditions, rng), labels


def _draw(
    scene: Backdrop,
    things: Sequence[Thing],
    weights: Image32,
    linear: Image32,
    labels: NDArray[np.uint8],
) -> None:
    """Draw all things into the linear picture and the labels."""
    faces = Faces.of([part for thing in things for part in thing.solids])
    raster = Raster(scene.camera, scene.nearness)
    raster.draw(faces)
    spots = _touched(raster.indices)
    if not len(spots):
        return
    rows, columns = np.divmod(spots, scene.camera.width)
    index = _samples(raster.indices, rows, columns)
    near = _samples(raster.nearness, rows, columns).max(axis=0)
    paint = _lit_colours(scene, faces, weights)
    drawn = (index > 0).sum(axis=0, dtype=np.float32) / SAMPLES**2
    added = paint[index].sum(axis=0) / SAMPLES**2
    # Rounding up keeps the pattern on pixels that only one sample of a thing touches.
    rough = np.append(0, faces.grain).astype(np.float32)[index.max(axis=0)]
    tile = grain_tile()
    speckle = 1 + rough * tile[rows % tile.shape[0], columns % tile.shape[1]]
    speckle *= _floor_shade(scene, rows, columns, near)
    flat = linear.reshape(-1, 3)
    flat[spots] = flat[spots] * (1 - drawn)[:, None] + added * np.maximum(speckle, 0.2)[:, None]
    classes = np.append(0, faces.labels).astype(np.uint8)
    labels.ravel()[spots] = _vote(index, classes, scene.labels.ravel()[spots])


def _touched(indices: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the flat pixel numbers that at least one sample draws on."""
    # Two neighbouring 32-bit samples read as one 64-bit number halve the work.
    pairs = indices.view(np.int64)
    spots: NDArray[np.int64] = np.flatnonzero(pairs[0::SAMPLES] | pairs[1::SAMPLES])
    return spots


def _samples(
    grid: NDArray[np.generic], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.generic]:
    """Return the samples (SAMPLES ** 2, n) of n pixels."""
    wide = grid.shape[1]
    first = rows * (SAMPLES * wide) + columns * SAMPLES
    flat = grid.ravel()
    return np.stack([flat[first + i * wide + j] for i in range(SAMPLES) for j in range(SAMPLES)])


def _lit_colours(scene: Backdrop, faces: Faces, weights: Image32) -> Image32:
    """Return the linear colour (N + 1, 3) of each face; row 0 is black."""
    centres = faces.quads.mean(axis=1).astype(np.float32)
    groups = scene.hall.lamps.irradiance(centres, faces.normals.astype(np.float32))
    light = np.tensordot(weights, groups, axes=1)
    # Faces that look down get what the floor throws back.
    light = np.maximum(light, 0.1 * float(weights.mean()))
    colours = (faces.colours**2).astype(np.float32) * light[:, None]
    return np.concatenate([np.zeros((1, 3), np.float32), colours])


def _floor_shade(
    scene: Backdrop, rows: NDArray[np.int64], columns: NDArray[np.int64], near: Image32
) -> Image32:
    """Darken what is close to the floor, per pixel of inverse depth `near`."""
    rays = scene.camera.rays(
        columns.astype(np.float32) + np.float32(0.5), rows.astype(np.float32) + np.float32(0.5)
    )
    height = scene.camera.position[2] + rays[:, 2] / np.maximum(near, 1e-3)
    shade: Image32 = (0.62 + 0.38 * np.clip(height / scene.contact, 0, 1)).astype(np.float32)
    return shade


def _vote(
    index: NDArray[np.int32], classes: NDArray[np.uint8], behind: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the class most samples show; ties of people and vehicles are ignored."""
    found = np.where(index > 0, classes[index], behind)
    counts = np.stack([(found == k).sum(axis=0, dtype=np.uint8) for k in range(_CLASSES)])
    winner = counts.argmax(axis=0).astype(np.uint8)
    best = counts.max(axis=0)
    tied = (counts == best).sum(axis=0) > 1
    moving = ((counts[1:OBSTACLE] == best) & (best > 0)).any(axis=0)
    return np.where(tied & moving, IGNORE, winner).astype(np.uint8)


def _shadows(scene: Backdrop, things: Sequence[Thing], weights: Image32) -> Image32:
    """Return how much light (H, W) things take from the floor, in 0..1."""
    camera, lamps = scene.camera, scene.hall.lamps
    size = (-(-camera.width // _SHADOW_STEP), -(-camera.height // _SHADOW_STEP))
    layers = [Image.new("L", size) for _ in range(3)]
    pens = [ImageDraw.Draw(layer) for layer in layers]
    for thing in things:
        faces = Faces.of(thing.solids)
        quads, normals = faces.quads[faces.layers == 0], faces.normals[faces.layers == 0]
        for rank, lamp in enumerate(lamps.strongest(np.asarray(thing.place), 2).tolist()):
            strength = float(weights[lamps.groups[lamp]] / max(float(weights.max()), 1e-3))
            fill = int(255 * min(1.0, strength))
            # The lit faces of a closed solid throw its whole shadow.
            lit = ((lamps.positions[lamp] - quads[:, 0]) * normals).sum(axis=1) > 0
            _fill(scene, cast(quads[lit], lamps.positions[lamp]), pens[rank], fill)
        low = quads[(quads[..., 2].min(axis=1) < 0.45) & (np.abs(normals[:, 2]) > 0.3)]
        _fill(scene, low[..., :2], pens[2], 255)
    scale = camera.width / 640 / _SHADOW_STEP
    taken = np.zeros((size[1], size[0]), dtype=np.float32)
    for layer, share, blur in zip(layers, (0.42, 0.26, 0.42), (2.4, 3.6, 3.0), strict=True):
        soft = layer.filter(ImageFilter.GaussianBlur(blur * scale))
        # Overlapping shadows multiply what is left.
        taken += (1 - taken) * np.asarray(soft, np.float32) * np.float32(share / 255)
    wide = Image.fromarray(taken).resize((camera.width, camera.height), Image.Resampling.BILINEAR)
    return np.asarray(wide)


def _fill(scene: Backdrop, polygons: Floats, pen: ImageDraw.ImageDraw, fill: int) -> None:
    """Draw floor polygons (N, 4, 2) in metres as the camera sees them."""
    ground = np.concatenate([polygons, np.zeros((*polygons.shape[:-1], 1))], axis=-1)
    screen = scene.camera.project(ground)
    seen = screen[..., 2].min(axis=1) > 0.3
    for corners in (screen[seen, :, :2] / _SHADOW_STEP).reshape(-1, 8).tolist():
        pen.polygon(corners, fill=fill)
