"""The Semantic Boundaries Dataset as released: the masks of PASCAL's photographs in MATLAB files.

    benchmark_RELEASE/dataset/cls/NAME.mat          struct GTcls, field Segmentation: uint8 H×W
    benchmark_RELEASE/dataset/{train,val}.txt       one name a line; not PASCAL's division

0 is background, 1 to 20 are VOC's classes in VOC's order; nothing is void. The photographs are
those of `JPEGImages` of VOC 2012, so the copies in `img/` are not needed.
"""

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from offramp.core.errors import DataFault, MissingExtra
from offramp.data.readers.reader import Array, read_text, translate

RELEASE = "benchmark_RELEASE"
LABELS = {label: label for label in range(21)}
_HEADER, _PACKED = 128, 15


def find_sbd(folders: Iterable[Path]) -> Path | None:
    """Find the folder that holds `cls` in one of `folders`, or in its usual place below."""
    for folder in folders:
        for place in (folder, folder / "dataset", folder / RELEASE / "dataset", folder / RELEASE):
            if (place / "cls").is_dir():
                return place
    return None


def sbd_names(folder: Path) -> set[str]:
    """List the names of all images of SBD, its train and its val.

    Raises:
        DataFault: a list is missing.
    """
    lists = [read_text(folder / f"{split}.txt") for split in ("train", "val")]
    return {name for text in lists for name in text.split()}


def read_sbd(file: Path) -> Array:
    """Read the classes of a MATLAB file of SBD; uint8 H×W.

    Raises:
        DataFault: it is absent, damaged, not of this form, or holds another label than 0 to 20.
        MissingExtra: SciPy is not installed.
    """
    loadmat = _load_scipy()
    try:
        content = file.read_bytes()
    except OSError:
        raise DataFault(f"{file}: the file does not exist") from None
    if not content:
        raise DataFault(f"{file}: the file is empty")
    try:
        _unpack_all(content)
        found = loadmat(BytesIO(content), variable_names=["GTcls"]).get("GTcls")
    except Exception as error:  # SciPy answers damage with whatever its parts happen to raise
        raise DataFault(f"{file}: cannot be read as a MATLAB file", got=str(error)) from None
    fields = getattr(getattr(found, "dtype", None), "names", None) or ()
    if "Segmentation" in fields and found.size == 1:
        mask = found["Segmentation"].item()
        if isinstance(mask, np.ndarray) and mask.dtype == np.uint8 and mask.ndim == 2:
            return translate(mask, LABELS, file)
    raise DataFault(
        f"{file}: not a mask of SBD", expected="a struct GTcls with Segmentation, uint8 H×W"
    )


def _unpack_all(content: bytes) -> None:
    """Unpack every packed element, for its checksum: SciPy does not look at it."""
    order = ">" if content[_HEADER - 2 : _HEADER] == b"MI" else "<"
    place = _HEADER
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        place += 8
        if kind == _PACKED:
            zlib.decompress(content[place : place + size])
        place += size


def _load_scipy() -> Any:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise MissingExtra("SciPy", "train", "reading SBD's MATLAB files") from None
    return loadmat
