"""Logins that every replica knows: the cookie itself says which token it stands for, signed.

A cookie holds the time of its end, a random number, and the SHA-256 of a token, with an HMAC over
all of it by a key that the replicas share. A logout takes a cookie back for all of them.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Callable, Mapping

from offramp.serve.logins import LASTS_S, Logins

_HEAD = struct.Struct(">d16s32s")


class SignedLogins(Logins):
    """Who is logged in, without a list of it.

    Args:
        key: signs the cookies; the same on all replicas.
        tell: called with the hash of a cookie that was taken back, and the time of its end.
        clock: seconds since 1970: machines must agree about it.

    Attributes:
        ended: cookies that were taken back on any replica, by their hash.
    """

    def __init__(
        self,
        key: bytes,
        tell: Callable[[bytes, float], None] = lambda cookie, until: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock)
        self.ended: Mapping[bytes, float] = {}
        self._key = key
        self._tell = tell
        self._here: dict[bytes, float] = {}

    def begin(self, digest: bytes) -> str:
        """Log in whoever has the token of this SHA-256; returns the cookie."""
        head = _HEAD.pack(self._clock() + LASTS_S, secrets.token_bytes(16), digest)
        return base64.urlsafe_b64encode(head + self._sign(head)).decode()

    def digest(self, cookie: str) -> bytes | None:
        """Tell the SHA-256 of the token behind a cookie; none if it is not ours, or over."""
        read = self._read(cookie)
        if read is None:
            return None
        name = _name(cookie)
        return None if name in self.ended or name in self._here else read[1]

    def end(self, cookie: str) -> None:
        """Log out, on all replicas; what is no cookie of ours is ignored."""
        read = self._read(cookie)
        if read is not None and self.digest(cookie) is not None:
            now = self._clock()
            self._here = {k: v for k, v in self._here.items() if v > now}
            self._here[_name(cookie)] = read[0]
            self._tell(_name(cookie), read[0])

    def _read(self, cookie: str) -> tuple[float, bytes] | None:
        """Tell when a cookie ends and what it stands for; none unless it is ours and lasts."""
        try:
            content = base64.b64decode(cookie.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        head, signature = content[: _HEAD.size], content[_HEAD.size :]
        if len(head) < _HEAD.size or not hmac.compare_digest(signature, self._sign(head)):
            return None
        until, _, digest = _HEAD.unpack(head)
        return None if self._clock() >= until else (until, digest)

    def _sign(self, head: bytes) -> bytes:
        return hmac.digest(self._key, b"login" + head, "sha256")


def _name(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
