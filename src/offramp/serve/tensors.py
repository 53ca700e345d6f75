"""Requests and answers of the Open Inference Protocol, version 2, with its binary extension.

A body is JSON, or JSON followed by the raw tensors that it announces; the header
`Inference-Header-Content-Length` then tells where the JSON ends. Whoever asks says for each output
whether it shall come as JSON or raw. Nothing here knows of HTTP.
"""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from offramp.core.errors import BadInput, UnknownName
from offramp.data.images import Array

FRAME, LABELS, EXIT, SCORES = "frame", "labels", "exit", "scores"
TYPES = {LABELS: "UINT8", EXIT: "INT64", SCORES: "FP32"}
"""The outputs and their data types, in the order in which they are told."""

_NUMPY = {"UINT8": np.uint8, "INT64": np.int64, "FP32": np.float32}
_RESERVED = ("shared_memory_region", "classification")
"""Parameters of outputs and inputs that ask for what there is not here."""


@dataclass(frozen=True)
class Question:
    """What a request asks.

    Attributes:
        id: given back with the answer; empty where there was none.
        image: uint8 RGB H×W×3.
        outputs: which outputs, and for each whether it comes raw.
        deadline_ms: milliseconds until the answer; none where none was given.
        exit: the exit that shall answer; none: the plan decides.
    """

    id: str
    image: Array
    outputs: dict[str, bool]
    deadline_ms: float | None
    exit: int | None


def read_question(body: bytes, json_bytes: int | None, max_pixels: int, exits: int) -> Question:
    """Read the body of a request.

    Args:
        body: JSON, and what follows it.
        json_bytes: how much of it is JSON; none: all.
        max_pixels: of the frame, at most.
        exits: how many exits the plan has.

    Raises:
        BadInput: it is not a request, or its frame is none.
        UnknownName: it names an input or output that there is not.
    """
    if json_bytes is not None and not 0 <= json_bytes <= len(body):
        raise BadInput("the JSON ends behind the body", got=f"{json_bytes} of {len(body)} bytes")
    request = _json(body[:json_bytes])
    raw = b"" if json_bytes is None else body[json_bytes:]
    parameters = _table(request, "parameters")
    inputs = _list(request, "inputs")
    if len(inputs) != 1:
        raise BadInput("a request has one input", expected=FRAME, got=str(len(inputs)))
    id_ = request.get("id", "")
    if not isinstance(id_, str):
        raise BadInput("'id' is not usable", expected="a text")
    return Question(
        id=id_,
        image=_frame(inputs[0], raw, max_pixels),
        outputs=_outputs(request, parameters),
        deadline_ms=_deadline(parameters),
        exit=_exit(parameters, exits),
    )


def write_answer(
    model: str, question: Question, values: Mapping[str, Any], parameters: Mapping[str, Any]
) -> tuple[bytes, int | None]:
    """Write the body of an answer.

    Args:
        model: its name.
        question: what was asked.
        values: an array for each output of `TYPES`.
        parameters: what is told besides.

    Returns:
        The body, and how much of it is JSON where raw tensors follow.
    """
    told: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name, as_raw in question.outputs.items():
        array = np.ascontiguousarray(values[name], dtype=_NUMPY[TYPES[name]])
        entry: dict[str, Any] = {"name": name, "datatype": TYPES[name], "shape": list(array.shape)}
        if as_raw:
            # The protocol's raw tensors are little-endian, as is every machine this runs on.
            raw.append(array.tobytes())
            entry["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            entry["data"] = array.ravel().tolist()
        told.append(entry)
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": told}
    answer["parameters"] = dict(parameters)
    if question.id:
        answer["id"] = question.id
    header = json.dumps(answer, separators=(",", ":")).encode()
    return header + b"".join(raw), len(header) if raw else None


def unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Unpack a body that was sent compressed.

    Args:
        body: as it came.
        encoding: what `Content-Encoding` says; empty: as it is.
        max_bytes: of the result, at most.

    Raises:
        BadInput: the encoding is not known, the body is damaged, or would be too large.
    """
    windows = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
    if encoding in ("", "identity"):
        return body
    if encoding not in windows:
        raise BadInput("the encoding of the body", expected="gzip or deflate", got=encoding[:20])
    unpacker = zlib.decompressobj(windows[encoding])
    try:
        content = unpacker.decompress(body, max_bytes)
    except zlib.error:
        raise BadInput(f"the body is not {encoding}") from None
    if unpacker.unconsumed_tail:
        raise BadInput("the unpacked body is too large", expected=f"at most {max_bytes} bytes")
    if not unpacker.eof:
        raise BadInput(f"the body is cut off in its {encoding}")
    return content


def _json(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise BadInput("the request is not JSON") from None
    if not isinstance(value, dict):
        raise BadInput("the request is not usable", expected="a JSON object")
    return value


def _table(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = value.get(key, {})
    if not isinstance(table, dict):
        raise BadInput(f"'{key}' is not usable", expected="a JSON object")
    return table


def _list(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = value.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadInput(f"'{key}' is not usable", expected="a list of JSON objects")
    for entry in entries:
        taken = [name for name in _RESERVED if name in _table(entry, "parameters")]
        if taken:
            raise BadInput(f"'{taken[0]}' is not supported", repair="leave it out")
    return entries


def _frame(entry: dict[str, Any], raw: bytes, max_pixels: int) -> Array:
    """Take the frame from its entry, or from the bytes behind the JSON; H×W×3."""
    if entry.get("name") != FRAME:
        raise UnknownName("input", str(entry.get("name"))[:64], [FRAME])
    if entry.get("datatype") != "UINT8":
        raise BadInput("the data type of the frame", expected="UINT8")
    shape = entry.get("shape")
    sides = isinstance(shape, list) and all(type(side) is int and side > 0 for side in shape)
    if isinstance(shape, list) and len(shape) == 4 and shape[0] == 1:
        shape = shape[1:]
    if not (sides and isinstance(shape, list) and len(shape) == 3 and shape[2] == 3):
        raise BadInput("the shape of the frame", expected="[H, W, 3] or [1, H, W, 3]")
    if shape[0] * shape[1] > max_pixels:
        raise BadInput("the frame is too large", expected=f"at most {max_pixels:,} pixels")
    size = _table(entry, "parameters").get("binary_data_size")
    if size is None:
        return _from_list(entry.get("data"), shape)
    if size != math.prod(shape) or size != len(raw):
        raise BadInput(
            "the bytes of the frame", expected=f"{math.prod(shape)} as its shape says",
            got=f"{len(raw)}, announced as {str(size)[:20]}",
        )  # fmt: skip
    return np.frombuffer(raw, dtype=np.uint8).reshape(shape)


def _from_list(data: Any, shape: list[int]) -> Array:
    fault = BadInput("the data of the frame", expected=f"{math.prod(shape)} numbers from 0 to 255")
    if not isinstance(data, list):
        raise fault
    try:
        values = np.asarray(data)
    except (ValueError, RecursionError):  # lists of different lengths
        raise fault from None
    if values.dtype.kind not in "iu" or values.size != math.prod(shape):
        raise fault
    if values.min() < 0 or values.max() > 255:
        raise fault
    return values.astype(np.uint8).reshape(shape)


def _outputs(request: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, bool]:
    default = parameters.get("binary_data_output", False) is True
    outputs: dict[str, bool] = {}
    for entry in _list(request, "outputs"):
        name = entry.get("name")
        if name not in TYPES:
            raise UnknownName("output", str(name)[:64], TYPES)
        outputs[str(name)] = _table(entry, "parameters").get("binary_data", default) is True
    return outputs or dict.fromkeys(TYPES, default)


def _deadline(parameters: Mapping[str, Any]) -> float | None:
    """Read `deadline_ms`, or `timeout`, which clients give in microseconds."""
    value = parameters.get("deadline_ms")
    if value is None and "timeout" in parameters:
        timeout = parameters["timeout"]
        value = timeout / 1000 if type(timeout) in (int, float) else timeout
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise BadInput("the deadline", expected="milliseconds above 0")
    return float(value)


def _exit(parameters: Mapping[str, Any], exits: int) -> int | None:
    value = parameters.get("exit")
    if value is not None and (type(value) is not int or not 0 <= value < exits):
        raise BadInput("the exit", expected=f"a whole number from 0 to {exits - 1}")
    return value
