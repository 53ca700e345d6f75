"""How long a step takes on this machine at this time, learned from how long it took."""

from bisect import bisect_left, insort
from collections import deque
from math import ceil

WINDOW = 100
"""Times that are kept of each step."""

DOUBTS = 5
"""A step that was refused so often without being tried loses its slowest time."""


class Times:
    """The last times of one step, in seconds."""

    def __init__(self) -> None:
        self._order = deque[float]()
        self._sorted: list[float] = []
        self._sum = 0.0
        self._refused = 0

    def add(self, seconds: float) -> None:
        """Take in a measured time; the oldest goes."""
        self._refused = 0
        if len(self._order) == WINDOW:
            self._drop(self._order.popleft())
        self._order.append(seconds)
        insort(self._sorted, seconds)
        self._sum += seconds

    def refused(self) -> None:
        """Note that the step was not tried because of what these times say.

        Otherwise one freak time could rule a step out for ever: what never runs is never
        measured again.
        """
        self._refused += 1
        if self._refused >= DOUBTS and len(self._order) > 1:
            self._refused = 0
            slowest = self._sorted[-1]
            self._order.remove(slowest)
            self._drop(slowest)

    def mean(self) -> float:
        """Average the times; 0 without any."""
        return max(self._sum, 0.0) / len(self._order) if self._order else 0.0

    def expect(self, share: float) -> float:
        """Give the time within which the step ended in `share` of the cases; 0 without any."""
        if not self._order:
            return 0.0
        return self._sorted[max(ceil(share * len(self._sorted)), 1) - 1]

    def _drop(self, seconds: float) -> None:
        del self._sorted[bisect_left(self._sorted, seconds)]
        self._sum -= seconds
