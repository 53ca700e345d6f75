"""Read photographs and masks from disk, and resize frames to a network's input.

An image is uint8 RGB H×W×3, turned upright by its EXIF tag. A mask is uint8 H×W of class
indices. The header is read first: a picture that would unpack to more than `MAX_PIXELS` is
refused before it is decoded. A path below an IDX or a video file names a picture in it.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from offramp.core.errors import DataFault
from offramp.data.clips import is_frame, read_frame
from offramp.data.idx import is_entry, read_entry

Array = NDArray[np.uint8]

MAX_PIXELS = 50_000_000
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def read_image(path: Path) -> Array:
    """Read an image file; uint8 RGB H×W×3.

    Grey, palette and 16-bit pictures become RGB; an alpha channel is dropped.

    Raises:
        DataFault: the file is absent, truncated, no image, or too large.
    """
    picture = ImageOps.exif_transpose(_open(path))
    if picture.mode.startswith("I;16"):
        high = np.asarray(picture, dtype=np.uint16) >> 8
        return np.repeat(high.astype(np.uint8)[..., None], 3, axis=2)
    return _rgb(picture)


def image_size(path: Path) -> tuple[int, int]:
    """Read an image's upright height and width in pixels, and decode it to prove it whole.

    Raises:
        DataFault: as `read_image`.
    """
    picture = ImageOps.exif_transpose(_open(path))
    return picture.height, picture.width


def read_mask(path: Path) -> Array:
    """Read a mask file; uint8 H×W class indices (a palette's indices, not its colours).

    Raises:
        DataFault: the file is absent, truncated, no image, or has colours instead of indices.
    """
    picture = _open(path)
    if picture.mode in ("L", "P", "1"):
        return np.asarray(picture, dtype=np.uint8)
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.max(initial=0) <= 255:
            return values.astype(np.uint8)
    raise DataFault(
        f"{path}: not a mask of class indices",
        expected="one channel with values 0 to 255",
        got=f"mode {picture.mode}",
        repair="save it as 8-bit grey or palette PNG",
    )


def read_coloured(path: Path) -> Array:
    """Read a mask whose colours mean classes; uint8 RGB H×W×3.

    Raises:
        DataFault: as `read_image`, or the mask is partly transparent.
    """
    picture = _open(path)
    if picture.mode in ("RGBA", "LA", "PA") and picture.getchannel("A").getextrema()[0] < 255:  # type: ignore[operator]
        raise DataFault(
            f"{path}: not a mask of colours",
            expected="no transparent pixels",
            repair="save it without an alpha channel",
        )
    if picture.mode not in ("RGB", "RGBA", "L", "LA", "P", "PA", "1"):
        raise DataFault(f"{path}: not a mask of colours", got=f"mode {picture.mode}")
    return _rgb(picture)


def write_image(path: Path, image: Array) -> None:
    """Write an RGB image or a mask; the suffix gives the format."""
    Image.fromarray(image).save(path)


def resize_image(image: Array, size: tuple[int, int]) -> Array:
    """Resize an RGB image to height and width `size` with antialiased bilinear filtering.

    The one resizing that training, recording and running share: scores fitted on one
    interpolation are not valid for another.
    """
    if image.shape[:2] == size:
        return image
    picture = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(picture)


def resize_labels(labels: Array, size: tuple[int, int]) -> Array:
    """Resize class indices to height and width `size` by the nearest neighbour."""
    if labels.shape == size:
        return labels
    return np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))


def _rgb(picture: Image.Image) -> Array:
    """Turn a picture into RGB; what a palette says of transparency is dropped too."""
    picture.info.pop("transparency", None)  # over which Pillow would warn
    return np.asarray(picture.convert("RGB"))


def _open(path: Path) -> Image.Image:
    """Open and decode a picture whose header promises a bearable size."""
    if is_frame(path):
        return Image.fromarray(read_frame(path))
    if is_entry(path):
        return Image.fromarray(read_entry(path))
    try:
        content = path.read_bytes()
        if not content:
            raise DataFault(f"{path}: the file is empty")
        picture: Any = Image.open(io.BytesIO(content))
        if picture.width * picture.height > MAX_PIXELS:
            raise DataFault(
                f"{path}: the image is too large",
                expected=f"at most {MAX_PIXELS:,} pixels",
                got=f"{picture.width}x{picture.height}",
            )
        picture.load()
    except FileNotFoundError:
        raise DataFault(f"{path}: the file does not exist") from None
    except UnidentifiedImageError:
        raise DataFault(f"{path}: not an image that can be read") from None
    except Image.DecompressionBombError as error:
        raise DataFault(f"{path}: the image is too large", got=str(error)) from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DataFault):
            raise
        raise DataFault(f"{path}: the image cannot be decoded", got=str(error)) from None
    return picture  # type: ignore[no-any-return]
