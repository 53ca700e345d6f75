"""The events of all replicas in one stream, fetched from the others while somebody listens."""

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from offramp.serve.backend import Backend
from offramp.video.events import Board, Event, Kind, Subscription

logger = logging.getLogger(__name__)

KINDS: tuple[Kind, ...] = ("answer", "state", "level", "alarm")
SILENCE_S = 30.0
"""A replica from which nothing comes for so long is left; it sends a comment every 15 seconds."""


class Relay:
    """Hands the events of this replica and of all others to whoever listens here.

    Args:
        own: the engine of this replica.
        key: token that opens the others' events.
    """

    def __init__(self, own: Backend, key: str) -> None:
        self._own = own
        self._key = key
        self._board = Board()
        self._lock = threading.Lock()
        self._peers: dict[str, str] = {}
        self._sources: dict[str, _Remote] = {}
        self._near: Subscription | None = None

    def subscribe(self) -> Subscription:
        """Listen to everything from now on."""
        subscription = self._board.subscribe()
        self.keep(self._peers)
        return subscription

    def keep(self, peers: dict[str, str]) -> None:
        """Fetch from these replicas, if anybody listens; from none otherwise.

        Args:
            peers: URLs of the other replicas that live, by name.
        """
        with self._lock:
            self._peers = peers
            wanted = peers if self._board.heard else {}
            for name, source in tuple(self._sources.items()):
                if wanted.get(name) != source.url or source.over:
                    self._sources.pop(name).close()
            for name in wanted.keys() - self._sources.keys():
                self._sources[name] = _Remote(wanted[name], self._key, self._board)
            self._keep_near()

    def close(self) -> None:
        """End all."""
        self._board.close()
        self.keep({})

    def _keep_near(self) -> None:
        if self._near is not None and (self._near.closed or not self._board.heard):
            self._near.close()
            self._near = None
        if self._near is None and self._board.heard:
            self._near = self._own.subscribe()
            threading.Thread(target=self._pass_on, args=(self._near,), daemon=True).start()

    def _pass_on(self, subscription: Subscription) -> None:
        for event in subscription:
            self._board.publish(event)


class _Remote:
    """A thread that reads another replica's Server-Sent Events until closed."""

    def __init__(self, url: str, key: str, board: Board) -> None:
        self.url = url
        self.over = False
        self._key = key
        self._board = board
        self._closed = False
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=SILENCE_S)
        threading.Thread(target=self._read, name="offramp-relay", daemon=True).start()

    def close(self) -> None:
        """End; wakes the thread if it waits."""
        self._closed = True
        with contextlib.suppress(OSError, AttributeError):  # not connected, or no longer
            self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Host": "localhost"}
            self._connection.request("GET", "/api/events", headers=headers)
            response = self._connection.getresponse()
            if response.status == 200:
                for event in events(iter(response.readline, b"")):
                    if self._closed:
                        break
                    self._board.publish(event)
        except (OSError, HTTPException, ValueError, AttributeError) as error:
            if not self._closed:
                logger.info("no events from %s: %r", self.url, error)
        finally:
            self._connection.close()
            self.over = True


def events(lines: Iterator[bytes]) -> Iterator[Event]:
    """Read events as `/api/events` writes them."""
    named = ""
    for line in lines:
        word, _, rest = line.decode().rstrip("\r\n").partition(": ")
        if word == "event":
            named = rest
        kind = next((kind for kind in KINDS if kind == named), None)
        if word == "data" and kind is not None:
            payload = json.loads(rest)
            yield Event(kind, str(payload.pop("camera", "")), payload)
