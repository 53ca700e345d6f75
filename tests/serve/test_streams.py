"""Streams of a server that runs: pictures, events, sockets; how they begin and how they end."""

import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
import websockets.sync.client
from PIL import Image

from offramp.data.images import Array
from offramp.serve.plain import plain
from offramp.serve.service import Service
from offramp.video.events import Event
from tests.serve.conftest import Stage, live

CAMERA = {"name": "hall", "address": "rtsp://192.0.2.9/x"}


def until(done: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with live(service) as server:
        httpx.post(f"{server.address}/api/cameras", json=CAMERA, timeout=60).raise_for_status()
        yield server.address


def test_pictures_come_one_by_one_until_the_client_goes(
    address: str, service: Service, stage: Stage, frames: list[Array]
) -> None:
    hall = stage.cameras["hall"]
    with httpx.stream("GET", f"{address}/api/cameras/hall/overlay?fps=60", timeout=60) as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"
        pieces = answer.iter_raw()
        seen = b""
        for frame in frames[:3]:
            hall.show(frame, time.perf_counter())
            before = seen.count(b"--picture\r\n")
            while seen.count(b"--picture\r\n") == before or not seen.endswith(b"\xff\xd9\r\n"):
                seen += next(pieces)
        assert service.streams.taken == 1
    parts = seen.split(b"--picture\r\n")[1:]
    sizes = [np.asarray(Image.open(io.BytesIO(p.split(b"\r\n\r\n", 1)[1]))).shape for p in parts]
    assert sizes == [frame.shape for frame in frames[:3]]
    until(lambda: service.streams.taken == 0)


def test_pictures_end_with_their_camera(address: str, service: Service) -> None:
    with httpx.stream("GET", f"{address}/api/cameras/hall/overlay", timeout=60) as answer:
        until(lambda: service.streams.taken == 1)
        assert httpx.delete(f"{address}/api/cameras/hall", timeout=60).status_code == 204
        assert b"".join(answer.iter_raw()) == b""
    assert httpx.get(f"{address}/api/cameras/hall/overlay", timeout=60).status_code == 404


def test_events_are_told_as_they_happen(
    address: str, service: Service, stage: Stage, frames: list[Array]
) -> None:
    with httpx.stream("GET", f"{address}/api/events?camera=hall", timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line and not line.startswith(":"))
        until(lambda: len(service._subscriptions) == 1)
        service.backend.publish(Event("alarm", "other", {"text": "not for us"}))  # type: ignore[attr-defined]
        stage.cameras["hall"].show(frames[0], time.perf_counter())
        assert next(lines) == "event: answer"
        told = json.loads(next(lines).removeprefix("data: "))
        assert told["camera"] == "hall"
        service.backend.publish(Event("alarm", "hall", {"at": "rtsp://u:pw123@x/", "n": np.nan}))  # type: ignore[attr-defined]
        assert next(lines) == "event: alarm"
        told = json.loads(next(lines).removeprefix("data: "))
        assert told == {"camera": "hall", "at": "rtsp://u:***@x/", "n": None}
    until(lambda: not service._subscriptions)


def test_a_socket_tells_events_and_frees_its_place(address: str, service: Service) -> None:
    url = address.replace("http", "ws") + "/api/events/ws"
    with websockets.sync.client.connect(url) as socket:
        until(lambda: len(service._subscriptions) == 1)
        service.backend.publish(Event("level", "", {"level": 2}))  # type: ignore[attr-defined]
        told = json.loads(socket.recv(timeout=60))
        assert told == {"kind": "level", "camera": "", "payload": {"level": 2}}
        socket.send("what is sent is of no interest")
    until(lambda: service.streams.taken == 0 and not service._subscriptions)


def test_a_stream_too_many_is_refused(address: str, service: Service) -> None:
    service.streams._free = 0
    for path in ("/api/events", "/api/cameras/hall/overlay"):
        answer = httpx.get(f"{address}{path}", timeout=60)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"


def test_all_streams_end_with_the_server(service: Service) -> None:
    ended: list[str] = []
    with live(service) as server:
        address = server.address
        httpx.post(f"{address}/api/cameras", json=CAMERA, timeout=60).raise_for_status()

        def read(path: str) -> None:
            with httpx.stream("GET", f"{address}{path}", timeout=60) as answer:
                for _ in answer.iter_raw():
                    pass
            ended.append(path)

        def hear() -> None:
            url = address.replace("http", "ws") + "/api/events/ws"
            with websockets.sync.client.connect(url) as socket:
                with contextlib.suppress(websockets.exceptions.ConnectionClosed):
                    while True:
                        socket.recv()
                assert socket.close_code in (1001, 1012)  # in words, not cut off
            ended.append("socket")

        paths = ["/api/events", "/api/cameras/hall/overlay"]
        threads = [threading.Thread(target=read, args=[path]) for path in paths]
        threads.append(threading.Thread(target=hear))
        for thread in threads:
            thread.start()
        until(lambda: service.streams.taken == 3)
    for thread in threads:
        thread.join(30)
    assert sorted(ended) == sorted([*paths, "socket"])
    assert [t.name for t in threading.enumerate() if t.name.startswith("offramp-")] == []


def test_records_become_what_json_has() -> None:
    assert plain({"a": (1, np.float32(0.5), {2}), 3: None, "b": float("inf")}) == {
        "a": [1, 0.5, [2]],
        "3": None,
        "b": None,
    }
    with pytest.raises(TypeError):
        plain(np.zeros(3))
