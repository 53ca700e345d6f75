"""Where an address that others gave may lead: the list, the dangerous ranges, and no detour."""

import ipaddress
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.video.address import Address
from offramp.video.guard import Guard

NAMES = {
    "cam.example": ["10.0.0.5"],
    "two.example": ["10.0.0.5", "127.0.0.1"],
    "inside.example": ["127.0.0.1"],
    "six.example": ["fd12::5"],
    "mapped.example": ["::ffff:169.254.169.254"],
    "metadata.google.internal": ["169.254.169.254"],
}


def resolver(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
    """Resolve the names above; numbers as the system does, in all their forms."""
    if host in NAMES:
        return [(0, 0, 0, "", (ip, port)) for ip in NAMES[host]]
    if host.replace(".", "").replace("x", "").isalnum() and host[0].isdigit():
        return [(0, 0, 0, "", (socket.inet_ntoa(socket.inet_aton(host)), port))]
    if ":" in host:
        return [(0, 0, 0, "", (host, port))]
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def guard(*allow: str, ports: list[int] | None = None) -> Guard:
    made = Guard.of(allow, ports)
    return Guard(made.networks, made.names, made.ports, resolver)


def leads_to(text: str, made: Guard) -> str:
    return Address.parse(text, made).pinned()


@pytest.mark.parametrize(
    ("allow", "text", "url"),
    [
        ("10.0.0.0/8", "rtsp://10.0.0.5/a", "rtsp://10.0.0.5:554/a"),
        (
            "10.0.0.0/8",
            "rtsp://u:p%40@cam.example:8554/a?b=1#c",
            "rtsp://u:p%40@10.0.0.5:8554/a?b=1",
        ),
        ("10.0.0.0/8", "rtsp://u:p@ss@cam.example/a", "rtsp://u:p%40ss@10.0.0.5:554/a"),
        ("cam.example", "http://CAM.example/a", "http://10.0.0.5:80/a"),
        ("10.0.0.5", "http://10.0.0.5/", "http://10.0.0.5:80/"),
        ("fd12::/16", "rtsp://six.example/a", "rtsp://[fd12::5]:554/a"),
        ("fd12::/16", "rtsp://[fd12::9]/a", "rtsp://[fd12::9]:554/a"),
        ("127.0.0.1", "rtsp://127.0.0.1:8554/a", "rtsp://127.0.0.1:8554/a"),
        ("127.0.0.0/8", "rtsp://inside.example/a", "rtsp://127.0.0.1:554/a"),
        ("10.0.0.0/8", "rtsp://[::ffff:10.0.0.5]/a", "rtsp://10.0.0.5:554/a"),
    ],
)
def test_what_is_listed_is_connected_to_by_number(allow: str, text: str, url: str) -> None:
    assert leads_to(text, guard(allow)) == url


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://127.0.0.1/",
        "rtsp://127.1/",
        "rtsp://2130706433/",
        "rtsp://0x7f000001/",
        "rtsp://0177.0.0.1/",
        "rtsp://0/",
        "rtsp://0.0.0.0/",
        "rtsp://[::1]/",
        "rtsp://[::]/",
        "rtsp://[::ffff:127.0.0.1]/",
        "rtsp://[::ffff:7f00:1]/",
        "rtsp://[::127.0.0.1]/",
        "rtsp://[64:ff9b::7f00:1]/",
        "rtsp://[2002:7f00:1::]/",
        "rtsp://[fe80::1]/",
        "rtsp://[fe80::1%25eth0]/",
        "rtsp://[ff02::1]/",
        "rtsp://[fd00:ec2::254]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://100.100.100.200/",
        "http://metadata.google.internal/",
        "rtsp://224.0.0.1/",
        "rtsp://255.255.255.255/",
        "rtsp://inside.example/",
        "rtsp://two.example/",
        "rtsp://mapped.example/",
        "rtsp://10.0.0.5@127.0.0.1/",
        "rtsp://cam.example:pw@127.0.0.1/",
    ],
)
def test_a_wide_list_opens_no_dangerous_range(text: str) -> None:
    wide = guard("0.0.0.0/0", "::/0", *NAMES)
    with pytest.raises(BadInput, match="are not allowed"):
        leads_to(text, wide)


@pytest.mark.parametrize("text", ["rtsp://10.1.0.5/", "rtsp://8.8.8.8/", "rtsp://cam.example/"])
def test_what_is_not_listed_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="are not allowed"):
        leads_to(text, guard("10.2.0.0/16", "other.example"))
    with pytest.raises(BadInput, match="are not allowed"):
        leads_to(text, guard())


def test_plain_numbers_and_ports_are_refused_before_anything_is_asked() -> None:
    with pytest.raises(BadInput, match="are not allowed"):
        Address.parse("rtsp://127.0.0.1/", guard("10.0.0.0/8"))
    with pytest.raises(BadInput, match="port"):
        Address.parse("rtsp://10.0.0.5:22/", guard("10.0.0.0/8"))
    assert leads_to("rtsp://10.0.0.5:22/", guard("10.0.0.0/8", ports=[22])).endswith(":22/")


def test_the_message_does_not_tell_what_a_name_resolves_to() -> None:
    with pytest.raises(BadInput) as caught:
        leads_to("rtsp://two.example/", guard("10.0.0.0/8"))
    assert "127.0.0.1" not in str(caught.value)


def test_a_name_is_asked_for_once_for_each_connection() -> None:
    answers = [["10.0.0.5"], ["127.0.0.1"]]

    def rebinding(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (ip, port)) for ip in answers.pop(0)]

    made = Guard.of(["10.0.0.0/8"])
    address = Address.parse("rtsp://cam.example/", Guard(made.networks, resolver=rebinding))
    assert address.pinned() == "rtsp://10.0.0.5:554/"
    assert len(answers) == 1
    with pytest.raises(BadInput, match="are not allowed"):
        address.pinned()


def test_a_name_that_is_not_known_may_be_so_later() -> None:
    with pytest.raises(OSError, match="not known"):
        leads_to("rtsp://nowhere.example/", guard("10.0.0.0/8"))


@given(ip=st.ip_addresses(), entry=st.ip_addresses(), prefix=st.integers(0, 32))
@example(ipaddress.ip_address("::ffff:0:0"), ipaddress.ip_address("0.0.0.0"), 8)
@example(ipaddress.ip_address("::ffff:10.0.0.5"), ipaddress.ip_address("10.0.0.0"), 8)
def test_an_ordinary_address_is_allowed_exactly_within_a_listed_network(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
    entry: ipaddress.IPv4Address | ipaddress.IPv6Address,
    prefix: int,
) -> None:
    text = f"[{ip}]" if ip.version == 6 else str(ip)
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip  # another way to write an IPv4 address
    network = ipaddress.ip_network((entry, prefix), strict=False)
    first = ip.packed[0]
    near = first in (0, 100, 127, 168, 169, 192) or first >= 224  # ranges with exceptions
    if ip.version == 6:
        near = first in (0x00, 0x20, 0xFD, 0xFE, 0xFF)
    try:
        url = leads_to(f"rtsp://{text}/", guard(str(network)))
    except BadInput:
        assert ip not in network or near
    else:
        assert ipaddress.ip_address(url.removeprefix("rtsp://").rsplit(":", 1)[0].strip("[]")) == ip
        assert ip in network
        special = ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified
        assert not special or prefix >= 8


@pytest.mark.parametrize(
    "entry", ["", "10.0.0.5/8", "10.0.0", "a b", "rtsp://cam", "-/x", "300.1.1.1"]
)
def test_entries_that_are_no_network_and_no_name_are_refused(entry: str) -> None:
    with pytest.raises(BadInput):
        Guard.of([entry])
