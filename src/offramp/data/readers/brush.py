"""What a brush of Label Studio painted: its packed bits become a region.

The bytes are a stream of bits, the highest of a byte first: the number of values in 32 bits, the
width of a value less one in 5, four widths of lengths less one in 4 each. Then blocks: one bit
says whether a value repeats, two bits which width the length has, then the length less one; then
one value that repeats, or as many values as the length says. The values are the picture's RGBA,
row by row; painted is what is not transparent. As `decode_rle` of label-studio-converter has it.
"""

from typing import Any

import numpy as np

from offramp.core.errors import DataFault
from offramp.data.readers.reader import Size
from offramp.data.readers.shapes import Region


def decode_brush(code: Any, size: Size, where: str) -> Region:
    """Decode a brush; bool H×W.

    Args:
        code: the bytes, as numbers from 0 to 255.
        size: height and width of the image.
        where: file and entry, for messages.

    Raises:
        DataFault: the bytes are damaged, or of another size.
    """
    if not isinstance(code, list) or not all(
        isinstance(byte, int) and 0 <= byte <= 255 for byte in code
    ):
        raise DataFault(f"{where}: not a brush", expected="'rle' with numbers from 0 to 255")
    bits = _Bits(bytes(code))
    try:
        count = bits.read(32)
        if count != 4 * size[0] * size[1]:
            raise DataFault(
                f"{where}: a brush of another size",
                expected=f"{4 * size[0] * size[1]} values",
                got=f"{count}",
            )
        width = bits.read(5) + 1
        lengths = [bits.read(4) + 1 for _ in range(4)]
        values = np.zeros(count, dtype=np.int64)
        place = 0
        while place < count:
            repeats = bits.read(1)
            length = bits.read(lengths[bits.read(2)]) + 1
            if repeats:
                values[place : place + length] = bits.read(width)
            else:
                block = bits.read_many(length, width)
                values[place : place + length] = block[: count - place]
            place += length
    except EOFError:
        raise DataFault(f"{where}: a brush is cut short") from None
    return np.asarray(values.reshape(*size, 4)[..., 3] > 0)


class _Bits:
    """A stream of bits, the highest of a byte first."""

    def __init__(self, content: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(content, np.uint8))
        self._text = self._bits.tobytes().translate(bytes.maketrans(b"\0\1", b"01"))
        self._place = 0

    def read(self, width: int) -> int:
        """Read one number."""
        start = self._advance(width)
        return int(self._text[start : start + width], 2)

    def read_many(self, count: int, width: int) -> np.ndarray:
        """Read `count` numbers of equal width."""
        start = self._advance(count * width)
        powers = 1 << np.arange(width - 1, -1, -1, dtype=np.int64)
        block = self._bits[start : start + count * width].reshape(count, width)
        return np.asarray(block @ powers)

    def _advance(self, width: int) -> int:
        start = self._place
        if start + width > len(self._text):
            raise EOFError
        self._place += width
        return start
