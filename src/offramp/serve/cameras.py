"""Cameras over HTTP: list, add, remove, rest, look."""

import json
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response

from offramp.core.errors import BadInput, UnknownName
from offramp.data.colour import overlay
from offramp.serve.configuration import camera_of
from offramp.serve.inference import body_of, serving
from offramp.serve.pictures import encode_image, encode_mask, shrunk
from offramp.serve.plain import plain
from offramp.serve.refusals import Refused
from offramp.serve.service import Service
from offramp.video.address import Address
from offramp.video.answer import Answer
from offramp.video.camera import CameraSpec

View = Literal["image", "overlay", "mask"]


async def listed(request: Request) -> list[dict[str, Any]]:
    """Tell of every camera: what was asked for, its state, its counters."""
    return [plain(watched) for watched in serving(request).backend.cameras()]


async def told(request: Request, name: str) -> dict[str, Any]:
    """Tell of one camera."""
    return _told(serving(request), name)


async def add(request: Request) -> JSONResponse:
    """Watch one more camera in the network, where the operator allows it."""
    service = serving(request)
    spec = read_camera(await body_of(request), service)
    if any(watched.spec.name == spec.name for watched in service.backend.cameras()):
        raise Refused(409, f"there is a camera '{spec.name}' already")
    await service.work(lambda: service.add(spec))
    return JSONResponse(_told(service, spec.name), status_code=201)


async def remove(request: Request, name: str) -> Response:
    """Watch a camera no longer."""
    service = serving(request)
    await service.work(lambda: service.remove(name))
    return Response(status_code=204)


async def pause(request: Request, name: str) -> dict[str, Any]:
    """Rest a camera: its frames are neither read nor answered."""
    service = serving(request)
    await service.work(lambda: service.backend.pause(name))
    return _told(service, name)


async def resume(request: Request, name: str) -> dict[str, Any]:
    """Go on with a camera."""
    service = serving(request)
    await service.work(lambda: service.backend.resume(name))
    return _told(service, name)


async def reopen(request: Request, name: str) -> dict[str, Any]:
    """Let all exits answer a camera again that were closed when its answers drifted."""
    service = serving(request)
    await service.work(lambda: service.backend.reopen(name))
    return _told(service, name)


async def snapshot(
    request: Request,
    name: str,
    view: Annotated[View, Query(description="What is shown.")] = "image",
    format: Annotated[Literal["jpeg", "png"], Query()] = "jpeg",
    width: Annotated[
        int | None, Query(ge=1, description="Shrink it, to no less than this.")
    ] = None,
) -> Response:
    """Give a camera's last answered picture. A mask is PNG whatever was asked for."""
    service = serving(request)
    answer = service.backend.latest(name)
    if answer is None:
        raise Refused(404, f"no picture of camera '{name}' was answered yet")
    content, kind = await service.work(lambda: drawn(service, answer, view, format.upper(), width))
    headers = {"X-Offramp-Number": str(answer.number), "X-Offramp-Point": answer.point}
    return Response(content, media_type=f"image/{kind.lower()}", headers=headers)


def drawn(
    service: Service, answer: Answer, view: View, kind: str, width: int | None = None
) -> tuple[bytes, str]:
    """Draw an answer, shrunk by a whole number to `width` pixels or somewhat more, if given.

    Returns:
        The picture's bytes, and its format.
    """
    image, labels = shrunk(answer, width)
    if view == "mask":
        return encode_mask(labels, service.palette), "PNG"
    if view == "overlay":
        image = overlay(image, labels, service.palette)
    return encode_image(image, kind), kind


def read_camera(content: bytes, service: Service) -> CameraSpec:
    """Read what camera somebody wants to add; its address must keep to the operator's list.

    Raises:
        BadInput: it is no camera, or its address is not allowed. The message holds no password.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise BadInput("not a camera", expected="a JSON object") from None
    spec = camera_of(value)
    guarded = Address.parse(spec.address.secret, service.configuration.guard)
    return spec.model_copy(update={"address": guarded})


def _told(service: Service, name: str) -> dict[str, Any]:
    for watched in service.backend.cameras():
        if watched.spec.name == name:
            answer: dict[str, Any] = plain(watched)
            return answer
    raise UnknownName("camera", name[:64], [w.spec.name for w in service.backend.cameras()])
