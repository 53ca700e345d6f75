"""Which addresses in the network a camera's address may lead to, if others than the operator
gave it: only what is listed, and never by a detour.

A name is resolved once, every address that it has is checked, and the connection goes to a
checked address, so that a name cannot mean another machine a moment later (DNS rebinding).
Ranges that lead to this machine, to a cloud's metadata, or to many machines at once need an
entry of their own: a wide one such as 0.0.0.0/0 does not open them.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from offramp.core.errors import BadInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = frozenset({80, 322, 443, 554, 7441, 7447, 8000, 8080, 8081, 8443, 8554, 8555, 10554})
"""Ports on which cameras and their servers usually offer video."""

DANGEROUS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this machine
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "100.100.100.200/32",  # metadata of other clouds
        "168.63.129.16/32",
        "192.0.0.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, loopback, and IPv4 in disguise
        "64:ff9b::/96",  # IPv4 behind a translator
        "64:ff9b:1::/48",
        "2001::/32",  # tunnels to IPv4
        "2002::/16",
        "fd00:ec2::/32",  # metadata
        "fe80::/10",
        "ff00::/8",
    )
)
"""Ranges that only an entry within them opens."""

Resolver = Callable[..., Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Guard:
    """What a camera's address may lead to.

    Attributes:
        networks: networks whose addresses are allowed.
        names: host names that are allowed, whatever ordinary address they have.
        ports: ports that are allowed.
        resolver: as `socket.getaddrinfo`.
    """

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    ports: frozenset[int] = PORTS
    resolver: Resolver = field(default=socket.getaddrinfo, compare=False)

    @classmethod
    def of(cls, allow: Sequence[str], ports: Sequence[int] | None = None) -> "Guard":
        """Make a guard of entries such as `10.1.0.0/16`, `192.168.7.3` and `cam.example.org`.

        Raises:
            BadInput: an entry is neither a network nor a host's name.
        """
        networks: list[Network] = []
        names: set[str] = set()
        for entry in allow:
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                names.add(_name(entry))
        return cls(tuple(networks), frozenset(names), PORTS if ports is None else frozenset(ports))

    def check_name(self, host: str, port: int) -> None:
        """Refuse what can be told without asking the network: the port, and plain addresses.

        Raises:
            BadInput: they are not allowed.
        """
        if port not in self.ports:
            ports = ", ".join(str(port) for port in sorted(self.ports))
            raise BadInput("this port is not allowed for cameras", expected=ports, got=str(port))
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            return
        self._check(ip, host)

    def resolve(self, host: str, port: int) -> str:
        """Resolve a name, check every address that it has, and give the one to connect to.

        Raises:
            OSError: the name cannot be resolved.
            BadInput: one of its addresses, or the port, is not allowed.
        """
        self.check_name(host, port)
        found = self.resolver(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]
        if not addresses:
            raise OSError(f"{host} has no address")
        for ip in addresses:
            self._check(ip, host)
        return str(_plain(addresses[0]))

    def _check(self, ip: Ip, host: str) -> None:
        ip = _plain(ip)
        entries = [network for network in self.networks if ip in network]
        special = [network for network in DANGEROUS if ip in network]
        if special:
            allowed = any(_within(entry, network) for entry in entries for network in special)
        else:
            allowed = bool(entries) or host.lower().rstrip(".") in self.names
        if not allowed:
            # What the name resolves to is not told: it would map the network behind.
            raise BadInput(
                f"cameras at {host} are not allowed",
                repair="the operator can list its network among those that are allowed",
            )


def _plain(ip: Ip) -> Ip:
    """Undo the disguise of an IPv4 address as an IPv6 one, and drop a zone."""
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ipaddress.IPv6Address(int(ip))
    return ip


def _within(entry: Network, network: Network) -> bool:
    if isinstance(entry, ipaddress.IPv4Network):
        return isinstance(network, ipaddress.IPv4Network) and entry.subnet_of(network)
    return isinstance(network, ipaddress.IPv6Network) and entry.subnet_of(network)


def _name(entry: str) -> str:
    name = entry.lower().rstrip(".")
    labels = name.split(".")
    if not name or not all(p and p.replace("-", "a").isalnum() and p.isascii() for p in labels):
        raise BadInput(
            "not an entry of the list of allowed networks",
            expected="a network such as 10.1.0.0/16, or a host's name",
            got=entry,
        )
    if labels[-1].isdigit():  # such as 10.1.0.5/16, or 10.1: meant as a network
        raise BadInput("not a network", expected="one such as 10.1.0.0/16", got=entry)
    return name
