"""A bad wire between a camera and who reads it: passes bytes on, spoils them, holds them, cuts."""

import random
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

Mood = Literal["clean", "flip", "hold"]


class Proxy:
    """Listens on 127.0.0.1 and passes connections on to a port there.

    Args:
        target: the port behind it.
        share: of the bytes from the target that are spoilt in the mood "flip".
        seed: of which.

    Attributes:
        port: where it listens.
        mood: what happens to the bytes from the target: they pass, some are spoilt, or all are held
            back with the connection open.
    """

    def __init__(self, target: int, share: float = 0.01, seed: int = 0) -> None:
        self.mood: Mood = "clean"
        self._target = target
        self._share = share
        self._rng = random.Random(seed)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def set(self, mood: Mood) -> float:
        """Change the mood; gives the time on `time.perf_counter`."""
        self.mood = mood
        return time.perf_counter()

    def cut(self) -> float:
        """Close all connections; new ones are taken. Gives the time."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        return time.perf_counter()

    def close(self) -> None:
        """Listen no more, and cut."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=2)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs.append((near, far))
            for source, sink, spoils in ((near, far, False), (far, near, True)):
                threading.Thread(
                    target=self._pass, args=(source, sink, spoils), daemon=True
                ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, spoils: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if spoils and self.mood == "hold":
                    continue
                sink.sendall(self._spoilt(data) if spoils and self.mood == "flip" else data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if spoils:  # the side that the camera's end closes last
            for one in (source, sink):
                one.close()

    def _spoilt(self, data: bytes) -> bytes:
        """Turn one bit of each byte that is hit."""
        spoilt = bytearray(data)
        for _ in range(max(1, round(len(data) * self._share))):
            spoilt[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(spoilt)
