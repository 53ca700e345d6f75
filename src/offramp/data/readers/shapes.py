"""Draw labels: polygons and run lengths become a mask.

Both as pycocotools reads them, pixel by pixel. Several polygons of one shape are united. Holes
need run lengths.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import DataFault
from offramp.data.readers.polygon import inside
from offramp.data.readers.reader import IGNORE, Array, Size

Overlap = Literal["last", "ignore"]
Region = NDArray[np.bool_]

MOST = 1e5
"""Corners farther out than this, in pixels, are no corners."""


def fill(size: Size, polygons: Sequence[Sequence[float]], where: str) -> Region:
    """Fill polygons; bool H×W.

    A polygon that holds no pixel's centre, such as a line, is empty.

    Args:
        size: height and width in pixels.
        polygons: each as x, y, x, y and so on, in pixels from the image's corner.
        where: file and entry, for messages.

    Raises:
        DataFault: a polygon has fewer than three corners, or what is no number.
    """
    region = np.zeros(size, dtype=bool)
    for polygon in polygons:
        try:
            points = np.asarray(polygon, dtype=np.float64)
        except (TypeError, ValueError):
            points = np.array(np.nan)
        if points.ndim != 1 or len(points) % 2 or not (np.abs(points) < MOST).all():
            raise DataFault(f"{where}: not a polygon", expected="numbers x, y, x, y, …")
        if len(points) < 6:
            raise DataFault(
                f"{where}: not a polygon",
                expected="three corners or more",
                got=f"{len(points) // 2}",
                repair="boxes and points are no masks: draw outlines",
            )
        region |= inside(points.reshape(-1, 2), size)
    return region


def paint(
    size: Size, shapes: Iterable[tuple[int, Region]], background: int, overlap: Overlap
) -> Array:
    """Lay shapes of labels over each other; uint8 H×W.

    Args:
        size: height and width in pixels.
        shapes: label and region of each, in the order of the file.
        background: label where there is no shape.
        overlap: `last`: the later of two shapes wins; `ignore`: where two overlap, even of one
            class, the label is 255.
    """
    labels = np.full(size, background, dtype=np.uint8)
    covered = np.zeros(size, dtype=bool)
    twice = np.zeros(size, dtype=bool)
    for label, region in shapes:
        labels[region] = label
        twice |= covered & region
        covered |= region
    if overlap == "ignore":
        labels[twice] = IGNORE
    return labels


def unpack(code: Any, size: Size, where: str) -> Region:
    """Decode COCO's run lengths; bool H×W.

    Runs go down the columns, the first over pixels outside. They are a list of numbers, or text:
    five bits a character, the sixth says that more follow, the differences to the run before
    last from the fourth run on.

    Args:
        code: `{"counts": …, "size": [H, W]}`.
        size: the image's height and width.
        where: file and entry, for messages.

    Raises:
        DataFault: they are damaged, or of another size.
    """
    if not isinstance(code, dict) or not isinstance(code.get("counts"), str | list):
        raise DataFault(f"{where}: not run lengths", expected="'counts' and 'size'")
    if code.get("size") != list(size):
        raise DataFault(
            f"{where}: run lengths of another size",
            expected=f"{list(size)}",
            got=f"{code.get('size')}",
        )
    counts = code["counts"]
    try:
        runs = np.array(_numbers(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    except (IndexError, TypeError, ValueError, OverflowError):
        raise DataFault(f"{where}: run lengths are damaged") from None
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise DataFault(
            f"{where}: run lengths do not fill the image",
            expected=f"{size[0] * size[1]} pixels",
            got=f"{int(runs.sum())}",
        )
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size[::-1]).T


def _numbers(text: str) -> list[int]:
    """Decode the text form of run lengths, as `rleFrString` of pycocotools does."""
    numbers: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[place]) - 48
            if not 0 <= code < 64:
                raise ValueError(text[place])
            value |= (code & 31) << shift
            shift += 5
            place += 1
            more = bool(code & 32)
        if code & 16:
            value -= 1 << shift
        numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
    return numbers


def with_background(classes: Sequence[str], background: str) -> tuple[tuple[str, ...], int]:
    """Say which classes there are when pixels outside all shapes have a label too.

    Returns:
        The class names, and the label outside: 255 where `background` is "ignore", that of the
        class of this name if there is one, or else 0, a class before all others.
    """
    if background == "ignore":
        return tuple(classes), IGNORE
    if background in classes:
        return tuple(classes), list(classes).index(background)
    return (background, *classes), 0
