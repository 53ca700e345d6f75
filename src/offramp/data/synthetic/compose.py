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
    faces = Faces.of([part for thing in things for part in thing.solids]) if things else None
    if faces is not None:
        shade = 1 - scene.floor * _shadows(scene, things, faces, weights)
        light *= shade
        shine *= shade
    # Colour comes first in the layout, so that rows of light multiply at full speed.
    linear = scene.albedo * light
    linear += shine
    if faces is not None:
        _draw(scene, faces, weights, linear, labels)
    return develop(linear, conditions, rng), labels


def _draw(
    scene: Backdrop,
    faces: Faces,
    weights: Image32,
    linear: Image32,
    labels: NDArray[np.uint8],
) -> None:
    """Draw all faces into the linear picture (3, H, W) and the labels (H, W)."""
    raster = Raster(scene.camera, scene.nearness)
    raster.draw(faces)
    spots = _touched(raster.indices)
    if not len(spots):
        return
    rows, columns = np.divmod(spots, scene.camera.width)
    index = raster.indices.ravel()[_sample_numbers(rows, columns, scene.camera.width)]
    near = raster.nearness.ravel()[_sample_numbers(rows, columns, scene.camera.width)].max(axis=0)
    paint = _lit_colours(scene, faces, weights)
    drawn = (index > 0).sum(axis=0, dtype=np.float32) / np.float32(SAMPLES**2)
    # The strongest pattern counts on pixels that show several faces.
    rough = np.append(0, faces.grain).astype(np.float32)[index.max(axis=0)]
    tile = grain_tile()
    speckle = 1 + rough * tile[rows % tile.shape[0], columns % tile.shape[1]]
    speckle = np.maximum(speckle, np.float32(0.2)) / np.float32(SAMPLES**2)
    speckle *= _floor_shade(scene, rows, columns, near)
    for plane, colour in zip(linear.reshape(3, -1), paint, strict=True):
        added = colour.take(index).sum(axis=0)
        plane[spots] = plane[spots] * (1 - drawn) + added * speckle
    classes = np.append(0, faces.labels).astype(np.uint8)
    labels.ravel()[spots] = _vote(index, classes, scene.labels.ravel()[spots])


def _touched(indices: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the flat pixel numbers that at least one sample draws on."""
    # Two neighbouring 32-bit samples read as one 64-bit number halve the work.
    pairs = indices.view(np.int64)
    spots: NDArray[np.int64] = np.flatnonzero(pairs[0::SAMPLES] | pairs[1::SAMPLES])
    return spots


def _sample_numbers(
    rows: NDArray[np.int64], columns: NDArray[np.int64], width: int
) -> NDArray[np.int64]:
    """Return the flat sample numbers (SAMPLES ** 2, n) of n pixels."""
    wide = width * SAMPLES
    first = rows * (SAMPLES * wide) + columns * SAMPLES
    return np.stack([first + i * wide + j for i in range(SAMPLES) for j in range(SAMPLES)])


def _lit_colours(scene: Backdrop, faces: Faces, weights: Image32) -> Image32:
    """Return the linear colour (3, N + 1) of each face; column 0 is black."""
    centres = faces.quads.mean(axis=1).astype(np.float32)
    groups = scene.hall.lamps.irradiance(centres, faces.normals.astype(np.float32))
    light = np.tensordot(weights, groups, axes=1)
    # Faces that look down get what the floor throws back.
    light = np.maximum(light, 0.1 * float(weights.mean()))
    colours = (faces.colours.T**2).astype(np.float32) * light
    return np.concatenate([np.zeros((3, 1), np.float32), colours], axis=1)


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


def _shadows(scene: Backdrop, things: Sequence[Thing], faces: Faces, weights: Image32) -> Image32:
    """Return how much light (H, W) things take from the floor, in 0..1."""
    camera, lamps = scene.camera, scene.hall.lamps
    size = (-(-camera.width // _SHADOW_STEP), -(-camera.height // _SHADOW_STEP))
    counts = [sum(len(part.quads) for part in thing.solids) for thing in things]
    owner = np.repeat(np.arange(len(things)), counts)
    best = np.stack([lamps.strongest(np.asarray(thing.place), 2) for thing in things])
    layers = []
    for rank in range(2):
        lamp = best[owner, rank]
        where = lamps.positions[lamp]
        # The lit faces of a closed solid throw its whole shadow.
        lit = ((where - faces.quads[:, 0]) * faces.normals).sum(axis=1) > 0
        lit &= faces.layers == 0
        strength = weights[lamps.groups[lamp]] / max(float(weights.max()), 1e-3)
        fills = (255 * np.clip(strength, 0, 1)).astype(int)
        layers.append(_mask(scene, cast(faces.quads[lit], where[lit]), size, fills[lit]))
    low = (faces.quads[..., 2].min(axis=1) < 0.45) & (np.abs(faces.normals[:, 2]) > 0.3)
    layers.append(_mask(scene, faces.quads[low][..., :2], size, np.full(int(low.sum()), 255)))
    scale = camera.width / 640 / _SHADOW_STEP
    taken = np.zeros((size[1], size[0]), dtype=np.float32)
    for layer, share, blur in zip(layers, (0.42, 0.26, 0.42), (2.4, 3.6, 3.0), strict=True):
        soft = layer.filter(ImageFilter.GaussianBlur(blur * scale))
        # Overlapping shadows multiply what is left.
        taken += (1 - taken) * np.asarray(soft, np.float32) * np.float32(share / 255)
    wide = Image.fromarray(taken).resize((camera.width, camera.height), Image.Resampling.BILINEAR)
    return np.asarray(wide)


def _mask(
    scene: Backdrop, polygons: Floats, size: tuple[int, int], fills: NDArray[np.int64]
) -> Image.Image:
    """Draw floor polygons (N, 4, 2) in metres as the camera sees them."""
    picture = Image.new("L", size)
    pen = ImageDraw.Draw(picture)
    ground = np.concatenate([polygons, np.zeros((*polygons.shape[:-1], 1))], axis=-1)
    screen = scene.camera.project(ground)
    seen = screen[..., 2].min(axis=1) > 0.3
    flat = (screen[seen, :, :2] / _SHADOW_STEP).reshape(-1, 8)
    for corners, fill in zip(flat.tolist(), fills[seen].tolist(), strict=True):
        pen.polygon(corners, fill=fill)
    return picture
