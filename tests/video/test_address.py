"""Addresses of cameras: what is one, and that nothing shows its password."""

import string
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from offramp.core.errors import BadInput, UnknownName
from offramp.video.address import Address, Scene
from offramp.video.camera import CameraSpec
from offramp.video.guard import Guard


@pytest.mark.parametrize(
    ("text", "kind", "host", "port", "live"),
    [
        ("rtsp://10.0.0.1/a", "rtsp", "10.0.0.1", 554, True),
        ("RTSP://Cam.Example:8554/a?b=c", "rtsp", "cam.example", 8554, True),
        ("rtsps://u:p@cam/a", "rtsps", "cam", 322, True),
        ("http://u:p@[::1]:81/v", "http", "::1", 81, True),
        ("https://cam/v", "https", "cam", 443, True),
        ("rtsp://u:p@ss@cam/a", "rtsp", "cam", 554, True),
        ("/dev/video3", "usb", "", 0, True),
        ("usb:0", "usb", "", 0, True),
        ("synthetic:320x192@25", "synthetic", "", 0, True),
        ("clip.mp4", "file", "", 0, False),
        ("a folder/with spaces.avi", "file", "", 0, False),
        ("file:///data/clip.mp4", "file", "", 0, False),
    ],
)
def test_addresses_are_read(text: str, kind: str, host: str, port: int, live: bool) -> None:
    address = Address.parse(text)
    assert (address.kind, address.host, address.port) == (kind, host, port)
    assert address.live == live


def test_what_an_address_leads_to() -> None:
    assert Address.parse("file:///data/clip.mp4").secret == "/data/clip.mp4"
    assert Address.parse("usb:2").secret == "/dev/video2"
    assert Address.parse("rtsp://u:p@cam/a").pinned() == "rtsp://u:p@cam/a"
    assert Address.parse("synthetic:64x48@12.5?seed=9").scene() == Scene(64, 48, 12.5, 9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "rtsp:cam/a",
        "rtsp://",
        "rtsp:///a",
        "rtsp://cam:0/a",
        "rtsp://cam:99999/a",
        "rtsp://cam:x/a",
        "rtsp://cam /a",
        "rtsp://cam\\@evil/a",
        "http://cam/\r\nHost: evil",
        "http://[::1/a",
        "usb:../../etc/passwd",
        "/dev/video0/../mem",
        "synthetic:1x1@5",
        "synthetic:320x192@0",
        "synthetic:320x192",
        "synthetic:99999x99999@5",
        "x" * 5000,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Address.parse(text)


@pytest.mark.parametrize(
    "text", ["exec:rm -rf /", "ffmpeg:cam", "concat:a|b", "tcp://a", "rtp://a"]
)
def test_other_schemes_are_refused_by_name(text: str) -> None:
    with pytest.raises(UnknownName, match="kind of camera"):
        Address.parse(text)


SECRETS = st.text(string.ascii_letters + string.digits + "!$%&()*+,;=-._~@:é", min_size=6)


@given(secret=SECRETS.map(lambda s: f"Zq{s}9"))
def test_a_password_is_never_shown(secret: str) -> None:
    for written in (secret, quote(secret, safe="")):
        url = f"rtsp://ann:{written}@10.0.0.7:554/live?token={quote(secret, safe='')}&channel=1"
        address = Address.parse(url)
        spec = CameraSpec(name="a", address=url)  # type: ignore[arg-type]
        shown = " ".join(
            [
                str(address),
                repr(address),
                f"{address!s:>9}",
                repr(spec),
                str(spec.model_dump()),
                spec.model_dump_json(),
                address.clean(f"could not open {url}: denied to ann:{secret} / {written}"),
            ]
        )
        assert secret not in shown
        assert written not in shown
        assert "ann:***@10.0.0.7:554/live?token=***&channel=1" in shown
        assert address.secret == url


def test_passwords_in_paths_as_some_cameras_want_them_are_hidden_too() -> None:
    shown = str(Address.parse("rtsp://10.0.0.7/user=admin_password=hunter2_channel=1"))
    assert "hunter2" not in shown
    assert "hunter2" not in str(Address.parse("http://cam/v?user=ann&pwd=hunter2&size=1"))


@pytest.mark.parametrize("text", ["rtsp://ann:hunter2@cam:99999/a", "exec://ann:hunter2@cam"])
def test_errors_about_an_address_do_not_show_its_password(text: str) -> None:
    with pytest.raises(BadInput) as direct:
        Address.parse(text)
    with pytest.raises(BadInput) as parsed:
        CameraSpec.parse({"name": "a", "address": text}, "cameras.yaml")
    with pytest.raises(ValidationError) as raw:
        CameraSpec(name="a", address=text)  # type: ignore[arg-type]
    said = [str(direct.value), str(parsed.value), str(raw.value), raw.value.json()]
    said.append(repr(raw.value.errors()))
    assert [text for text in said if "hunter2" in text] == []


def test_an_address_in_a_specification_is_a_text_for_others() -> None:
    schema = TypeAdapter(CameraSpec).json_schema()
    assert schema["properties"]["address"]["type"] == "string"
    guarded = Address.parse("rtsp://10.0.0.1/a", Guard.of(["10.0.0.0/8"]))
    assert CameraSpec(name="a", address=guarded).address is guarded
    first = CameraSpec(name="a", address="rtsp://u:one@cam/a")  # type: ignore[arg-type]
    second = CameraSpec(name="a", address="rtsp://u:two@cam/a")  # type: ignore[arg-type]
    assert first != second


@pytest.mark.parametrize("name", ["", "a b", "../a", "a" * 65, "ä", "a\n"])
def test_names_of_cameras_are_plain(name: str) -> None:
    with pytest.raises(BadInput, match="'name' is not usable"):
        CameraSpec.parse({"name": name, "address": "synthetic:64x48@5"}, "here")


def test_others_than_the_operator_may_name_cameras_in_the_network_alone(tmp_path: Path) -> None:
    guard = Guard.of(["0.0.0.0/0", "::/0"])
    for text in (str(tmp_path), "/etc/passwd", "file:///etc/passwd", "usb:0", "synthetic:64x48@5"):
        with pytest.raises(BadInput, match="only cameras in the network"):
            Address.parse(text, guard)
