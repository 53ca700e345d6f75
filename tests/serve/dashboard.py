"""What tests of the dashboard share: a server with drawn cameras, and where its tiles are."""

import time
from collections.abc import Callable

from offramp.core.bundle import Bundle
from offramp.serve.configuration import read_configuration
from offramp.serve.service import Service
from offramp.serve.tokens import Tokens
from offramp.video.analytics import Analytics
from tests.serve.browser import Page

CAMERAS = [
    {"name": "hall", "address": "synthetic:96x64@5", "deadline_ms": 5000.0},
    {"name": "gate", "address": "synthetic:64x96@3?seed=1", "max_fps": 2, "deadline_ms": 5000.0},
    {"name": "yard", "address": "nowhere.mp4"},
]


def watching(
    bundle: Bundle, tokens: Tokens | None = None, limits: dict[str, int] | None = None
) -> Service:
    """Watch two drawn cameras, and one that is not there."""
    given = {"bundle": bundle.folder, "workers": 1, "cameras": CAMERAS, "limits": limits or {}}
    configuration = read_configuration(None, given)
    analytics = Analytics(bundle, workers=1, shadow=1.0)
    model = bundle.manifest.model
    return Service(configuration, model, analytics.points, analytics, tokens or Tokens())


def tile(name: str) -> str:
    return f".tile[data-name={name}]"


def running(page: Page) -> None:
    """Wait until both drawn cameras have answers and pictures, and the third has given up."""
    for name in ("hall", "gate"):
        page.until(f"document.querySelector('{tile(name)}[data-state=running]')")
        page.until(f"document.querySelector('{tile(name)} [data-slot=picture]').naturalWidth > 0")
        page.until(f"document.querySelector('{tile(name)} [data-slot=p95]').innerText != '–'")
    page.until(f"document.querySelector('{tile('yard')}[data-state=failed]')")


def eventually(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def states(service: Service) -> list[tuple[str, str]]:
    return [(w.spec.name, str(w.status.state)) for w in service.backend.cameras()]
