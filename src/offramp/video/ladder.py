"""What is given up, and in which order, while the machine is too slow for its cameras.

First depth: no frame is taken further than exit `cap`, one exit less at each level, but no camera
is taken below the first exit that has the mIoU it wants. Then frames: cameras together keep a half,
a quarter, an eighth of their frames, shared out by weight. Beyond that nothing is left but to shed
what comes too late, which the scheduler does at any level; the last level only says so.

A level is descended as soon as frames go unanswered twice in a row, and climbed back after a calm
time. Whether the level above fits is known only of the number of frames; how many of them need the
deeper exits is up to the scenes. So it is tried, and each trial that fails doubles the calm that
the next one needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHARES = (0.5, 0.25, 0.125)
"""Shares of the frames that are kept, level by level."""

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


@dataclass(frozen=True)
class Demand:
    """What one camera wants.

    Attributes:
        weight: its share, against those of the others.
        floor: the first exit that may answer it.
        fps: frames per second that it sends at present.
        live: frames may be left out.
    """

    weight: float
    floor: int
    fps: float
    live: bool = True


@dataclass(frozen=True)
class Load:
    """How the last period went.

    Attributes:
        frames: how many ended, those thinned out for the frame rate's sake left aside.
        missed: of those, how many were displaced, shed, rejected, or ended by their deadline.
        busy: share of the workers' time that was used.
    """

    frames: int
    missed: int
    busy: float


@dataclass(frozen=True)
class Level:
    """One level of degradation.

    Attributes:
        name: in a word.
        cap: the last exit that may answer.
        share: of the frames that are kept.
    """

    name: str
    cap: int
    share: float


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

    def update(self, now: float, load: Load, demands: Mapping[str, Demand]) -> Change | None:
        """Look at the last period, and move by one level at most.

        Args:
            now: the time.
            load: how the period went.
            demands: all cameras.
        """
        lowest = min((demand.floor for demand in demands.values()), default=0)
        self.levels = _levels(self.last, lowest)
        self.level = min(self.level, len(self.levels) - 1)
        missed = load.missed / load.frames if load.frames else 0.0
        if now > self._climbed + TRIAL_S and self._climbed > float("-inf"):
            self._patience_s, self._climbed = PATIENCE_S, float("-inf")  # the trial went well
        self._short = self._short + 1 if missed > SHORT else 0
        if missed > CALM or load.busy > MOST_BUSY or self._grown(load) > 1.0:
            self._calm_since = now
        if self._short >= HASTE and self.level + 1 < len(self.levels):
            return self._descend(now, load)
        if self.level and now - self._calm_since >= self._patience_s:
            calm = f"{now - self._calm_since:.0f} s without misses, {100 * load.busy:.0f} % busy"
            self._calm_since, self._climbed = now, now
            return self._move(-1, calm)
        return None

    def limits(self, demands: Mapping[str, Demand]) -> dict[str, tuple[int, float]]:
        """Give each camera's last exit, and the share of its frames that is kept."""
        level = self.current
        live = {name: demand for name, demand in demands.items() if demand.live}
        rates = [demand.fps for demand in live.values()]
        kept = fill(rates, [d.weight for d in live.values()], level.share * sum(rates))
        shares = {
            name: least / rate if rate > 0 else 1.0
            for name, least, rate in zip(live, kept, rates, strict=True)
        }
        return {
            name: (max(level.cap, min(demand.floor, self.last)), shares.get(name, 1.0))
            for name, demand in demands.items()
        }

    def _grown(self, load: Load) -> float:
        """Tell how busy the level above would be by its frames alone, were they no deeper."""
        above = self.levels[max(self.level - 1, 0)]
        return load.busy * above.share / self.current.share

    def _descend(self, now: float, load: Load) -> Change:
        if self._climbed > float("-inf"):
            self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
            self._climbed = float("-inf")
        self._short = 0
        self._calm_since = now
        return self._move(1, f"{load.missed} of {load.frames} frames were missed or cut short")

    def _move(self, by: int, reason: str) -> Change:
        before = self.level
        self.level += by
        return Change(before, self.level, self.current.name, reason)


def fill(rates: Sequence[float], weights: Sequence[float], total: float) -> list[float]:
    """Share out `total` by weight, giving none more than its rate (weighted max-min fairness).

    Args:
        rates: what each asks for, frames per second.
        weights: the shares that they have against each other.
        total: what there is.

    Returns:
        What each gets: min(rate, level · weight) with one level for all.
    """
    given = [0.0] * len(rates)
    left = total
    weight = sum(weights)
    # Those that ask for least for their weight are satisfied first; the others share the rest.
    for index in sorted(range(len(rates)), key=lambda i: rates[i] / weights[i]):
        given[index] = min(rates[index], left * weights[index] / weight)
        left -= given[index]
        weight -= weights[index]
    return given


def _levels(last: int, lowest: int) -> tuple[Level, ...]:
    """List the levels from the full network down to the lowest floor of any camera."""
    deepest = min(lowest, last)
    caps = [Level(f"exit {cap + 1}", cap, 1.0) for cap in range(last - 1, deepest - 1, -1)]
    rates = [Level(f"rate 1/{round(1 / share)}", deepest, share) for share in SHARES]
    shed = Level("shed", deepest, SHARES[-1])
    return (Level("full", last, 1.0), *caps, *rates, shed)
