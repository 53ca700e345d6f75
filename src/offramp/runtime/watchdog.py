"""Calls what must stop when its time is up: one thread for all steps of the process."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """Watches steps that have to end by a certain moment.

    The thread is started by the first step that is watched. It sleeps until the earliest moment
    that any step named, be that step over or not, so only a step with a still earlier one wakes it:
    as the steps of a frame share one deadline, that is once a frame at most.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        # Few steps run at a time, so a look at all of them is cheaper than keeping an order.
        self._watched: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes = math.inf
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, until: float, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` once, from another thread, if the block has not ended by `until`.

        After the block `stop` is not called any more.
        """
        ticket = object()
        with self._changed:
            self._watched[ticket] = (until, stop)
            if until < self._wakes or not self._runs():
                self._wakes = until
                self._wake()
        try:
            yield
        finally:
            with self._changed:
                self._watched.pop(ticket, None)

    def _runs(self) -> bool:
        """Tell whether the thread is there; a fork leaves the child without it."""
        return self._thread is not None and self._thread.is_alive()

    def _wake(self) -> None:
        """Have the thread look again, or start it."""
        if not self._runs():
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = self._clock()
                for ticket in [key for key, (until, _) in self._watched.items() if until <= now]:
                    self._watched.pop(ticket)[1]()
                if now >= self._wakes:
                    rest = (until for until, _ in self._watched.values())
                    self._wakes = min(rest, default=math.inf)
                self._changed.wait(None if self._wakes == math.inf else self._wakes - now)
