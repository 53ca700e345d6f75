"""How often: a rate that is measured, a rate that is kept to, and turns that keep a gap."""

import random
import threading
from collections import deque


class Rate:
    """Events a second over the last seconds.

    Args:
        span_s: how far back it looks.
    """

    def __init__(self, span_s: float = 5.0) -> None:
        self.span_s = span_s
        self._times: deque[float] = deque(maxlen=1024)

    def note(self, now: float) -> None:
        """Note an event."""
        self._times.append(now)

    def value(self, now: float) -> float:
        """Give the rate; 0 without two events within the span."""
        times = [t for t in tuple(self._times) if now - t <= self.span_s]
        if len(times) < 2:
            return 0.0
        # Silence since the last event counts once it is longer than an interval.
        interval = (times[-1] - times[0]) / (len(times) - 1)
        span = max(times[-1] - times[0], now - times[0] - interval)
        return (len(times) - 1) / span if span > 0 else 0.0


class RateCap:
    """Says which events to keep, so that there are no more than so many a second.

    Events that come between two turns use the turn up; a late one does not delay the next, so
    that 15 events a second leave 10 where 10 are wanted, not 7.5.

    Args:
        per_s: how many to keep; absent: all.
    """

    def __init__(self, per_s: float | None) -> None:
        self._interval = 1.0 / per_s if per_s else 0.0
        self._due = float("-inf")

    def keeps(self, at_s: float) -> bool:
        """Say whether to keep the event at this time."""
        if at_s < self._due - 1e-9:
            return False
        late = at_s - self._due
        self._due = (self._due if late < self._interval else at_s) + self._interval
        return True

    def reset(self) -> None:
        """Forget the time: the clock of the events has jumped."""
        self._due = float("-inf")


class Stagger:
    """Keeps connections apart: each begins some time after the one before.

    Args:
        gap_s: mean time between two.
        rng: draws the jitter.
    """

    def __init__(self, gap_s: float = 0.05, rng: random.Random | None = None) -> None:
        self.gap_s = gap_s
        self._rng = rng or random.Random()
        self._next = float("-inf")
        self._lock = threading.Lock()

    def claim(self, now: float) -> float:
        """Claim the next turn; seconds until it comes."""
        with self._lock:
            turn = max(now, self._next)
            self._next = turn + self.gap_s * self._rng.uniform(0.5, 1.5)
            return turn - now
