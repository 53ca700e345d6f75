"""Logins of browsers: a random cookie stands for a token, so that no page ever holds one."""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

COOKIE = "offramp_session"
LASTS_S = 12 * 3600.0
MOST = 1000


class Logins:
    """Who is logged in. Only hashes of the cookies are kept.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()

    def begin(self, digest: bytes) -> str:
        """Log in whoever has the token of this SHA-256; returns the cookie."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._open[_hash(cookie)] = (digest, self._clock() + LASTS_S)
            if len(self._open) > MOST:
                self._open.popitem(last=False)
        return cookie

    def digest(self, cookie: str) -> bytes | None:
        """Tell the SHA-256 of the token behind a cookie; none if it is unknown or too old."""
        with self._lock:
            digest, until = self._open.get(_hash(cookie), (None, 0.0))
            if digest is not None and self._clock() >= until:
                del self._open[_hash(cookie)]
                return None
            return digest

    def end(self, cookie: str) -> None:
        """Log out."""
        with self._lock:
            self._open.pop(_hash(cookie), None)


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
