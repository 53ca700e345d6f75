"""The application: the API's paths, the dashboard's files, and what guards them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.staticfiles import StaticFiles

import offramp
from offramp.serve.configuration import LOOPBACK
from offramp.serve.gate import Gate
from offramp.serve.refusals import handle_errors
from offramp.serve.routes import add_ways
from offramp.serve.service import Service

DASHBOARD = Path(__file__).with_name("dashboard")
"""The page's files, served to everyone: they hold no data, and logging in begins there."""


def create_app(service: Service) -> FastAPI:
    """Make the application of a service; it starts and stops the service with itself."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.work(service.start)
        try:
            yield
        finally:
            service.close_streams()
            await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="offramp",
        version=offramp.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    handle_errors(app)
    add_ways(app)
    app.mount("/", StaticFiles(directory=DASHBOARD, html=True), name="dashboard")
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    local = service.configuration.host in LOOPBACK and not service.access.tokens
    app.add_middleware(
        Gate,
        body_bytes=service.max_bytes,
        seconds=service.configuration.limits.request_s,
        local_only=local,
    )
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """Describe the API once; how a token is sent is said for all of it."""
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemes = {"token": {"type": "http", "scheme": "bearer"}}
        described.setdefault("components", {})["securitySchemes"] = schemes
        app.openapi_schema = described
    return app.openapi_schema
