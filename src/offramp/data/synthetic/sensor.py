"""From light to a camera picture: exposure, haze, glare, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from offramp.data.synthetic.layout import generator

Image32 = NDArray[np.float32]
TRAITS = 12  # Uniform numbers that fix everything but the difficulty.
_TILE = 1536
_UNIT = 64  # Standard deviation of the stored noise tile.


@dataclass(frozen=True)
class Conditions:
    """Describe light and lens of one picture.

    Attributes:
        weights: Brightness of the switching groups, (GROUPS,).
        tint: Colour of the light, (3,).
        gain: Exposure.
        noise: Standard deviation of the sensor noise, grey levels.
        blur: Radius of the lens blur, pixels of a 640 pixel wide picture.
        smear: Length of the motion blur, pixels.
        haze: Share of scattered light.
        glare: Strength of the flare, and its centre as shares of width and height.
    """

    weights: tuple[float, float, float]
    tint: tuple[float, float, float]
    gain: float
    noise: float
    blur: float
    smear: int
    haze: float
    glare: tuple[float, float, float]

    @staticmethod
    def at(difficulty: float, traits: NDArray[np.float64]) -> Conditions:
        """Derive conditions from difficulty in 0..1 and TRAITS uniform numbers.

        All but the smear vary continuously with difficulty, so that clips do not flicker.
        """
        hard = float(np.clip(difficulty, 0, 1))
        t = traits.tolist()
        dim = hard ** (0.7 + 0.8 * t[0])
        low = 1 - 0.80 * dim
        uneven = hard * (t[1] - 0.5) * 1.5
        even = float(np.clip(1 - max(uneven, 0) * 1.3, 0.06, 1))
        odd = float(np.clip(1 + min(uneven, 0) * 1.3, 0.06, 1))
        warm = (t[2] - 0.5) * 0.16
        return Conditions(
            weights=(low * (1 - 0.25 * dim), low * even, low * odd),
            tint=(1 + warm, 1.0, 1 - warm),
            gain=float(1.08 + 0.2 * (t[3] - 0.5) + 0.25 * dim * t[4]),
            noise=1.1 + 7.5 * dim * (0.4 + 0.6 * t[5]),
            blur=0.3 + 0.65 * hard * t[6],
            smear=int(hard > 0.55 and t[7] < 0.3) * 2,
            haze=0.005 + 0.06 * hard**2 * t[8],
            glare=(max(0.0, hard - 0.35) * 0.75 * float(t[9] < 0.55), t[10], 0.5 * t[11]),
        )


def develop(linear: Image32, conditions: Conditions, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn linear light (3, H, W) into uint8 (H, W, 3); `linear` is overwritten."""
    _, height, width = linear.shape
    glare, x, y = conditions.glare
    linear *= _falloff(width, height) * np.float32(conditions.gain * (1 - conditions.haze))
    scattered = np.float32(0.6 * conditions.haze)
    if glare > 0:
        linear += _flare(width, height, x, y, glare) + scattered
    else:
        linear += scattered
    # A square root stands for the tone curve; it also makes shot noise uniform.
    np.sqrt(linear, out=linear)
    for plane, tint in zip(linear, conditions.tint, strict=True):
        plane *= np.float32(255 * np.sqrt(tint))
    np.minimum(linear, 255, out=linear)
    bands = [Image.fromarray(plane) for plane in linear.astype(np.uint8)]
    picture = Image.merge("RGB", bands)
    if conditions.smear:
        picture = Image.blend(picture, ImageChops.offset(picture, conditions.smear, 0), 0.4)
    picture = picture.filter(ImageFilter.BoxBlur(conditions.blur * width / 640))
    return _noisy(np.asarray(picture), conditions.noise, rng)


def _noisy(picture: NDArray[np.uint8], sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add noise of `sigma` grey levels, cut from a fixed tile at a random place."""
    height, width, _ = picture.shape
    tile = _noise_tile()
    if height > _TILE or width > _TILE:
        tile = np.tile(tile, (-(-height // _TILE) + 1, -(-width // _TILE) + 1, 1))
    top = int(rng.integers(tile.shape[0] - height + 1))
    left = int(rng.integers(tile.shape[1] - width + 1))
    noise = tile[top : top + height, left : left + width] * np.int16(round(sigma * 4))
    noise >>= 8
    noise += picture
    np.clip(noise, 0, 255, out=noise)
    return noise.astype(np.uint8)


@lru_cache(maxsize=1)
def _noise_tile() -> NDArray[np.int16]:
    """Return noise (1536, 1536, 3): mostly grey with a little colour, slightly clumped."""
    rng = generator(0, 98)
    grey = rng.standard_normal((_TILE, _TILE, 1), dtype=np.float32)
    grey = 0.8 * grey + 0.42 * (np.roll(grey, 1, axis=0) + np.roll(grey, 1, axis=1))
    tint = rng.standard_normal((_TILE, _TILE, 3), dtype=np.float32)
    noise: NDArray[np.int16] = np.clip((0.85 * grey + 0.5 * tint) * _UNIT, -400, 400).astype(
        np.int16
    )
    return noise


@lru_cache(maxsize=4)
def _falloff(width: int, height: int) -> Image32:
    """Return the vignette (H, W)."""
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(height / width)
    falloff: Image32 = (1 / (1 + 0.28 * (x * x + y * y)) ** 2).astype(np.float32)
    return falloff


def _flare(width: int, height: int, x: float, y: float, strength: float) -> Image32:
    """Return scattered light (H, W) around a bright spot with a faint streak."""
    columns = (np.arange(40, dtype=np.float32) + 0.5) / 40 - x
    rows = ((np.arange(24, dtype=np.float32) + 0.5) / 24 - y)[:, None] * 0.6
    square = columns * columns + rows * rows
    small = 0.55 * np.exp(-square / 0.02) + 0.16 / (1 + square / 0.03)
    small += 0.12 * np.exp(-(rows**2) / 0.0015) * np.exp(-(columns**2) / 0.15)
    big = Image.fromarray((small * strength).astype(np.float32)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    flare: Image32 = np.maximum(np.asarray(big), np.float32(0))
    return flare
