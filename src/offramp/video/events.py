"""What happens, told to whoever listens: bounded queues that lose the oldest first.

A listener that is slow, or gone without a word, costs a few hundred small records and no more.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

Kind = Literal["answer", "state", "level", "alarm"]

MOST_KEPT = 256
"""Events that wait for a listener."""


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: an answer was given, a camera changed its state, the level of degradation
            changed, or someone should look.
        camera: which; empty where it concerns none, or a request.
        payload: what there is to say, in values that JSON has.
    """

    kind: Kind
    camera: str
    payload: Mapping[str, Any]


class Subscription:
    """A listener's queue; close it, or leave its `with`, to unsubscribe.

    Attributes:
        missed: how many events were lost because the listener was slow.
    """

    def __init__(self, board: "Board", most: int) -> None:
        self.missed = 0
        self._board = board
        self._events = deque[Event](maxlen=most)
        self._changed = threading.Condition()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        """Yield events until the subscription is closed, from whichever side."""
        while (event := self.get()) is not None:
            yield event

    @property
    def closed(self) -> bool:
        """Tell whether no more events will come."""
        return self._closed

    def get(self, timeout: float | None = None) -> Event | None:
        """Wait for the next event; none if there was none in time, or all are closed.

        Args:
            timeout: seconds; absent: for ever.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed, timeout)
            return self._events.popleft() if self._events else None

    def close(self) -> None:
        """Listen no more; wakes whoever waits."""
        self._board.forget(self)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def put(self, event: Event) -> None:
        """Append an event; the oldest goes where there is no room."""
        with self._changed:
            self.missed += len(self._events) == self._events.maxlen
            self._events.append(event)
            self._changed.notify()


class Board:
    """Hands every event to every listener."""

    def __init__(self) -> None:
        self._listeners: tuple[Subscription, ...] = ()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def heard(self) -> bool:
        """Tell whether anybody listens."""
        return bool(self._listeners)

    def subscribe(self, most: int = MOST_KEPT) -> Subscription:
        """Add a listener, for which at most `most` events wait."""
        subscription = Subscription(self, most)
        with self._lock:
            closed = self._closed
            if not closed:
                self._listeners = (*self._listeners, subscription)
        if closed:
            subscription.close()
        return subscription

    def publish(self, event: Event) -> None:
        """Tell all; never waits."""
        for listener in self._listeners:
            listener.put(event)

    def forget(self, subscription: Subscription) -> None:
        """Remove a listener; nothing happens if it is none."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not subscription)

    def open(self) -> None:
        """Take listeners again."""
        self._closed = False

    def close(self) -> None:
        """Close all subscriptions."""
        with self._lock:
            self._closed = True
        for listener in self._listeners:
            listener.close()
