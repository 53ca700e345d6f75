"""The seal of a manifest: from its values to a hash that any change of them breaks.

The seal shows damage; it is no signature, for who changes a manifest can seal it again.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offramp.core.errors import BundleError

SEAL = "seal"
"""The key under which a manifest holds its seal."""

MOST_BYTES = 16_000_000
"""A larger manifest is refused before it is read: real ones have some thousand bytes."""


def seal_of(value: Mapping[str, Any]) -> str:
    """Hash all values but the seal itself; 64 hexadecimal digits.

    The SHA-256 of their canonical JSON: keys sorted, no spaces, UTF-8, numbers as Python writes
    them.

    Raises:
        ValueError: a number is infinite or none, or a text is no Unicode.
    """
    rest = {key: kept for key, kept in value.items() if key != SEAL}
    text = json.dumps(
        rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def read_sealed(file: Path, version: int) -> dict[str, Any]:
    """Read a manifest of format `version` whose seal is whole.

    Raises:
        BundleError: it is no plain file, too large, no JSON object, of another format, or was
            changed after it was sealed.
    """
    value = _read(file)
    if not isinstance(value, dict) or "format" not in value:
        raise BundleError(f"{file} is not the manifest of a bundle")
    found = value["format"]
    if type(found) is not int or found != version:
        raise BundleError(
            f"{file} has a format that this version cannot read",
            expected=str(version),
            got=repr(found)[:40],
            repair="export the bundle again with this version",
        )
    try:
        whole = value.get(SEAL) == seal_of(value)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file} cannot be read as JSON", got=str(error)[:80]) from None
    if not whole:
        raise BundleError(
            f"{file} was changed after it was sealed", repair="copy or export the bundle again"
        )
    return value


def _read(file: Path) -> Any:
    if file.is_symlink() or not file.is_file():
        raise BundleError(f"{file} is not a plain file", repair="copy or export the bundle again")
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BundleError(f"{file} is too large", expected=f"at most {MOST_BYTES} bytes")
        return json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except BundleError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{file} cannot be read as JSON", got=str(error)[:80]) from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"the number {constant}")
