"""The Open Inference Protocol, version 2: health, metadata and inference."""

from typing import Any

import numpy as np
from fastapi import Request
from fastapi.responses import JSONResponse, Response

import offramp
from offramp.core.errors import BadInput, UnknownName
from offramp.serve.inference import answered, body_of, serving
from offramp.serve.refusals import Refused
from offramp.serve.tensors import (
    EXIT,
    FRAME,
    LABELS,
    SCORES,
    TYPES,
    Question,
    read_question,
    unpacked,
    write_answer,
)
from offramp.video.answer import Answer

HEADER = "Inference-Header-Content-Length"
VERSION = "1"
SHAPES = {LABELS: [-1, -1], EXIT: [1], SCORES: [-1, -1]}


async def live() -> Response:
    """Tell that the server is alive."""
    return Response(status_code=200)


async def ready(request: Request) -> Response:
    """Tell whether requests are answered."""
    return Response(status_code=200 if serving(request).ready else 503)


async def server(request: Request) -> dict[str, Any]:
    """Tell which server this is, and which extensions of the protocol it has."""
    return {
        "name": "offramp",
        "version": offramp.__version__,
        "extensions": ["binary_tensor_data", "model_configuration", "model_repository"],
    }


async def index(request: Request) -> list[dict[str, str]]:
    """List the models: one."""
    name = serving(request).configuration.model
    return [{"name": name, "version": VERSION, "state": "READY", "reason": ""}]


async def model(request: Request, name: str, version: str = VERSION) -> dict[str, Any]:
    """Tell what a model takes and gives."""
    _check(request, name, version)
    return {
        "name": name,
        "versions": [VERSION],
        "platform": "offramp",
        "inputs": [{"name": FRAME, "datatype": "UINT8", "shape": [-1, -1, 3]}],
        "outputs": [
            {"name": output, "datatype": TYPES[output], "shape": SHAPES[output]} for output in TYPES
        ],
    }


async def model_ready(request: Request, name: str, version: str = VERSION) -> Response:
    """Tell whether a model answers."""
    _check(request, name, version)
    return await ready(request)


async def config(request: Request, name: str, version: str = VERSION) -> dict[str, Any]:
    """Tell a model's configuration, in the words of Triton's clients."""
    _check(request, name, version)
    outputs = [
        {"name": output, "data_type": f"TYPE_{TYPES[output]}", "dims": SHAPES[output]}
        for output in TYPES
    ]
    return {
        "name": name,
        "platform": "offramp",
        "backend": "offramp",
        "max_batch_size": 0,
        "input": [{"name": FRAME, "data_type": "TYPE_UINT8", "dims": [-1, -1, 3]}],
        "output": outputs,
    }


async def infer(request: Request, name: str, version: str = VERSION) -> Response:
    """Answer one frame.

    Input `frame`: UINT8 [H, W, 3] or [1, H, W, 3]. Outputs `labels` UINT8 [H, W], `exit` INT64
    [1], `scores` FP32 [exits that were read, scores]. Parameters `deadline_ms` and `exit`.
    """
    _check(request, name, version)
    service = serving(request)
    length = request.headers.get(HEADER)
    if length is not None and not (length.isascii() and length.isdigit()):
        raise BadInput(f"{HEADER} is not usable", expected="a number of bytes")
    with service.images.one():
        body = await body_of(request)

        def question() -> Question:
            encoding = request.headers.get("content-encoding", "").lower()
            content = unpacked(body, encoding, service.max_bytes)
            json_bytes = None if length is None else int(length)
            return read_question(content, json_bytes, service.max_pixels, len(service.points))

        asked = await service.work(question)
        answer = await service.work(
            lambda: answered(service, asked.image, asked.deadline_ms, asked.exit)
        )
        content, json_bytes = await service.work(
            lambda: write_answer(name, asked, _values(answer), _parameters(answer))
        )
    if json_bytes is None:
        return Response(content, media_type="application/json")
    headers = {HEADER: str(json_bytes)}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def repository(request: Request, name: str) -> JSONResponse:
    """Refuse to load or unload: what is served is the operator's choice."""
    _check(request, name, VERSION)
    raise Refused(403, "models are loaded and unloaded by the operator, not over HTTP")


def _check(request: Request, name: str, version: str) -> None:
    known = serving(request).configuration.model
    if name != known:
        raise UnknownName("model", name[:64], [known])
    if version != VERSION:
        raise UnknownName("version", version[:64], [VERSION])


def _values(answer: Answer) -> dict[str, Any]:
    return {
        LABELS: answer.labels,
        EXIT: np.array([answer.exit]),
        SCORES: np.array(answer.scores, dtype=np.float32).reshape(len(answer.scores), -1),
    }


def _parameters(answer: Answer) -> dict[str, Any]:
    return {
        "point": answer.point,
        "latency_ms": answer.latency_ms,
        "involuntary": answer.involuntary,
        "late": answer.late,
    }
