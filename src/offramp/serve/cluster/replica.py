"""One replica: an engine, a server inside that answers for it alone, and the application outside.

    client ──► proxy ──► outside: cameras of all replicas, requests here
                            │  pictures, events, metrics of other replicas
                            ▼
                         inside of each: the same application for one replica, at a port of its own

The application inside is that of a server without replicas. So pictures are drawn, roles are
checked and counters are told by the same code, whoever asks.
"""

import asyncio
import hashlib
import socket
import threading
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from offramp.core.model import ModelSpec
from offramp.serve.app import create_app
from offramp.serve.backend import Backend
from offramp.serve.cluster.cookies import SignedLogins
from offramp.serve.cluster.forward import Forward
from offramp.serve.cluster.member import Coordinating, Member
from offramp.serve.cluster.table import Settings, Table
from offramp.serve.configuration import Configuration
from offramp.serve.server import Server
from offramp.serve.service import Service, open_service
from offramp.serve.tokens import Identity, Tokens

JOIN_S = 15.0


@dataclass(frozen=True)
class Seed:
    """What every replica is made of.

    Attributes:
        configuration: without cameras, files of tokens and certificates: these come by the table.
        settings: who may ask, at the start.
        key: hexadecimal digits of a secret that the replicas share.
    """

    configuration: Configuration
    settings: Settings
    key: str


class Peers(Tokens):
    """The operator's tokens, and the one by which replicas listen to each other.

    Args:
        tokens: the operator's.
        key: the replicas'.
    """

    def __init__(self, tokens: Tokens, key: str) -> None:
        super().__init__()
        self._tokens = tokens
        self._peer = Tokens([Identity("replica", "viewer", hashlib.sha256(key.encode()).digest())])

    def __len__(self) -> int:
        return len(self._tokens)

    def holds(self, digest: bytes) -> Identity | None:
        """Tell whose secret has this SHA-256."""
        return self._peer.holds(digest) or self._tokens.holds(digest)


class Replica:
    """An ASGI application that answers for all replicas' cameras.

    Args:
        seed: what it is made of.
        name: of this replica.
        host: address at which the others reach it.
        coordinator: shares the cameras out.
        own: its engine.
        model: of the bundle.
        points: the exits' positions.
    """

    def __init__(
        self,
        seed: Seed,
        name: str,
        host: str,
        coordinator: Coordinating,
        own: Backend,
        model: ModelSpec,
        points: tuple[str, ...],
    ) -> None:
        self._seed = seed
        tokens = Peers(seed.settings.tokens, seed.key)
        inner = seed.configuration.model_copy(update={"host": host, "port": 0})
        self.inside = Service(inner, model, points, own, tokens)
        self._server = Server(self.inside)
        self._socket = socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        port = self._socket.getsockname()[1]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._thread = threading.Thread(target=self._serve_inside, name="offramp-inside")
        self.member = Member(name, url, own, coordinator, seed.key, self._take_over)
        self.outside = Service(seed.configuration, model, points, self.member, tokens)
        self.logins = SignedLogins(bytes.fromhex(seed.key), self._tell_logout)
        for service in (self.inside, self.outside):
            service.access.logins = self.logins
        self._coordinator = coordinator
        self._loop: asyncio.AbstractEventLoop | None = None
        self._app: ASGIApp = Forward(
            create_app(self.outside), self.member.elsewhere, self.member.urls
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the whole lifespan."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await self._app(scope, receive, send)
        finally:
            self._server.should_exit = True
            await asyncio.to_thread(self._thread.join, JOIN_S)

    @property
    def healthy(self) -> bool:
        """Tell whether it reports and answers inside."""
        return self.member.alive and self._thread.is_alive()

    def _serve_inside(self) -> None:
        self._server.run(sockets=[self._socket])

    def _take_over(self, table: Table) -> None:
        """Follow a new table: who may ask, where cameras may be, which logins ended."""
        settings = table.settings
        keys = {"allow": settings.allow, "ports": settings.ports}
        for service in (self.inside, self.outside):
            service.configuration = service.configuration.model_copy(update=keys)
            service.access.tokens = Peers(settings.tokens, self._seed.key)
        self.logins.ended = table.ended
        if table.closing and self._loop is not None:
            self._loop.call_soon_threadsafe(self.outside.close_streams)

    def _tell_logout(self, cookie: bytes, until: float) -> None:
        """Tell the others; in a thread, for nobody shall wait for it."""
        threading.Thread(target=self._coordinator.end_login, args=(cookie, until)).start()


def open_replica(seed: Seed, name: str, host: str, coordinator: Coordinating) -> Replica:
    """Open the bundle and load its engine.

    Raises:
        BundleError: the bundle is not genuine or cannot be loaded.
    """
    alone = open_service(seed.configuration)
    return Replica(seed, name, host, coordinator, alone.backend, alone.model, alone.points)
