"""The paths through a bundle, each walked whatever the scores say, and timed step by step."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from offramp.core.bundle import Bundle
from offramp.core.model import Size
from offramp.data.images import Array
from offramp.policies.policy import Policy, RulePolicy
from offramp.runtime.engine import Engine
from offramp.runtime.engines import open_engine

FULL = -1
"""The course to the network's own end that reads no other head; others are exits of a plan."""


@dataclass(frozen=True)
class Lap:
    """What one walk took, in milliseconds.

    Attributes:
        total: from the frame to its labels.
        read: asking the head that answered, its scores included.
        decision: all decisions of the policy on the way.
        decode: enlarging the answer to the input size.
    """

    total: float
    read: float = 0.0
    decision: float = 0.0
    decode: float = 0.0


class Contender(Protocol):
    """Something that is timed against others."""

    def courses(self) -> Mapping[int, Callable[[], Lap]]:
        """Offer what can be walked: by exit, or `FULL`."""
        ...


class Paths:
    """A bundle in an engine.

    Rules are asked, as a live session does, but not followed; so it is no matter whether they
    were fitted in the engine's precision.

    Args:
        bundle: what to walk through.
        engine: with its graphs loaded.
        clock: seconds that only go forward.
    """

    def __init__(
        self, bundle: Bundle, engine: Engine, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        plan = bundle.manifest.plan
        self.bundle = bundle
        self.engine = engine
        self.points = tuple(planned.point for planned in plan.exits)
        self.policy: Policy = RulePolicy.of(plan)
        self._size = bundle.manifest.model.size
        self._frame = noise(self._size)
        self._clock = clock

    @classmethod
    def open(
        cls,
        folder: Path,
        engine: str = "onnxruntime",
        threads: int | None = None,
        precision: str | None = None,
    ) -> "Paths":
        """Open a bundle in an engine; arguments and errors as for `engines.open_engine`."""
        bundle = Bundle.open(folder)
        return cls(bundle, open_engine(engine, bundle, threads, precision))

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of images that each exit answers; all at the last where the plan says none."""
        told = tuple(planned.share for planned in self.bundle.manifest.plan.exits)
        return told if sum(told) > 0 else (*(0.0 for _ in told[1:]), 1.0)

    def courses(self) -> Mapping[int, Callable[[], Lap]]:
        """Offer the path to each exit of the plan, and the network without early exits."""
        walks = {last: partial(self.walk, last) for last in range(len(self.points))}
        return {**walks, FULL: self.full}

    def walk(self, last: int) -> Lap:
        """Go to exit `last` as a live session does: every head on the way is read, and decided."""
        now, decision = self._clock, 0.0
        start = now()
        state = self.engine.begin(self._frame)
        for index in range(last + 1):
            state = self.engine.advance(index, state)
            before = now()
            reading = self.engine.read(index, state.beside(None, None))
            read = now()
            if index + 1 < len(self.points):
                self.policy.stops(index, reading.scores)
                decision += now() - read
        begun = now()
        self.engine.decode(reading.logits, self._size)
        end = now()
        spent = (end - start, read - before, decision, end - begun)
        return Lap(*(1000 * seconds for seconds in spent))

    def full(self) -> Lap:
        """Go to the network's own end, past all other heads."""
        return self.straight(len(self.bundle.manifest.segments) - 1)

    def straight(self, last: int) -> Lap:
        """Go to segment `last`, and read its head alone."""
        now = self._clock
        start = now()
        state = self.engine.begin(self._frame)
        for index in range(last + 1):
            state = self.engine.advance(index, state)
        before = now()
        reading = self.engine.read(last, state.beside(None, None))
        read = now()
        self.engine.decode(reading.logits, self._size)
        end = now()
        return Lap(1000 * (end - start), 1000 * (read - before), 0.0, 1000 * (end - read))


def noise(size: Size) -> Array:
    """Make a frame uint8 H×W×3: a forced path takes the same time whatever it sees."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
