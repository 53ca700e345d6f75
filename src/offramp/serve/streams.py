"""What goes on until somebody leaves: pictures of a camera, and events as SSE or WebSocket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import Query, Request, WebSocket
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from offramp.core.errors import UnknownName
from offramp.serve.cameras import drawn
from offramp.serve.inference import serving
from offramp.serve.plain import plain
from offramp.serve.service import Service
from offramp.serve.slots import Slots
from offramp.video.address import redact
from offramp.video.events import Event, Subscription

BOUNDARY = "picture"
SILENCE_S = 15.0
"""After so long without an event, a comment shows that the connection is alive."""


class Stream(StreamingResponse):
    """A response without an end, which takes one of the server's places for streams."""

    def __init__(self, content: AsyncIterator[bytes], media_type: str, slots: Slots) -> None:
        super().__init__(content, media_type=media_type)
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, if a place is free."""
        with self._slots.one():
            await super().__call__(scope, receive, send)


async def pictures(
    request: Request,
    name: str,
    fps: Annotated[float, Query(gt=0, le=60, description="Pictures a second, at most.")] = 5.0,
    width: Annotated[int | None, Query(ge=1, description="Shrink them to no less.")] = None,
) -> Response:
    """Stream a camera's answers, drawn over its pictures, as MJPEG.

    Ends when the camera is removed or the server stops.
    """
    service = serving(request)
    service.backend.latest(name)  # refuses a camera that there is not
    interval = 1 / min(fps, service.configuration.limits.stream_fps)
    kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    return Stream(_pictures(service, name, interval, width), kind, service.streams)


async def events(
    request: Request,
    camera: Annotated[str | None, Query(max_length=64, description="Of this alone.")] = None,
) -> Response:
    """Stream events as they happen (Server-Sent Events): `answer`, `state`, `level`, `alarm`."""
    service = serving(request)
    return Stream(_events(service, camera), "text/event-stream", service.streams)


async def socket(websocket: WebSocket) -> None:
    """Stream events over a WebSocket, each a JSON object with `kind`, `camera` and `payload`."""
    service = serving(websocket)
    camera = websocket.query_params.get("camera")
    with service.streams.one():
        await websocket.accept()
        gone = asyncio.ensure_future(_gone(websocket))
        subscription = service.subscribe()
        # Closing the subscription wakes the thread that waits in it.
        gone.add_done_callback(lambda _: subscription.close())
        try:
            async for event in _listened(service, subscription):
                if event is not None and camera in (None, event.camera):
                    await websocket.send_text(_text(event, whole=True))
            if not gone.done():
                await websocket.close(1001)
        except (WebSocketDisconnect, RuntimeError):  # it left while something was being sent
            pass
        finally:
            gone.cancel()
            service.unsubscribe(subscription)


async def _pictures(
    service: Service, name: str, interval: float, width: int | None
) -> AsyncIterator[bytes]:
    last = None
    while not service.closing.is_set():
        try:
            answer = service.backend.latest(name)
        except UnknownName:
            return
        if answer is not None and answer.number != last:
            last = answer.number
            draw = partial(drawn, service, answer, "overlay", "JPEG", width)
            picture, _ = await service.work(draw)
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}"
            yield head.encode() + b"\r\n\r\n" + picture + b"\r\n"
        await _wait(service.closing, interval)


async def _events(service: Service, camera: str | None) -> AsyncIterator[bytes]:
    subscription = service.subscribe()
    try:
        yield b": events follow\n\n"
        async for event in _listened(service, subscription):
            if event is None:
                yield b": nothing new\n\n"
            elif camera in (None, event.camera):
                yield f"event: {event.kind}\ndata: {_text(event, whole=False)}\n\n".encode()
    finally:
        service.unsubscribe(subscription)


async def _listened(service: Service, subscription: Subscription) -> AsyncIterator[Event | None]:
    """Yield events until the subscription is closed; none after a long silence."""
    while not (service.closing.is_set() or subscription.closed):
        event = await service.listen(lambda: subscription.get(SILENCE_S))
        yield event
        while event is not None:  # what else waits needs no other thread
            event = subscription.get(0)
            if event is not None:
                yield event


async def _gone(websocket: WebSocket) -> None:
    """Wait until the other side leaves; what it sends is of no interest."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for some time, or until the event is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _text(event: Event, whole: bool) -> str:
    told = {"camera": event.camera, **dict(event.payload)}
    if whole:
        told = {"kind": event.kind, "camera": event.camera, "payload": dict(event.payload)}
    return redact(json.dumps(plain(told), separators=(",", ":")))
