"""A bounded number of things at a time; what is too much is refused at once, not queued."""

from collections.abc import Iterator
from contextlib import contextmanager

from offramp.serve.refusals import Refused


class Slots:
    """Places of which each is taken by one at a time; for one event loop.

    Args:
        count: how many there are.
        what: what takes them, in the plural.
    """

    def __init__(self, count: int, what: str) -> None:
        self._free = count
        self._count = count
        self._what = what

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._count - self._free

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place while the block lasts.

        Raises:
            Refused: 429, none is free.
        """
        if self._free < 1:
            raise Refused(429, f"there are {self._count} {self._what} already", 1.0)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
