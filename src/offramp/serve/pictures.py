"""Pictures as they come and go over HTTP: PNG, JPEG, WebP and BMP to uint8 RGB, and answers back.

The header is read first: what would unpack to more pixels than allowed is refused undecoded.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from offramp.core.errors import BadInput
from offramp.data.images import Array
from offramp.video.answer import Answer

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


def decode_picture(content: bytes, max_pixels: int) -> Array:
    """Decode a picture; uint8 RGB H×W×3, upright.

    Grey, palette and 16-bit pictures become RGB; an alpha channel is dropped; of an animation,
    the first picture counts.

    Raises:
        BadInput: it is of no format in `FORMATS`, too large, or damaged.
    """
    try:
        picture: Any = Image.open(io.BytesIO(content), formats=FORMATS)
        if picture.width * picture.height > max_pixels:
            raise BadInput(
                "the image is too large",
                expected=f"at most {max_pixels:,} pixels",
                got=f"{picture.width}x{picture.height}",
            )
        picture.load()
        return _rgb(ImageOps.exif_transpose(picture))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(
            "the image is too large", expected=f"at most {max_pixels:,} pixels"
        ) from None
    except UnidentifiedImageError:
        raise BadInput("not an image", expected="PNG, JPEG, WebP or BMP") from None
    except BadInput:
        raise
    except Exception as error:  # damaged files make decoders raise whatever they come upon
        raise BadInput("the image cannot be decoded", got=type(error).__name__) from None


def encode_mask(labels: Array, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """Write labels uint8 H×W as a PNG whose pixel values are the classes, in their colours."""
    picture = Image.fromarray(labels)
    picture.putpalette([part for colour in palette for part in colour])
    return _written(picture, "PNG", compress_level=1)


def encode_image(image: Array, kind: str = "JPEG") -> bytes:
    """Write an image uint8 RGB H×W×3 as JPEG or PNG."""
    if kind == "PNG":
        return _written(Image.fromarray(image), "PNG", compress_level=1)
    return _written(Image.fromarray(image), "JPEG", quality=85)


def shrunk(answer: Answer, width: int | None) -> tuple[Array, Array]:
    """Shrink an answer's picture by averaging blocks, and its labels by each block's first.

    Drawing a camera's full picture costs ten times as much as a small one.

    Args:
        answer: the answer.
        width: pixels; the largest whole block is taken that leaves no fewer. Absent: as it is.

    Returns:
        The image uint8 RGB h×w×3, and the labels uint8 h×w.
    """
    block = 1 if width is None else max(1, answer.labels.shape[1] // width)
    if block == 1:
        return answer.image, answer.labels
    image = np.asarray(Image.fromarray(answer.image).reduce(block))
    return image, np.ascontiguousarray(answer.labels[::block, ::block])


def _rgb(picture: Any) -> Array:
    if picture.mode.startswith("I;16"):
        high = np.asarray(picture, dtype=np.uint16) >> 8
        return np.repeat(high.astype(np.uint8)[..., None], 3, axis=2)
    picture.info.pop("transparency", None)  # over which Pillow would warn
    return np.asarray(picture.convert("RGB"))


def _written(picture: Any, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
