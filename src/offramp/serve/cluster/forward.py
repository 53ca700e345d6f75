"""What only one replica can answer, asked of that replica: pictures of a camera, and metrics.

A request for a camera's picture goes to the replica that watches it, with all that the client
sent; that replica decides who may look. `/metrics` is put together from all replicas' pages.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

ONE = re.compile(r"/api/cameras/([^/]+)/(snapshot|overlay|reopen)")
"""What only the replica that watches a camera can do."""

CONNECT_S = 2.0
SILENCE_S = 30.0
"""A replica that sends nothing for so long is left; a stream of pictures ends, and is asked for
again by whoever looks at it."""

HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers"),
    *("transfer-encoding", "upgrade", "content-length", "accept-encoding", "expect"),
    *("date", "server"),
}
"""Headers that concern one connection alone, or that the server outside writes by itself."""


class Forward:
    """Passes on what this replica cannot answer.

    Args:
        app: answers everything else.
        elsewhere: tells the URL of the replica that watches a camera; none if it is this one.
        urls: tells the URL of each replica by name, this one first.
    """

    def __init__(
        self,
        app: ASGIApp,
        elsewhere: Callable[[str], str | None],
        urls: Callable[[], Mapping[str, str]],
    ) -> None:
        self._app = app
        self._elsewhere = elsewhere
        self._urls = urls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] in ("GET", "POST"):
            if (scope["method"], scope["path"]) == ("GET", "/metrics"):
                await (await self._metrics(scope))(scope, receive, send)
                return
            wanted = ONE.fullmatch(scope["path"])
            url = None if wanted is None else self._elsewhere(wanted[1])
            if url is not None:
                await _pass_on(url, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _metrics(self, scope: Scope) -> Response:
        """Ask all replicas; a refusal of the first, this one, is the answer."""
        urls = self._urls()
        pages = await asyncio.gather(*(_page(url, scope) for url in urls.values()))
        first = pages[0]
        if first is not None and first[0] != 200:
            return Response(first[1], first[0], media_type="application/json")
        told = {
            name: page[1].decode()
            for name, page in zip(urls, pages, strict=True)
            if page is not None and page[0] == 200
        }
        registry = CollectorRegistry()
        registry.register(Labelled(told))
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"}
        return Response(generate_latest(registry), headers=headers)


class Labelled(Collector):
    """The metrics of several pages, each with the label `replica`.

    Args:
        pages: in the text format of Prometheus, by replica.
    """

    def __init__(self, pages: Mapping[str, str]) -> None:
        self._pages = pages

    def describe(self) -> Iterable[Metric]:
        """Say nothing in advance."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Give every metric once, with the samples of all replicas."""
        found: dict[str, Metric] = {}
        for replica, page in self._pages.items():
            for metric in text_string_to_metric_families(page):
                known = found.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                for sample in metric.samples:
                    labels = {**sample.labels, "replica": replica}
                    known.samples.append(sample._replace(labels=labels))
        return found.values()


async def _pass_on(url: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as another replica does, until it or the client has enough."""
    begun = False

    async def pump() -> None:
        nonlocal begun
        async with _asked(url, scope) as answer:
            headers = [
                (name.lower(), value)
                for name, value in answer.raw_headers
                if name.decode("latin-1").lower() not in HOP
            ]
            begun = True
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await _first(pump, left)
    except (aiohttp.ClientError, TimeoutError, OSError):
        if not begun:
            said = {"error": "the replica that watches this camera does not answer; it will move"}
            await JSONResponse(said, 503, {"Retry-After": "2"})(scope, receive, send)
            return
    if begun:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _first(*ways: Callable[[], Awaitable[None]]) -> None:
    """Run all until one has ended; raises what that one raises."""
    tasks = [asyncio.ensure_future(way()) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome


async def _page(url: str, scope: Scope) -> tuple[int, bytes] | None:
    """Fetch a page of a replica; none if it does not answer."""
    try:
        async with _asked(url, scope) as answer:
            return answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


@asynccontextmanager
async def _asked(url: str, scope: Scope) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask another replica what this one was asked."""
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name.decode("latin-1").lower() not in HOP | {"accept"}
    ]
    query = scope["query_string"].decode("latin-1")
    target = f"{url}{scope['path']}" + (f"?{query}" if query else "")
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    async with (
        aiohttp.ClientSession(timeout=limits, auto_decompress=False) as session,
        session.request(scope["method"], target, headers=headers, allow_redirects=False) as answer,
    ):
        yield answer
