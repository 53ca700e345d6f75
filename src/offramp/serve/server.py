"""The server's process: sockets, signals, and an end in which every stream is closed."""

import asyncio
import contextlib
import logging
import signal
import socket
from types import FrameType

import uvicorn

from offramp.core.errors import OfframpError
from offramp.serve.app import create_app
from offramp.serve.service import Service

logger = logging.getLogger(__name__)

GRACE_S = 10


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, which end it well; SIGHUP reloads.

    Args:
        service: what is served.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        configuration = service.configuration
        files = (configuration.certificate, configuration.key)
        certificate, key = (None if file is None else str(file) for file in files)
        super().__init__(
            uvicorn.Config(
                create_app(service),
                host=configuration.host,
                port=configuration.port,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                limit_concurrency=configuration.limits.connections,
                timeout_graceful_shutdown=GRACE_S,
                ws_max_size=65536,
                server_header=False,
                access_log=False,
                log_config=None,
                lifespan="on",
            )
        )

    @property
    def address(self) -> str:
        """Where it listens, once it does."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        scheme = "https" if self.service.configuration.certificate else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the sockets; from then on SIGHUP reloads."""
        await super().startup(sockets)
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            # Only the main thread gets signals.
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self.started:
            logger.info("listening at %s", self.address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let streams end first: they would hold the others up until the grace is over."""
        self.service.close_streams()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; a second SIGINT ends at once.

        The signal is not raised again afterwards, as uvicorn would: the process has done what
        it was asked to, and ends with status 0.
        """
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    def _reload(self) -> None:
        async def reload() -> None:
            try:
                await self.service.work(self.service.reload)
            except OfframpError as error:
                logger.error("not reloaded: %s", error)

        self._reloading = asyncio.ensure_future(reload())
