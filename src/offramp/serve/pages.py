"""The server's state, logging in and out, reloading, and the list of what the API offers."""

import json
from html import escape
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

import offramp
from offramp.core.errors import BadInput
from offramp.serve.inference import body_of, serving
from offramp.serve.logins import COOKIE, LASTS_S
from offramp.serve.plain import plain
from offramp.serve.refusals import Refused


async def status(request: Request) -> dict[str, Any]:
    """Tell what is served, and every counter."""
    service = serving(request)
    return {
        "version": offramp.__version__,
        "model": service.configuration.model,
        "network": service.model.name,
        "size": list(service.model.size),
        "points": list(service.points),
        "classes": [
            {"name": name, "colour": list(colour)}
            for name, colour in zip(service.model.names, service.palette, strict=False)
        ],
        "ready": service.ready,
        "statistics": plain(service.backend.statistics()),
    }


async def me(request: Request) -> dict[str, Any]:
    """Tell who asks, and whether a token is needed here at all."""
    service = serving(request)
    identity = service.access.identify(request)
    return {
        "name": identity.name,
        "role": identity.role,
        "tokens": bool(service.access.tokens),
    }


async def log_in(request: Request) -> Response:
    """Exchange a token, `{"token": text}`, for a cookie that this site's pages send along."""
    service = serving(request)
    try:
        secret = json.loads(await body_of(request))["token"]
    except (ValueError, LookupError, TypeError, RecursionError):
        secret = None
    if not isinstance(secret, str):
        raise BadInput("not a login", expected='{"token": text}')
    identity, cookie = service.access.log_in(request, secret)
    response = JSONResponse({"name": identity.name, "role": identity.role})
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LASTS_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


async def log_out(request: Request) -> Response:
    """End the login of this browser."""
    serving(request).access.logins.end(request.cookies.get(COOKIE, ""))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


async def reload(request: Request) -> dict[str, list[str]]:
    """Read the configuration again: cameras, tokens, and where cameras may be."""
    service = serving(request)
    return await service.work(service.reload)


async def health_live() -> dict[str, str]:
    """Tell that the server is alive."""
    return {"status": "alive"}


async def health_ready(request: Request) -> dict[str, str]:
    """Tell whether requests are answered."""
    if not serving(request).ready:
        raise Refused(503, "not ready")
    return {"status": "ready"}


async def openapi(request: Request) -> JSONResponse:
    """Describe this API, as OpenAPI."""
    return JSONResponse(request.app.openapi())


async def listing(request: Request) -> HTMLResponse:
    """List this API for people: no scripts, nothing from elsewhere."""
    described = request.app.openapi()
    rows = [
        f"<tr><td><code>{escape(method.upper())}</code></td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(entry.get('x-role', ''))}</td><td>{escape(entry.get('description', ''))}</td>"
        f"<td>{_parameters(entry)}</td></tr>"
        for path, methods in described["paths"].items()
        for method, entry in methods.items()
    ]
    title = escape(described["info"]["title"])
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/style.css">'
        f"<h1>{title} {offramp.__version__}</h1>"
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a>. '
        "A token is sent as <code>Authorization: Bearer TOKEN</code>.</p>"
        "<table><tr><th></th><th>path</th><th>role</th><th></th><th>parameters</th></tr>"
        + "".join(rows)
        + "</table></html>"
    )


def _parameters(entry: dict[str, Any]) -> str:
    told = [
        f"<code>{escape(given['name'])}</code> {escape(given.get('description', ''))}".strip()
        for given in entry.get("parameters", [])
    ]
    return "<br>".join(told)
