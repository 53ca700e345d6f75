"""Where a camera is: parsed, checked, and never shown with its password.

An address is one of

    rtsp://[user:password@]host[:port]/path     also rtsps, http and https (MJPEG)
    /dev/video0 or usb:0                        a camera at this machine
    synthetic:WIDTHxHEIGHT@FPS[?seed=N]         a drawn scene in motion
    a file or a folder

Whatever prints an `Address` prints it redacted; `secret` is the only way to the whole text.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from offramp.core.errors import BadInput, UnknownName
from offramp.video.guard import Guard

NETWORK_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Schemes of cameras in the network, and the port of each."""

SCHEMES = (*NETWORK_PORTS, "usb", "synthetic", "file")

LONGEST = 2048

_SECRET = re.compile(
    r"(?i)((?:pass(?:word|wd)?|pwd|pw|token|secret|api_?key|key|auth|sig(?:nature)?)=)[^&;/\s'\"]*"
)
_USERINFO = re.compile(r"//([^/@\s:'\"]*):[^/\s'\"]*@")
_SYNTHETIC = re.compile(r"(\d{1,5})x(\d{1,5})@(\d+(?:\.\d+)?)(?:\?seed=(\d{1,9}))?")


@dataclass(frozen=True)
class Scene:
    """A synthetic camera: its size in pixels, its rate, and what is drawn."""

    width: int
    height: int
    fps: float
    seed: int = 0


@dataclass(frozen=True, repr=False)
class Address:
    """Where a camera is.

    Attributes:
        kind: the scheme; `file` for files and folders.
        secret: the whole address, with its password. Do not print it.
        host: name or address in the network; empty otherwise.
        port: its port; 0 otherwise.
        guard: what the address must keep to; none if the operator gave it.
    """

    kind: str
    secret: str
    host: str = ""
    port: int = 0
    guard: Guard | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str, guard: Guard | None = None) -> "Address":
        """Read an address.

        Args:
            text: the address.
            guard: for addresses that others than the operator gave: what they may lead to.

        Raises:
            UnknownName: the scheme is not one of `SCHEMES`.
            BadInput: the address is no usable one, or the guard refuses it.
        """
        if not text.isprintable() or not text.strip() or len(text) > LONGEST:
            raise BadInput("not a camera's address", got=repr(redact(text))[:80], repair=_HELP)
        kind, rest = _scheme(text)
        if guard is not None and kind not in NETWORK_PORTS:
            what = "only cameras in the network are accepted here"
            raise BadInput(what, expected=", ".join(NETWORK_PORTS), got=redact(text))
        if kind in NETWORK_PORTS:
            host, port = _host(text, kind)
            if guard is not None:
                guard.check_name(host, port)
            return cls(kind, text, host, port, guard)
        if kind == "usb":
            return cls(kind, _device(rest))
        address = cls(kind, rest if kind == "file" else text)
        if kind == "synthetic":
            address.scene()
        return address

    @property
    def live(self) -> bool:
        """Whether frames come when they come, rather than when they are asked for."""
        return self.kind != "file"

    def scene(self) -> Scene:
        """Read what a synthetic camera shows.

        Raises:
            BadInput: it is not written as it should be.
        """
        found = _SYNTHETIC.fullmatch(self.secret.partition(":")[2])
        if found is not None:
            width, height = int(found[1]), int(found[2])
            fps = float(found[3])
            if 16 <= width <= 7680 and 16 <= height <= 4320 and 0 < fps <= 1000:
                return Scene(width, height, fps, int(found[4] or 0))
        raise BadInput(
            "not a synthetic camera",
            expected="synthetic:WIDTHxHEIGHT@FPS[?seed=N], 16x16 to 7680x4320",
            got=self.secret,
        )

    def pinned(self) -> str:
        """Give the URL to connect to; a guarded one has a checked address in place of its name.

        Raises:
            OSError: the name cannot be resolved.
            BadInput: the guard refuses what it resolves to.
        """
        if self.guard is None:
            return self.secret
        ip = self.guard.resolve(self.host, self.port)
        parts = urlsplit(self.secret)
        userinfo, at, _ = parts.netloc.rpartition("@")
        host = f"[{ip}]" if ":" in ip else ip
        netloc = f"{quote(userinfo, safe='%:!$&()*+,;=~-._')}{at}{host}:{self.port}"
        return parts._replace(netloc=netloc, fragment="").geturl()

    def clean(self, text: str) -> str:
        """Take what is secret about this address out of a text, such as a library's error."""
        text = text.replace(self.secret, str(self))
        if self.kind in NETWORK_PORTS:
            userinfo = urlsplit(self.secret).netloc.rpartition("@")[0]
            password = userinfo.partition(":")[2]
            for word in {password, unquote(password), quote(unquote(password), safe="")} - {""}:
                text = text.replace(word, "***")
        return redact(text)

    def __str__(self) -> str:
        return redact(self.secret)

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # In two steps: what a failed second step reports as its input is redacted already.
        return core_schema.chain_schema(
            [
                core_schema.no_info_plain_validator_function(_hide),
                core_schema.no_info_plain_validator_function(_show),
            ],
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "maxLength": LONGEST, "description": "Where the camera is."}


_HELP = f"an address begins with {', '.join(SCHEMES)}, or is a path"


def redact(text: str) -> str:
    """Hide passwords in a text: those of URLs, and values of keys such as `token`."""
    return _SECRET.sub(r"\1***", _USERINFO.sub(r"//\1:***@", text))


class _Hidden(str):
    """A text that shows itself redacted, and knows the whole."""

    __slots__ = ("secret",)
    secret: str


def _hide(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    hidden = _Hidden(redact(value))
    hidden.secret = value
    return hidden


def _show(value: Any) -> Address:
    if isinstance(value, Address):
        return value
    if isinstance(value, _Hidden):
        return Address.parse(value.secret)
    raise BadInput("not a camera's address", expected="a text", got=type(value).__name__)


def _scheme(text: str) -> tuple[str, str]:
    """Part an address into its kind and what follows."""
    if text.startswith("/dev/video"):
        return "usb", text
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    if found is None:
        return "file", text
    kind, rest = found[1].lower(), text[found.end() :]
    if kind not in SCHEMES:
        raise UnknownName("kind of camera", kind, SCHEMES)
    if kind in NETWORK_PORTS and not rest.startswith("//"):
        raise BadInput(f"not a {kind} address", expected=f"{kind}://host/path", got=redact(text))
    return kind, rest.removeprefix("//") if kind == "file" else rest


def _host(text: str, kind: str) -> tuple[str, int]:
    try:
        if " " in text or "\\" in text:
            raise ValueError("a space or a backslash")
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"not a {kind} address", got=redact(f"{text} ({error})")) from None
    if not host or port == 0 or not re.fullmatch(r"[\w.:%-]+", host):
        raise BadInput(f"not a {kind} address", expected=f"{kind}://host/path", got=redact(text))
    return host, port or NETWORK_PORTS[kind]


def _device(rest: str) -> str:
    device = f"/dev/video{rest}" if rest.isdigit() else rest
    if not re.fullmatch(r"/dev/video\d{1,3}", device):
        raise BadInput("not a camera at this machine", expected="/dev/video0 or usb:0", got=rest)
    return device
