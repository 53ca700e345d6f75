"""Streams through PyAV: a camera by HTTP that leads nowhere else, and a server of real streams."""

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from offramp.data.images import Array
from offramp.video.address import Address
from offramp.video.guard import Guard
from offramp.video.state import Phase
from offramp.video.stream import open_stream
from tests.video.farm import Farm, NoFarm
from tests.video.scripted import Watch


class Served(BaseHTTPRequestHandler):
    """MJPEG at /mjpeg, a redirect to it at /moved, a playlist that names it at /list.m3u8."""

    jpeg = b""
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Host")))
        self.send_response(302 if self.path == "/moved" else 200)
        if self.path == "/moved":
            self.send_header("Location", "/mjpeg")
            self.end_headers()
        elif self.path == "/list.m3u8":
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.end_headers()
            port = self.server.server_address[1]
            text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/mjpeg\n"
            self.wfile.write(text.encode())
        else:
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=next")
            self.end_headers()
            part = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
            for _ in range(12):
                self.wfile.write(part % (len(self.jpeg), self.jpeg))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[tuple[int, list[tuple[str, str | None]]]]:
    """A web camera's port, and what it was asked."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(out, "JPEG")
    asked: list[tuple[str, str | None]] = []
    handler = type("Handler", (Served,), {"jpeg": out.getvalue(), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1], asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_mjpeg_by_http_is_read_to_its_end(served: tuple[int, list]) -> None:
    stream = open_stream(Address.parse(f"http://127.0.0.1:{served[0]}/mjpeg"))
    images: list[Array] = []
    with suppress(EOFError, OSError):
        while len(images) < 100:
            images += [picture.rgb() for picture in stream.read()]
    stream.close()
    assert 10 <= len(images) <= 12
    assert np.abs(images[0].astype(int) - (200, 30, 30)).max() < 12


@pytest.mark.parametrize("path", ["/moved", "/list.m3u8"])
def test_nothing_that_http_answers_leads_elsewhere(served: tuple[int, list], path: str) -> None:
    port, asked = served
    with pytest.raises((OSError, ValueError), match=str(port)):
        open_stream(Address.parse(f"http://127.0.0.1:{port}{path}"))
    assert {what for what, _ in asked} == {path}


def test_a_guarded_name_is_connected_to_by_number_and_told_by_name(
    served: tuple[int, list],
) -> None:
    port, asked = served
    guard = Guard(
        Guard.of(["127.0.0.1"]).networks,
        ports=frozenset({port}),
        resolver=lambda host, port, **_: [(0, 0, 0, "", ("127.0.0.1", port))],
    )
    open_stream(Address.parse(f"http://cam.example:{port}/mjpeg", guard)).close()
    assert ("/mjpeg", f"cam.example:{port}") in asked


# RTSP.


@pytest.fixture
def farm() -> Iterator[Farm]:
    """A server of real streams."""
    farm = Farm("--user", "ann", "--password", "hunter2")
    try:
        farm.start()
    except NoFarm as error:
        pytest.skip(str(error))
    try:
        yield farm
    finally:
        farm.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="the server of streams is for Linux")
def test_a_real_stream_is_read_and_its_loss_is_seen(farm: Farm) -> None:
    with pytest.raises(ConnectionError, match="401"):
        open_stream(Address.parse(f"rtsp://ann:wrong@127.0.0.1:{farm.port}/cam0"))
    with Watch(f"rtsp://ann:hunter2@127.0.0.1:{farm.port}/cam0") as watch:
        watch.until(lambda: len(watch.shots) >= 5)
        farm.kill()
        watch.until(lambda: watch.is_(Phase.RECONNECTING))
    assert watch.shots[0].image.shape == (192, 320, 3)
    assert watch.shots[0].image.std() > 20  # a test pattern, not a grey nothing
    assert "hunter2" not in repr(watch.camera.status())
