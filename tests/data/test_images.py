"""Pictures of every kind that is met, and those that are refused."""

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offramp.core.errors import DataFault
from offramp.data import images
from offramp.data.images import (
    image_size,
    read_image,
    read_mask,
    resize_image,
    resize_labels,
    write_image,
)

RAMP = np.arange(6 * 4, dtype=np.uint8).reshape(4, 6) * 10


def saved(picture: Image.Image, file: Path, **options: object) -> Path:
    picture.save(file, **options)  # type: ignore[arg-type]
    return file


def test_an_rgb_image_comes_as_it_is(tmp_path: Path, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "a.png"), image)


def test_channels_come_red_first(tmp_path: Path) -> None:
    file = saved(Image.new("RGB", (2, 2), (255, 128, 0)), tmp_path / "a.png")
    assert read_image(file)[0, 0].tolist() == [255, 128, 0]


def test_a_grey_image_gets_three_channels(tmp_path: Path) -> None:
    image = read_image(saved(Image.fromarray(RAMP), tmp_path / "a.png"))
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.repeat(RAMP[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_16_bit_image_keeps_its_high_bytes(tmp_path: Path, suffix: str) -> None:
    deep = RAMP.astype(np.uint16) * 256 + 77
    image = read_image(saved(Image.fromarray(deep), tmp_path / f"a{suffix}"))
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.repeat(RAMP[..., None], 3, axis=2))


def test_an_alpha_channel_is_dropped_not_blended(tmp_path: Path) -> None:
    file = saved(Image.new("RGBA", (3, 2), (10, 20, 30, 0)), tmp_path / "a.png")
    assert read_image(file)[1, 2].tolist() == [10, 20, 30]


def test_a_palette_image_comes_in_its_colours(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 2), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    assert read_image(saved(picture, tmp_path / "a.png"))[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("mode", ["L", "P"])
def test_an_alpha_channel_is_dropped_from_grey_and_palette_too(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(RAMP)
    if mode == "L":
        picture.putalpha(0)
    else:
        picture = picture.convert("P")
        picture.putpalette([value for index in range(256) for value in (index,) * 3])
        picture.info["transparency"] = bytes(range(256))
    image = read_image(saved(picture, tmp_path / "a.png"))
    assert np.array_equal(image, np.repeat(RAMP[..., None], 3, axis=2))


# By the tag's definition: where the first row and the first column of the file lie in the scene.
UPRIGHT = {
    1: RAMP,  # top, left
    2: RAMP[:, ::-1],  # top, right
    3: RAMP[::-1, ::-1],  # bottom, right
    4: RAMP[::-1],  # bottom, left
    5: RAMP.T,  # left, top
    6: RAMP.T[:, ::-1],  # right, top
    7: RAMP.T[::-1, ::-1],  # right, bottom
    8: RAMP.T[::-1],  # left, bottom
}


@pytest.mark.parametrize("tag", UPRIGHT)
def test_an_image_is_turned_upright_by_its_tag(tmp_path: Path, tag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    file = saved(Image.fromarray(np.dstack([RAMP] * 3)), tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(file)[..., 0], UPRIGHT[tag])
    assert image_size(file) == UPRIGHT[tag].shape


def test_a_grey_mask_gives_its_values(tmp_path: Path) -> None:
    assert np.array_equal(read_mask(saved(Image.fromarray(RAMP), tmp_path / "a.png")), RAMP)


def test_a_palette_mask_gives_indices_not_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(RAMP % 3).convert("P")
    picture.putdata((RAMP % 3).ravel().tolist())
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
    assert np.array_equal(read_mask(saved(picture, tmp_path / "a.png")), RAMP % 3)


def test_a_1_bit_mask_gives_zeros_and_ones(tmp_path: Path) -> None:
    picture = Image.fromarray(RAMP > 100)
    assert np.array_equal(read_mask(saved(picture, tmp_path / "a.png")), RAMP > 100)


def test_a_16_bit_mask_with_small_values_is_a_mask(tmp_path: Path) -> None:
    file = saved(Image.fromarray(RAMP.astype(np.uint16)), tmp_path / "a.png")
    assert np.array_equal(read_mask(file), RAMP)


def test_a_16_bit_mask_with_large_values_is_refused(tmp_path: Path) -> None:
    file = saved(Image.fromarray(RAMP.astype(np.uint16) * 2), tmp_path / "a.png")
    with pytest.raises(DataFault, match=r"a\.png: not a mask"):
        read_mask(file)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_a_mask_of_colours_or_with_alpha_is_refused_with_the_repair(
    tmp_path: Path, mode: str
) -> None:
    file = saved(Image.new(mode, (2, 2)), tmp_path / "a.png")
    says = rf"a\.png: not a mask.*mode {mode};.*save it as 8-bit grey"
    with pytest.raises(DataFault, match=says):
        read_mask(file)


@pytest.mark.parametrize("read", [read_image, image_size, read_mask])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"not an image at all", "not an image that can be read"),
        (None, "does not exist"),
    ],
)
def test_a_file_that_is_no_image_is_refused_by_name(
    tmp_path: Path, read: object, content: bytes | None, says: str
) -> None:
    file = tmp_path / "bad.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataFault, match=rf"bad\.png: .*{says}"):
        read(file)  # type: ignore[operator]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_a_truncated_image_is_refused_by_name(
    tmp_path: Path, suffix: str, rng: np.random.Generator
) -> None:
    file = tmp_path / f"cut{suffix}"
    write_image(file, rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for read in (read_image, image_size):
        with pytest.raises(DataFault, match=f"cut\\{suffix}"):
            read(file)


# Pillow warns of spoilt metadata and of sizes between its limit and twice that, and goes on.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_a_changed_byte_is_no_other_error_than_ours(
    tmp_path: Path, suffix: str, rng: np.random.Generator
) -> None:
    file = tmp_path / f"a{suffix}"
    write_image(file, rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    whole = file.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        file.write_bytes(changed)
        with contextlib.suppress(DataFault):
            read_image(file)


# Pillow warns of sizes between its limit and twice that, and leaves the decision to us.
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [7100, 12_000, 60_000])
def test_an_image_that_would_unpack_to_too_much_is_refused(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header
    file = tmp_path / "bomb.png"
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + crc + b"\0\0\0\0IDAT\x35\xaf\x06\x1e")
    with pytest.raises(DataFault, match=r"bomb\.png: the image is too large"):
        read_image(file)


def test_the_largest_image_allowed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", RAMP.size)
    file = saved(Image.fromarray(RAMP), tmp_path / "a.png")
    assert read_image(file).shape == (4, 6, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", RAMP.size - 1)
    with pytest.raises(DataFault, match="expected at most 23 pixels; got 6x4"):
        read_image(file)


def test_resizing_takes_height_before_width() -> None:
    image = np.zeros((10, 20, 3), dtype=np.uint8)
    assert resize_image(image, (30, 40)).shape == (30, 40, 3)
    assert resize_labels(image[..., 0], (30, 40)).shape == (30, 40)


def test_resizing_to_the_same_size_changes_nothing(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (10, 20, 3), dtype=np.uint8)
    assert np.array_equal(resize_image(image, (10, 20)), image)


def test_halving_averages_an_image_and_invents_no_label() -> None:
    board = np.indices((16, 16)).sum(axis=0) % 2
    image = np.repeat((board * 200)[..., None], 3, axis=2).astype(np.uint8)
    small = resize_image(image, (4, 4))
    assert np.abs(small.astype(int) - 100).max() <= 4
    labels = resize_labels((board * 7).astype(np.uint8), (5, 5))
    assert set(np.unique(labels).tolist()) <= {0, 7}
