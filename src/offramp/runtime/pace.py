"""How long steps take on this machine at this time, learned from how long they took."""

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Hashable
from math import ceil

REMEMBERED = 200
"""How many of a step's last times are looked back at."""

REFUSALS = 20
"""A step loses its slowest time whenever it was refused so often: it may have been a freak, and
what is never begun is never measured again."""


class Pace:
    """The last times of every step, and their quantiles.

    Args:
        remembered: how many times of each step count.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._last: dict[Hashable, deque[float]] = {}
        self._sorted: dict[Hashable, list[float]] = {}
        self._refused: Counter[Hashable] = Counter()

    def note(self, step: Hashable, seconds: float) -> None:
        """Remember that a step took so long; forget its oldest time."""
        last = self._last.setdefault(step, deque())
        ordered = self._sorted.setdefault(step, [])
        if len(last) == self._remembered:
            del ordered[bisect_left(ordered, last.popleft())]
        last.append(seconds)
        insort(ordered, seconds)

    def expect(self, step: Hashable, share: float) -> float:
        """Say within how many seconds a step ended in `share` of the times; 0 if never seen."""
        ordered = self._sorted.get(step)
        if not ordered:
            return 0.0
        return ordered[max(ceil(share * len(ordered)), 1) - 1]

    def refuse(self, step: Hashable) -> None:
        """Note that a step was not begun because of what was expected of it."""
        self._refused[step] += 1
        if self._refused[step] % REFUSALS == 0 and self._sorted.get(step):
            self._last[step].remove(self._sorted[step].pop())
