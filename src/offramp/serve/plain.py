"""Records as what JSON has: objects, lists, texts, numbers."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
from pydantic import BaseModel


def plain(value: Any) -> Any:
    """Turn a record into what JSON has; what it has no word for becomes its text.

    Numbers that JSON cannot write become null; arrays are left to other formats and refused.
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    shows_itself = "__str__" in vars(type(value))  # such as an address: redacted
    if is_dataclass(value) and not isinstance(value, type) and not shows_itself:
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        raise TypeError("an array is no record")
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
