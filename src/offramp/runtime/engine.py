"""The protocol of an engine: the one path of every network, on a bundle's graphs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from offramp.core.errors import UnknownName
from offramp.data.images import Array

ENGINES = ("onnxruntime",)


@dataclass(frozen=True)
class State:
    """How far a frame has come: the values by name that later graphs may take."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """What an exit says: logits as the engine holds them, and the score on the host."""

    logits: Any
    score: float


class Engine(Protocol):
    """Runs the graphs of one bundle.

    Attributes:
        label: engine, version and threads, as benchmarks print it.
    """

    label: str

    def begin(self, frame: Array) -> State:
        """Take a frame uint8 RGB H×W×3 of the bundle's input size."""
        ...

    def advance(self, index: int, state: State) -> State:
        """Run segment `index`."""
        ...

    def read(self, index: int, state: State) -> Reading:
        """Ask the head of exit `index`."""
        ...

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        """Enlarge an answer to labels uint8 H×W of height and width `size`."""
        ...


def check_engine(name: str) -> None:
    """Refuse an engine that there is not.

    Raises:
        UnknownName: no engine has this name.
    """
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES)
