"""Time bundles and graphs in turn, round after round, so that what disturbs one disturbs all."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from offramp.core.progress import Track, silent
from offramp.runtime.energy import Meter
from offramp.runtime.paths import FULL, Contender, Lap, Paths
from offramp.runtime.spread import Spread

Times = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Laps:
    """R walks of one course, in milliseconds; each shape R, see `paths.Lap`.

    Attributes:
        energy_mj: mean millijoules of a walk; none where no counter can be read.
    """

    total: Times
    read: Times
    decision: Times
    decode: Times
    energy_mj: float | None = None

    @property
    def fps(self) -> float:
        """Frames a second, one after another."""
        return 1000 / float(self.total.mean())


@dataclass(frozen=True)
class Timed:
    """One contender's times.

    Attributes:
        paths: the path to each exit of its plan; none for a graph that has no exits.
        full: the network without early exits, or the whole graph.
        shares: of images, by exit; as many as there are paths.
    """

    paths: tuple[Laps, ...]
    full: Laps
    shares: tuple[float, ...]

    @property
    def alone(self) -> "Timed":
        """Its full network, as a contender without exits."""
        return Timed((), self.full, ())

    @property
    def expected(self) -> float:
        """Milliseconds of an image: the medians of the paths, weighted by their shares."""
        if not self.paths:
            return Spread.of(self.full.total).p50
        return sum(s * Spread.of(p.total).p50 for s, p in zip(self.shares, self.paths, strict=True))

    @property
    def rounds(self) -> Times:
        """What an image would have taken in each round: paths weighted by their shares; R."""
        if not self.paths:
            return self.full.total
        return np.tensordot(self.shares, np.stack([path.total for path in self.paths]), axes=1)

    @property
    def energy_mj(self) -> float | None:
        """Millijoules of an image, paths weighted by their shares; none where unknown."""
        if not self.paths:
            return self.full.energy_mj
        spent = [path.energy_mj for path in self.paths]
        known = [energy for energy in spent if energy is not None]
        return float(np.dot(self.shares, known)) if len(known) == len(spent) else None


def bench(
    contenders: Sequence[Contender],
    rounds: int = 100,
    warm_up: int = 10,
    meter: Meter | None = None,
    track: Track = silent,
) -> list[Timed]:
    """Time every course of every contender in turn.

    Args:
        contenders: what to time.
        rounds: how often each course is walked.
        warm_up: rounds that do not count.
        meter: reads the energy beside the time.
        track: shows progress.
    """
    courses = {
        (number, course): walk
        for number, contender in enumerate(contenders)
        for course, walk in contender.courses().items()
    }
    laps = interleaved(courses, rounds, warm_up, meter, track)
    found = []
    for number, contender in enumerate(contenders):
        paths = tuple(laps[key] for key in courses if key[0] == number and key[1] != FULL)
        shares = contender.shares if isinstance(contender, Paths) else ()
        found.append(Timed(paths, laps[number, FULL], shares))
    return found


def interleaved(
    courses: Mapping[Key, Callable[[], Lap]],
    rounds: int,
    warm_up: int = 10,
    meter: Meter | None = None,
    track: Track = silent,
) -> dict[Key, Laps]:
    """Walk every course once a round, every other round from the last to the first.

    So each has either neighbour before it equally often, and none profits from its place.
    """
    kept: dict[Key, list[Lap]] = {key: [] for key in courses}
    spent: dict[Key, list[float]] = {key: [] for key in courses}
    order = list(courses)
    for number in track(range(warm_up + rounds), warm_up + rounds, "timing"):
        for key in order if number % 2 == 0 else reversed(order):
            before = meter.read() if meter else {}
            lap = courses[key]()
            if number >= warm_up:
                kept[key].append(lap)
                if meter:
                    spent[key].append(meter.since(before))
    return {key: _together(kept[key], spent[key]) for key in courses}


def paired(theirs: Timed, ours: Timed) -> Spread:
    """Divide their time of an image by ours, round by round."""
    return Spread.of(theirs.rounds / ours.rounds)


def _together(laps: list[Lap], energies: list[float]) -> Laps:
    def column(kind: str) -> Times:
        return np.array([getattr(lap, kind) for lap in laps], dtype=np.float64)

    return Laps(
        total=column("total"),
        read=column("read"),
        decision=column("decision"),
        decode=column("decode"),
        energy_mj=float(np.mean(energies)) if energies else None,
    )
