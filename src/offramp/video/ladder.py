"""What is given up, and in which order, while the machine is too slow for its cameras.

First depth: no frame is taken further than exit `cap`, one exit less at each level, but no camera
is taken below the first exit that has the mIoU it wants. Then frames: of each camera only the
newest waits, and their turns are shared out by weight, so that each camera's frame rate falls to
its fair share by itself and no worker rests while a frame waits. Where frames are so late that not
even the first exit is in time, they are shed. The scheduler does both at any level; the last two
levels only say so.

A level is descended as soon as frames go unanswered twice in a row, and climbed back after a calm
time. Whether the level above fits depends on how many frames need the deeper exits, which is up to
the scenes. So it is tried, and each trial that fails doubles the calm that the next one needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PERIOD_S = 1.0
"""Between two looks at the load."""

SHORT = 0.05
"""Share of the frames missed from which the machine counts as short."""

HASTE = 2
"""Looks in a row that must find it short."""

CALM = 0.01
"""Share of the frames missed up to which it counts as calm, if also not more than
`MOST_BUSY` of the workers' time was used."""

MOST_BUSY = 0.85

PATIENCE_S = 5.0
LONGEST_PATIENCE_S = 60.0
TRIAL_S = 10.0
"""A level that has to be left downwards within this time after a climb was a trial that failed."""

RATE, SHED = "rate", "shed"


@dataclass(frozen=True)
class Load:
    """How the last period went.

    Attributes:
        frames: how many ended.
        missed: of those, how many were displaced, shed, rejected, or ended by their deadline.
        lost: of the missed, those without time even for the first exit: shed, or rejected.
        busy: share of the workers' time that was used.
    """

    frames: int
    missed: int
    lost: int
    busy: float


@dataclass(frozen=True)
class Level:
    """One level of degradation.

    Attributes:
        name: in a word.
        cap: the last exit that may answer.
    """

    name: str
    cap: int


@dataclass(frozen=True)
class Change:
    """A change of the level.

    Attributes:
        before: the level before.
        after: the level now.
        name: of the level now.
        reason: why, in a sentence.
    """

    before: int
    after: int
    name: str
    reason: str


class Ladder:
    """Keeps the level, and moves it.

    Args:
        last: the last exit of the plan.
        now: the time at the start.
    """

    def __init__(self, last: int, now: float = 0.0) -> None:
        self.last = last
        self.level = 0
        self.levels = _levels(last, 0)
        self._short = 0
        self._patience_s = PATIENCE_S
        self._calm_since = now
        self._climbed = float("-inf")

    @property
    def current(self) -> Level:
        """The level that holds now."""
        return self.levels[self.level]

    def update(self, now: float, load: Load, floors: Mapping[str, int]) -> Change | None:
        """Look at the last period, and move by one level at most.

        Args:
            now: the time.
            load: how the period went.
            floors: the first exit that may answer each camera.
        """
        change = self._fit(floors)
        if change is not None:
            return change
        if now > self._climbed + TRIAL_S and self._climbed > float("-inf"):
            self._patience_s, self._climbed = PATIENCE_S, float("-inf")  # the trial went well
        shed = self.current.name == SHED
        # That frames are displaced is what `rate` means; it is too little if others are lost.
        missed = load.lost if self.current.name in (RATE, SHED) else load.missed
        self._short = self._short + 1 if missed > SHORT * load.frames else 0
        calm = load.missed <= CALM * load.frames and load.busy <= MOST_BUSY
        if not (load.lost <= CALM * load.frames if shed else calm):
            self._calm_since = now
        if self._short >= HASTE and not shed:
            return self._descend(now, load)
        if self.level and now - self._calm_since >= self._patience_s:
            return self._climb(now, load)
        return None

    def caps(self, floors: Mapping[str, int]) -> dict[str, int]:
        """Give the last exit that may answer each camera."""
        return {name: max(self.current.cap, floor) for name, floor in floors.items()}

    def _fit(self, floors: Mapping[str, int]) -> Change | None:
        """List the levels anew; the one that holds is left only if there is none of its name."""
        name, before = self.current.name, self.level
        self.levels = _levels(self.last, min(floors.values(), default=0))
        names = [level.name for level in self.levels]
        if name in names:
            self.level = names.index(name)
            return None
        self.level = names.index(RATE) - 1
        reason = "no camera may be answered by an earlier exit any more"
        return Change(before, self.level, self.current.name, reason)

    def _descend(self, now: float, load: Load) -> Change:
        if self._climbed > float("-inf"):
            self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
            self._climbed = float("-inf")
        self._short = 0
        self._calm_since = now
        reason = f"{load.missed} of {load.frames} frames were missed or cut short"
        below = self.levels[self.level + 1].name
        if below == RATE:
            reason += ", and no exit can be lowered: newer frames take the place of waiting ones"
        elif below == SHED:
            reason = f"{load.lost} of {load.frames} frames had no time even for the first exit"
        return self._move(1, reason)

    def _climb(self, now: float, load: Load) -> Change:
        calm_s, lost = now - self._calm_since, self.current.name == SHED
        self._calm_since, self._climbed = now, now
        what = "frames given up" if lost else "misses"
        return self._move(-1, f"{calm_s:.0f} s without {what}, {100 * load.busy:.0f} % busy")

    def _move(self, by: int, reason: str) -> Change:
        before = self.level
        self.level += by
        return Change(before, self.level, self.current.name, reason)


def _levels(last: int, lowest: int) -> tuple[Level, ...]:
    """List the levels from the full network down to the lowest floor of any camera, and beyond."""
    caps = [Level(f"exit {cap + 1}", cap) for cap in range(last - 1, lowest - 1, -1)]
    return (Level("full", last), *caps, Level(RATE, lowest), Level(SHED, lowest))
