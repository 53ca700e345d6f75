"""How much may be asked for: bytes, pixels, time; and answers that tell browsers to be strict."""

import asyncio
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.serve.configuration import read_configuration
from offramp.serve.gate import Gate
from offramp.serve.pictures import decode_picture
from tests.serve.conftest import Stage, TestClient, client_of, serve


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that would unpack to very many."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(7_100, 7_100), (12_000, 8_000), (30_000, 30_000)])
def test_a_bomb_is_refused_by_its_header(client: TestClient, size: tuple[int, int]) -> None:
    answer = client.post("/api/segment", content=bomb(*size))
    assert answer.status_code == 400
    assert "too large" in answer.json()["error"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_formats_are_those_that_are_told(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(file, kind)
    if kind in ("GIF", "TIFF"):
        with pytest.raises(BadInput, match="not an image"):
            decode_picture(file.getvalue(), 100)
    else:
        assert decode_picture(file.getvalue(), 100).shape == (3, 4, 3)
        with pytest.raises(BadInput, match="at most 11 pixels"):
            decode_picture(file.getvalue(), 11)


def test_other_modes_become_rgb_and_upright() -> None:
    sixteen = Image.new("I;16", (2, 1), 65535)
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    clear = Image.new("RGBA", (2, 1), (1, 2, 3, 0))
    for picture, colour in ((sixteen, [255] * 3), (palette, [9, 8, 7]), (clear, [1, 2, 3])):
        file = io.BytesIO()
        picture.save(file, "PNG")
        assert decode_picture(file.getvalue(), 100).tolist() == [[colour] * 2]
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    file = io.BytesIO()
    Image.new("RGB", (8, 2)).save(file, "JPEG", exif=exif)
    assert decode_picture(file.getvalue(), 100).shape == (8, 2, 3)


@pytest.fixture
def small(bundle: Bundle, stage: Stage) -> Any:
    limits = {"body_mb": 0.001, "request_s": 5}
    configuration = read_configuration(None, {"bundle": bundle.folder, "limits": limits})
    with client_of(serve(configuration, bundle, stage)) as client:
        yield client


def test_a_body_that_is_too_large_is_refused(small: TestClient) -> None:
    answer = small.post("/api/segment", content=bytes(1001))
    assert answer.status_code == 413
    assert answer.json() == {"error": "the body is too large; expected at most 1000 bytes"}
    assert small.post("/api/segment", content=bytes(1000)).status_code == 400  # no image


def test_a_body_that_does_not_tell_its_size_is_counted(small: TestClient) -> None:
    def pieces() -> Any:
        for _ in range(11):
            yield bytes(100)

    for path in ("/api/segment", "/v2/models/tiny/infer", "/api/cameras", "/api/login"):
        assert small.post(path, content=pieces()).status_code == 413
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert small.post("/api/segment", content=pieces(), headers=form).status_code == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "²"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    status, _ = asyncio.run(asked_through_gate([], [(b"content-length", length.encode("latin-1"))]))
    assert status == 400


async def asked_through_gate(
    messages: list[dict[str, Any] | None], headers: list[tuple[bytes, bytes]]
) -> tuple[int, str]:
    """Send messages through a gate of 10 bytes and a moment's patience; none: silence."""
    from starlette.exceptions import HTTPException

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        message = messages.pop(0)
        if message is None:
            await asyncio.Event().wait()
        return message

    started: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        started.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [*headers, (b"host", b"x")]}
    gate = Gate(app, body_bytes=10, seconds=0.01, local_only=False)
    try:
        await gate(scope, receive, send)
    except HTTPException as refused:
        return refused.status_code, str(refused.detail)
    return int(started[0]["status"]), str(dict(started[0]["headers"]))


def test_a_body_that_never_ends_is_given_up() -> None:
    part = {"type": "http.request", "body": b"abc", "more_body": True}
    status, said = asyncio.run(asked_through_gate([part, None], []))
    assert (status, said) == (408, "the body took longer than 0.01 s")
    assert asyncio.run(asked_through_gate([part, part, part, part], []))[0] == 413
    whole = {"type": "http.request", "body": b"abc", "more_body": False}
    status, said = asyncio.run(asked_through_gate([part, whole], []))
    assert status == 200
    assert "frame-ancestors 'none'" in said


def test_every_answer_is_strict(client: TestClient) -> None:
    for path in ("/", "/api/cameras", "/nothing", "/metrics", "/page.js"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
