"""A server in this process: the tiny bundle, cameras that show what a test hands them."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI

from offramp.core.bundle import Bundle
from offramp.data.images import Array
from offramp.serve.app import create_app
from offramp.serve.configuration import Configuration, read_configuration
from offramp.serve.server import Server
from offramp.serve.service import Service
from offramp.serve.tokens import Tokens, read_tokens
from offramp.video.analytics import Analytics
from offramp.video.camera import CameraSpec
from offramp.video.state import Phase
from offramp.video.status import CameraStatus, Counters, Shot
from tests.serve.browser import Page, browser

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # which HTTP client it should be based on
    from starlette.testclient import TestClient

SECRETS = {role: f"{role}-secret-0123456789" for role in ("viewer", "operator", "admin")}
TOKENS = " ".join(f"{role}:{role}s:{secret}" for role, secret in SECRETS.items())


class Stage:
    """Stands in for all cameras: shows what `show` is given, as if it had just come."""

    def __init__(self) -> None:
        self.cameras: dict[str, StillCamera] = {}

    def open(
        self, spec: CameraSpec, on_frame: Callable[[], None], on_change: Callable[[], None]
    ) -> "StillCamera":
        self.cameras[spec.name] = StillCamera(spec, on_frame)
        return self.cameras[spec.name]


class StillCamera:
    def __init__(self, spec: CameraSpec, on_frame: Callable[[], None]) -> None:
        self.spec = spec
        self.state = Phase.RUNNING
        self.stopped = False
        self._on_frame = on_frame
        self._shots: list[Shot] = []
        self._number = 0

    def show(self, image: Array, now: float) -> None:
        self._shots.append(Shot(image, self._number, now, None, 0))
        self._number += 1
        self._on_frame()

    def start(self) -> None:
        pass

    def take(self) -> Shot | None:
        return self._shots.pop(0) if self._shots else None

    def pause(self) -> None:
        self.state = Phase.PAUSED

    def resume(self) -> None:
        self.state = Phase.RUNNING

    def stop(self, wait_s: float = 6.0) -> bool:
        self.stopped = True
        return True

    def status(self) -> CameraStatus:
        address = str(self.spec.address)
        counters = Counters(received=self._number, decoded=self._number)
        return CameraStatus(
            self.spec.name, address, True, self.state, 0.0, "", counters, 1.0, (96, 64), 0
        )


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def configuration(bundle: Bundle) -> Configuration:
    return read_configuration(
        None, {"bundle": bundle.folder, "workers": 1, "allow": ["192.0.2.0/24"]}
    )


def serve(
    configuration: Configuration, bundle: Bundle, stage: Stage, tokens: Tokens | None = None
) -> Service:
    """Make a service whose cameras are on the stage."""
    analytics = Analytics(bundle, workers=1, open_camera=stage.open)
    model = bundle.manifest.model
    return Service(configuration, model, analytics.points, analytics, tokens or Tokens())


@pytest.fixture
def service(configuration: Configuration, bundle: Bundle, stage: Stage) -> Service:
    """Open to all at this machine."""
    return serve(configuration, bundle, stage)


@pytest.fixture
def guarded(configuration: Configuration, bundle: Bundle, stage: Stage) -> Service:
    """With a token for each role."""
    tokens = read_tokens(None, {"OFFRAMP_TOKENS": TOKENS})
    return serve(configuration, bundle, stage, tokens)


@contextmanager
def client_of(service: Service) -> Iterator[TestClient]:
    with TestClient(
        create_app(service), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        yield client


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with client_of(service) as client:
        yield client


@pytest.fixture
def app(service: Service) -> FastAPI:
    return create_app(service)


@contextmanager
def live(service: Service, port: int = 0) -> Iterator[Server]:
    """Serve at a free port, or at this one, from a thread."""
    server = Server(service)
    server.config.port = port
    started = threading.Event()
    startup = server.startup

    async def told(sockets: object = None) -> None:
        await startup()
        started.set()

    server.startup = told  # type: ignore[method-assign, assignment]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(60)
        yield server
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def fresh(page: Page) -> Page:
    """The page as if it had never been anywhere."""
    page.open("about:blank")
    page.send("Network.clearBrowserCookies")
    page.resize(1280, 900)
    page.darken(False)
    page.complaints.clear()
    return page
