"""How long work tells how far it is, without knowing who listens.

A `Track` wraps an iterable, as `tqdm` does. Libraries take one as an argument and default to
`silent`; the command line passes one that draws a bar or prints plain lines.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Yield what `items` yields, and show progress towards `total` under `label`."""

    def __call__(self, items: Iterable[T], total: int, label: str) -> Iterable[T]: ...


def silent(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Show nothing."""
    yield from items
