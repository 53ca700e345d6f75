"""Every path of the API with who may ask for it: one table, so that none is open by oversight."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from offramp.serve import cameras, metrics, pages, protocol, segmentation, streams
from offramp.serve.inference import serving
from offramp.serve.tokens import Role
from offramp.video.camera import CameraSpec


@dataclass(frozen=True)
class Way:
    """One way to ask for something.

    Attributes:
        method: of HTTP; "WEBSOCKET" for a WebSocket.
        path: with parameters in braces.
        role: who may.
        endpoint: answers it.
        body: the body as OpenAPI describes it: by content type, the schema.
        gives: the content type of the answer.
        status: of the answer when all is well.
    """

    method: str
    path: str
    role: Role
    endpoint: Callable[..., Awaitable[Any]]
    body: dict[str, dict[str, Any]] = field(default_factory=dict)
    gives: str = "application/json"
    status: int = 200


_BYTES = {"type": "string", "format": "binary"}
_PICTURE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("image/png", "image/jpeg", "image/webp", "image/bmp"), _BYTES),
    "multipart/form-data": {"type": "object", "properties": {"file": _BYTES}, "required": ["file"]},
}
_LOGIN = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}
_TENSOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "enum": ["frame"]},
        "datatype": {"type": "string", "enum": ["UINT8"]},
        "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 4},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
    "required": ["name", "datatype", "shape"],
}
_OUTPUT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "enum": ["labels", "exit", "scores"]},
        "parameters": {"type": "object"},
    },
    "required": ["name"],
}
_INFER = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": _OUTPUT},
        "parameters": {"type": "object"},
    },
    "required": ["inputs"],
}
_JSON, _IMAGE, _EVENTS = "application/json", "image/*", "text/event-stream"
_MODEL, _VERSION = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
_CAMERA = "/api/cameras/{name}"

WAYS: tuple[Way, ...] = (
    Way("GET", "/health/live", "anyone", pages.health_live),
    Way("GET", "/health/ready", "anyone", pages.health_ready),
    Way("GET", "/v2/health/live", "anyone", protocol.live),
    Way("GET", "/v2/health/ready", "anyone", protocol.ready),
    Way("GET", "/v2", "viewer", protocol.server),
    Way("POST", "/v2/repository/index", "viewer", protocol.index),
    Way("POST", "/v2/repository/models/{name}/load", "admin", protocol.repository),
    Way("POST", "/v2/repository/models/{name}/unload", "admin", protocol.repository),
    Way("GET", _MODEL, "viewer", protocol.model),
    Way("GET", _VERSION, "viewer", protocol.model),
    Way("GET", f"{_MODEL}/ready", "viewer", protocol.model_ready),
    Way("GET", f"{_VERSION}/ready", "viewer", protocol.model_ready),
    Way("GET", f"{_MODEL}/config", "viewer", protocol.config),
    Way("GET", f"{_VERSION}/config", "viewer", protocol.config),
    Way("POST", f"{_MODEL}/infer", "operator", protocol.infer, {_JSON: _INFER}),
    Way("POST", f"{_VERSION}/infer", "operator", protocol.infer, {_JSON: _INFER}),
    Way("POST", "/api/segment", "operator", segmentation.segment, _PICTURE, _IMAGE),
    Way("GET", "/api/cameras", "viewer", cameras.listed),
    Way(
        "POST",
        "/api/cameras",
        "admin",
        cameras.add,
        {_JSON: CameraSpec.model_json_schema()},
        status=201,
    ),
    Way("GET", _CAMERA, "viewer", cameras.told),
    Way("DELETE", _CAMERA, "admin", cameras.remove, status=204),
    Way("POST", f"{_CAMERA}/pause", "operator", cameras.pause),
    Way("POST", f"{_CAMERA}/resume", "operator", cameras.resume),
    Way("POST", f"{_CAMERA}/reopen", "operator", cameras.reopen),
    Way("GET", f"{_CAMERA}/snapshot", "viewer", cameras.snapshot, gives=_IMAGE),
    Way("GET", f"{_CAMERA}/overlay", "viewer", streams.pictures, gives="multipart/x-mixed-replace"),
    Way("GET", "/api/events", "viewer", streams.events, gives=_EVENTS),
    Way("WEBSOCKET", "/api/events/ws", "viewer", streams.socket),
    Way("GET", "/api/status", "viewer", pages.status),
    Way("GET", "/api/me", "anyone", pages.me),
    Way("POST", "/api/login", "anyone", pages.log_in, {_JSON: _LOGIN}),
    Way("POST", "/api/logout", "anyone", pages.log_out, status=204),
    Way("POST", "/api/reload", "admin", pages.reload),
    Way("GET", "/metrics", "viewer", metrics.metrics, gives="text/plain"),
    Way("GET", "/openapi.json", "viewer", pages.openapi),
    Way("GET", "/docs", "viewer", pages.listing, gives="text/html"),
)

REFUSALS = {
    400: "What was sent cannot be used.",
    401: "A token is needed, or is not known.",
    403: "The role does not allow it, or another site's page asks.",
    404: "There is none of this name.",
    408: "The body took too long.",
    409: "There is one of this name already.",
    413: "The body is too large.",
    422: "A parameter cannot be used.",
    429: "Too much is asked at a time; `Retry-After` tells when to try again.",
    503: "Not ready, or the work was given up.",
    504: "The deadline passed before there was an answer.",
}


class Needs:
    """Lets a request through if who asks may do what a role may; before its body is read.

    Args:
        role: which.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, connection: HTTPConnection) -> None:
        """Check one request.

        Raises:
            Refused: that one may not.
        """
        serving(connection).access.require(connection, self.role)


def add_ways(app: FastAPI) -> None:
    """Add every way of the table to an application."""
    for way in WAYS:
        needs = [Depends(Needs(way.role))]
        if way.method == "WEBSOCKET":
            app.add_api_websocket_route(way.path, way.endpoint, dependencies=needs)
            continue
        app.add_api_route(
            way.path,
            way.endpoint,
            methods=[way.method],
            dependencies=needs,
            response_model=None,
            status_code=way.status,
            responses=_responses(way),
            operation_id=f"{way.method.lower()}{way.path}",
            openapi_extra=_extra(way),
        )


def _extra(way: Way) -> dict[str, Any]:
    extra: dict[str, Any] = {"x-role": way.role}
    if way.role != "anyone":
        extra["security"] = [{"token": []}]
    if way.body:
        content = {kind: {"schema": schema} for kind, schema in way.body.items()}
        extra["requestBody"] = {"required": True, "content": content}
    return extra


def _responses(way: Way) -> dict[int | str, dict[str, Any]]:
    """Describe the answers; an error is always `{"error": text}`."""
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    told: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {_JSON: {"schema": error}}}
        for status, text in REFUSALS.items()
    }
    told[way.status] = {"description": "Done."}
    if way.status != 204:
        told[way.status]["content"] = {way.gives: {}}
    return told
