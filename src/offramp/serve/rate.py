"""How often somebody may try: several limits over sliding windows of time, all of them kept."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

LOGIN: tuple[tuple[int, float], ...] = ((1, 1.0), (5, 60.0), (20, 3600.0))
"""Attempts to log in, and in how many seconds, by one address."""

MOST_CALLERS = 10_000


class Rate:
    """Counts the attempts of each caller.

    Args:
        limits: attempts and seconds: no more than so many in so much time.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        limits: Sequence[tuple[int, float]] = LOGIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = tuple(limits)
        self._clock = clock
        self._keep = max(count for count, _ in limits)
        self._attempts: OrderedDict[str, deque[float]] = OrderedDict()

    def attempt(self, caller: str) -> float:
        """Count an attempt if it is allowed; returns the seconds to wait before it is, else 0."""
        now = self._clock()
        times = self._attempts.setdefault(caller, deque(maxlen=self._keep))
        self._attempts.move_to_end(caller)
        if len(self._attempts) > MOST_CALLERS:  # whoever was silent for longest is forgotten
            self._attempts.popitem(last=False)
        wait = 0.0
        for count, seconds in self._limits:
            if len(times) >= count:
                wait = max(wait, times[-count] + seconds - now)
        if wait <= 0:
            times.append(now)
        return max(wait, 0.0)
