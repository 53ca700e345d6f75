"""The protocol of an engine: the one path of every network, on a bundle's graphs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from offramp.core.bundle import EXIT_BEFORE, FRAME_BEFORE
from offramp.core.errors import BadInput
from offramp.data.images import Array


class OutOfTime(Exception):
    """A step was cancelled because its time was up; what came before it still stands."""


@dataclass(frozen=True)
class State:
    """How far a frame has come: the values by name that later graphs may take."""

    values: Mapping[str, Any]

    def beside(self, exit_before: Any, frame_before: Any) -> "State":
        """Add the labels that heads may compare theirs with; nothing where none came before."""
        before = {EXIT_BEFORE: exit_before, FRAME_BEFORE: frame_before}
        return State({**self.values, **{k: NOBODY if v is None else v for k, v in before.items()}})


@dataclass(frozen=True)
class Reading:
    """What an exit says: logits as the engine holds them, and its scores on the host.

    Attributes:
        logits: 1×C×h×w.
        scores: one for each that the plan names.
        cells: labels uint8 1×h×w, if a score compares with labels.
    """

    logits: Any
    scores: tuple[float, ...]
    cells: Array | None = None


NOBODY: Array = np.full((1, 1, 1), 255, dtype=np.uint8)
"""Labels that agree with none."""


def on_grid(cells: Array, height: int, width: int) -> Array:
    """Take labels 1×h'×w' to another grid 1×h×w, as `scores.agreement` compares grids."""
    rows = np.arange(height) * cells.shape[1] // height
    columns = np.arange(width) * cells.shape[2] // width
    return np.ascontiguousarray(cells[:, rows[:, None], columns[None, :]])


def count_threads(threads: int | None) -> int:
    """Take the number of threads that was asked for; absent: all cores that the process may use.

    Raises:
        BadInput: it is below 1.
    """
    if threads is not None and threads < 1:
        raise BadInput("the number of threads", expected="1 or more", got=str(threads))
    return threads or len(os.sched_getaffinity(0))


def settle(engine: str, asked: str | None, planned: str, able: Sequence[str], why: str = "") -> str:
    """Decide in which precision an engine computes a bundle.

    Args:
        engine: its name.
        asked: the precision that was asked for; absent: the plan's if it is able to, else the
            first that it is able to.
        planned: the plan's.
        able: the precisions in which it can compute this bundle here.
        why: why it can do no other, and what helps.

    Raises:
        BadInput: it can compute in none, or not in the one that was asked for.
    """
    if asked in able or (asked is None and able):
        return asked or (planned if planned in able else able[0])
    raise BadInput(
        f"the engine {engine} cannot compute this bundle in that precision here",
        expected=" or ".join(able),
        got=asked or planned,
        repair=why,
    )


class Engine(Protocol):
    """Runs the graphs of one bundle.

    Several frames may be under way at a time, each from a thread of its own.

    Attributes:
        name: what it is asked for by, see `runtime.engines`.
        label: engine, version and threads, as benchmarks print it.
        precision: of the numbers in which it computes: "f32", "bf16" or "int8".
    """

    name: str
    label: str
    precision: str

    def begin(self, frame: Array) -> State:
        """Take a frame uint8 RGB H×W×3 of the bundle's input size."""
        ...

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        """Run segment `index`.

        Args:
            index: which segment.
            state: what the segments before it gave.
            until: on the clock of `time.perf_counter`; an engine that can cancel a running step
                does so then, another takes no notice.

        Raises:
            OutOfTime: the step was cancelled; `state` stays good.
        """
        ...

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        """Ask the head of exit `index`; `until` as in `advance`."""
        ...

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        """Enlarge an answer to labels uint8 H×W of height and width `size`."""
        ...
