"""The part of a picture that never changes: floor and static obstacles of one camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from offramp.data.synthetic.camera import Camera
from offramp.data.synthetic.layout import HALF, Hall, generator, hall
from offramp.data.synthetic.light import GROUPS, bake_floor
from offramp.data.synthetic.raster import SAMPLES, Faces, Raster
from offramp.data.synthetic.solids import FLOOR, OBSTACLE, Floats
from offramp.data.synthetic.texture import Floor, fractal

Image32 = NDArray[np.float32]
_GRAIN_SIZE = 1024


@dataclass(frozen=True)
class Backdrop:
    """Hold the picture of an empty hall, ready to be lit.

    Attributes:
        hall: The hall seen.
        camera: The camera that sees it.
        albedo: Linear reflectance, (3, H, W).
        light: Light per switching group, (GROUPS, H, W).
        gloss: Mirror image of the lamps on the floor per group, (GROUPS, H, W).
        labels: Class index, uint8 (H, W).
        floor: Share of floor in each pixel, (H, W) in 0..1.
        nearness: Inverse depth of obstacles per sample, 0 on the floor.
        contact: Height in metres up to which things are darkened by the floor's nearness.
    """

    hall: Hall
    camera: Camera
    albedo: Image32
    light: Image32
    gloss: Image32
    labels: NDArray[np.uint8]
    floor: Image32
    nearness: Image32
    contact: float = 0.8


@lru_cache(maxsize=16)
def backdrop(index: int, width: int, height: int) -> Backdrop:
    """Render the backdrop of one camera; sizes in pixels."""
    place = hall(index)
    picture = Floor(HALF, place.site.floor, generator(index, 1)).paint(place.markings)
    return render(place, place.camera(width, height), picture, HALF)


def render(place: Hall, camera: Camera, picture: Image.Image, half: float) -> Backdrop:
    """Render what stands in a hall on a floor picture that spans -half to +half metres."""
    faces = Faces.of(place.statics)
    raster = Raster(camera)
    raster.draw(faces)
    colour, light = _floor(place, camera, faces, picture, half)
    u, v = _grid(camera)
    rays = camera.rays(u, v)
    _paint_statics(place, camera, faces, raster, rays, colour, light)
    beyond = _beyond_walls(camera, rays, half) & (raster.indices == 0)
    colour[beyond] = np.asarray(place.site.wall, np.float32) ** 2 * 0.5
    solid = (raster.indices > 0) | beyond
    light *= _crevices(raster.nearness)
    total = light.sum(axis=0)
    share = _pool(1.0 - solid.astype(np.float32))
    pooled = np.stack([_pool(part) for part in light])
    lit = np.stack([_pool((colour[..., k] * total).astype(np.float32)) for k in range(3)])
    return Backdrop(
        hall=place,
        camera=camera,
        # Dividing lit colour by pooled light keeps mixed edge pixels exact in full light.
        albedo=lit / np.maximum(pooled.sum(axis=0), np.float32(1e-4)),
        light=pooled,
        gloss=_gloss(place, camera, share),
        labels=np.where(share > 0.5, FLOOR, OBSTACLE).astype(np.uint8),
        floor=share,
        nearness=raster.nearness,
    )


@lru_cache(maxsize=1)
def grain_tile() -> Image32:
    """Return fixed surface noise of unit variance, (1024, 1024)."""
    rng = generator(0, 99)
    return fractal(rng, (_GRAIN_SIZE, _GRAIN_SIZE), (64, 200, 512))


def _grid(camera: Camera) -> tuple[Image32, Image32]:
    """Return pixel coordinates u, v of every sample."""
    columns = (np.arange(camera.width * SAMPLES) + 0.5) / SAMPLES
    rows = (np.arange(camera.height * SAMPLES) + 0.5) / SAMPLES
    u, v = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    return u, v


def _pool(samples: Image32) -> Image32:
    """Average the samples of each pixel."""
    tall = samples[0::SAMPLES]
    for row in range(1, SAMPLES):
        tall = tall + samples[row::SAMPLES]
    mean = tall[:, 0::SAMPLES].copy()
    for column in range(1, SAMPLES):
        mean += tall[:, column::SAMPLES]
    mean /= np.float32(SAMPLES**2)
    return mean


def _warp(source: Image.Image, half: float, camera: Camera) -> Image.Image:
    """Look at a square floor picture of -half to +half metres through the camera, per sample."""
    zoom = source.width / (2 * half)
    to_cell = np.array([[zoom, 0, half * zoom], [0, zoom, half * zoom], [0, 0, 1]])
    to_pixel = np.diag([1 / SAMPLES, 1 / SAMPLES, 1.0])
    matrix: Floats = to_cell @ camera.floor_homography() @ to_pixel
    matrix = matrix / matrix[2, 2]
    size = (camera.width * SAMPLES, camera.height * SAMPLES)
    return source.transform(
        size,
        Image.Transform.PERSPECTIVE,
        tuple(matrix.ravel()[:8].tolist()),
        Image.Resampling.BILINEAR,
    )


def _floor(
    place: Hall, camera: Camera, faces: Faces, picture: Image.Image, half: float
) -> tuple[Image32, Image32]:
    """Return linear floor colour (rows, columns, 3) and light (GROUPS, rows, columns)."""
    fine = _warp(picture, half, camera)
    coarse = _warp(picture.reduce(4), half, camera)
    # Far rows skip texels, so thin lines would sparkle: fade to the averaged floor.
    matrix = camera.floor_homography()
    u, v = _grid(camera)
    w = np.maximum(-(matrix[2, 0] * u + matrix[2, 1] * v + matrix[2, 2]), 1e-3)
    reach = camera.position[2] / w
    share = np.clip((reach * (HALF / half) - 9) / 6, 0, 1)
    fade = Image.fromarray((share * 255).astype(np.uint8))
    mixed = np.asarray(Image.composite(coarse, fine, fade), dtype=np.float32) / np.float32(255)
    baked = bake_floor(place.lamps, faces, half)
    light = [np.asarray(_warp(Image.fromarray(part), half, camera)) for part in baked]
    linear: Image32 = mixed * mixed
    return linear, np.maximum(np.stack(light), np.float32(0.01))


def _paint_statics(
    place: Hall,
    camera: Camera,
    faces: Faces,
    raster: Raster,
    rays: Image32,
    colour: Image32,
    light: Image32,
) -> None:
    """Fill colour and light of every sample that shows a static solid."""
    spots = np.flatnonzero(raster.indices)
    face = raster.indices.ravel()[spots] - 1
    reach = rays.reshape(-1, 3)[spots] / raster.nearness.ravel()[spots, None]
    points = reach + np.asarray(camera.position, dtype=np.float32)
    tile = grain_tile()
    rows, columns = np.unravel_index(spots, raster.indices.shape)
    noise = tile[rows % _GRAIN_SIZE, columns % _GRAIN_SIZE]
    speckle = 1 + noise * faces.grain.astype(np.float32)[face]
    paint = (faces.colours**2).astype(np.float32)[face] * np.clip(speckle, 0.3, 2)[:, None]
    colour.reshape(-1, 3)[spots] = paint
    shine = place.lamps.irradiance(points, faces.normals.astype(np.float32)[face])
    shine *= 0.66 + 0.34 * np.minimum(points[:, 2] / 0.9, 1.0)
    light.reshape(GROUPS, -1)[:, spots] = np.maximum(shine, 0.01)


def _beyond_walls(camera: Camera, rays: Image32, half: float) -> NDArray[np.bool_]:
    """Tell which samples look past the hall's floor."""
    x, y, z = camera.position
    down = rays[..., 2]
    reach = -z / np.minimum(down, -1e-4)
    outside = np.abs(x + rays[..., 0] * reach) > half
    outside |= np.abs(y + rays[..., 1] * reach) > half
    past: NDArray[np.bool_] = outside | (down > -1e-4)
    return past


def _crevices(nearness: Image32) -> Image32:
    """Darken samples that lie behind their neighbours, as indirect light would."""
    solid = nearness > 0
    span = max(nearness.shape[1] / 160.0, 1.0)
    picture = Image.fromarray(np.clip(nearness * 800, 0, 255).astype(np.uint8))
    around = np.asarray(picture.filter(ImageFilter.GaussianBlur(span)), np.float32) / 800
    gap = np.maximum(around - nearness, 0) / np.maximum(nearness, 0.03)
    shade: Image32 = np.where(solid, 1 - 0.55 * np.minimum(gap * 2.5, 1.0), 1.0)
    return shade.astype(np.float32)


def _gloss(place: Hall, camera: Camera, share: Image32) -> Image32:
    """Return the lamps' mirror image (GROUPS, H, W) on a satin floor."""
    u, v = np.meshgrid(
        np.arange(camera.width, dtype=np.float32) + 0.5,
        np.arange(camera.height, dtype=np.float32) + 0.5,
    )
    rays = camera.rays(u, v)
    down = np.maximum(-rays[..., 2], 0.02)
    lamps = place.lamps
    # Light leaves the camera, meets the floor and rises to the lamps: two heights in a row.
    climb = (camera.position[2] + float(lamps.positions[0, 2])) / down
    x = camera.position[0] + rays[..., 0] * climb
    y = camera.position[1] + rays[..., 1] * climb
    graze = (1 - down / np.linalg.norm(rays, axis=-1)) ** 3
    gloss = np.zeros((GROUPS, *u.shape), dtype=np.float32)
    for position, power, group in zip(lamps.positions, lamps.powers, lamps.groups, strict=True):
        far = ((x - position[0]) / 1.5) ** 2 + ((y - position[1]) / 0.8) ** 2
        gloss[group] += np.float32(power / 6.5) * np.exp(-0.5 * far)
    rough = 0.75 + 0.25 * np.clip(grain_tile()[: camera.height, : camera.width], -1.5, 1.5)
    if rough.shape != u.shape:
        rough = np.ones_like(u)
    gloss *= (share * rough * (0.03 + 0.5 * graze)).astype(np.float32)
    return gloss
