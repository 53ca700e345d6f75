"""What stands before every request: whose host was meant, how large and how slow a body may be.

Pure ASGI, below any parsing; also puts the headers on every answer that tell browsers to be strict.
"""

import asyncio
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offramp.serve.configuration import LOOPBACK
from offramp.serve.refusals import Refused

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Gate:
    """Lets through what may be looked at.

    Args:
        app: what it guards.
        body_bytes: of a request, at most.
        seconds: until all of a body must have come.
        local_only: refuse requests that were meant for another host than this machine: a page
            whose name was pointed at 127.0.0.1 must not reach a server that asks for no token.
    """

    def __init__(self, app: ASGIApp, *, body_bytes: int, seconds: float, local_only: bool) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._seconds = seconds
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def strict(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        refused = self._refused(headers)
        if refused is not None and scope["type"] == "http":
            said = JSONResponse(
                {"error": refused.detail}, refused.status_code, headers=refused.headers
            )
            await said(scope, receive, strict)
        elif refused is not None:
            await send({"type": "websocket.close", "code": 1008, "reason": str(refused.detail)})
        elif scope["type"] == "http":
            await self._app(scope, self._bounded(receive), strict)
        else:
            await self._app(scope, receive, strict)

    def _refused(self, headers: Headers) -> Refused | None:
        if self._local_only and host_of(headers.get("host", "")) not in LOOPBACK:
            return Refused(421, "this server answers to localhost alone while it has no tokens")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return Refused(400, "the length of the body is no number")
        if int(length) > self._body_bytes:
            return self._too_large()
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """Count what comes, and give up where it is too much or takes too long."""
        until = time.monotonic() + self._seconds
        total = 0
        done = False

        async def bounded() -> Message:
            nonlocal total, done
            if done:  # what comes now is only that the client went away: that may take long
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), until - time.monotonic())
            except TimeoutError:
                raise Refused(408, f"the body took longer than {self._seconds:g} s") from None
            total += len(message.get("body", b""))
            if total > self._body_bytes:
                raise self._too_large()
            done = not message.get("more_body", False)
            return message

        return bounded

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is too large; expected at most {self._body_bytes} bytes")


def host_of(host: str) -> str:
    """Take the port off what a `Host` header says."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
