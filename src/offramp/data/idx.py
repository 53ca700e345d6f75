"""IDX files, as MNIST comes in: many small pictures, or their labels, in one file.

Two zero bytes, the type (8: unsigned byte), the number of dimensions; each dimension as four
bytes, the highest first; then the values. Gzipped or not.

A path below such a file names one of its entries: `train-images-idx3-ubyte.gz/00017`.
"""

import gzip
import re
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import DataFault

Array = NDArray[np.uint8]

_NAME = re.compile(r"[-.]idx\d-ubyte(\.gz)?$")


def is_entry(path: Path) -> bool:
    """Say whether a path names an entry of an IDX file."""
    return _NAME.search(path.parent.name) is not None and path.name.isdigit()


def read_entry(path: Path) -> Array:
    """Read the entry that `path` names; a picture H×W, or a label of shape ().

    Raises:
        DataFault: the file is faulty, or has no such entry.
    """
    values = read_idx(path.parent)
    number = int(path.name)
    if number >= len(values):
        raise DataFault(f"{path}: there is no such entry", expected=f"a number below {len(values)}")
    return np.asarray(values[number])


def read_idx(file: Path) -> Array:
    """Read a whole IDX file of unsigned bytes; it stays in memory.

    Raises:
        DataFault: the file is absent, truncated, or no IDX file of bytes.
    """
    try:
        changed = file.stat()
    except OSError:
        raise DataFault(f"{file}: the file does not exist") from None
    return _read(file, changed.st_mtime_ns, changed.st_size)


@lru_cache(maxsize=8)
def _read(file: Path, changed: int, size: int) -> Array:
    """Read the file of that date and size."""
    del changed, size
    try:
        content = file.read_bytes()
        if file.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFault(f"{file}: cannot be read", got=str(error)) from None
    if not content:
        raise DataFault(f"{file}: the file is empty")
    dimensions = content[3] if len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if content[:3] != b"\0\0\x08" or not dimensions or len(content) < start:
        raise DataFault(
            f"{file}: not an IDX file of bytes",
            expected="a head of 00 00 08 and the number of dimensions",
            got=content[:4].hex(" "),
        )
    shape = tuple(int(side) for side in np.frombuffer(content, ">u4", dimensions, 4))
    values = np.frombuffer(content, np.uint8, offset=start)
    expected = int(np.prod(shape, dtype=object))
    if values.size != expected:
        raise DataFault(
            f"{file}: the file is not whole",
            expected=f"{expected} values",
            got=f"{values.size}",
            repair="download it again",
        )
    return values.reshape(shape)
