"""What became of every frame, counted.

    received = answered + dropped + shed + failed + pending

holds for each camera at any time, and for requests. What is counted besides is a part of the
answered: late, involuntary, same.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from offramp.video.answer import Answer

BOUNDS_MS = (5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 3000.0)
"""Upper ends of the latency histogram's buckets; one more bucket holds what is slower."""

FPS_WINDOW_S = 10.0

Reason = Literal["displaced", "rejected", "removed"]
REASONS: tuple[Reason, ...] = ("displaced", "rejected", "removed")
"""Why a frame was dropped before it was begun, or given up later: a newer one came; the
request could not be admitted; its camera was removed or paused, or all stopped."""


@dataclass(frozen=True)
class Histogram:
    """How long answers took.

    Attributes:
        bounds_ms: upper ends of the buckets, included.
        counts: answers in each bucket, not summed up; one more than bounds.
        sum_ms: of all latencies.
    """

    bounds_ms: tuple[float, ...]
    counts: tuple[int, ...]
    sum_ms: float


@dataclass(frozen=True)
class Counts:
    """The counters of one camera, or of requests; they only ever grow, but for `pending`.

    Attributes:
        received: frames taken.
        answered: frames answered.
        exits: answered by each exit, in the order of `Statistics.points`; sums to `answered`.
        dropped: frames not begun, by each of `REASONS`.
        shed: frames for which time had become too short even for the first exit.
        failed: frames at which the engine raised an exception.
        pending: frames that wait or are being computed.
        late: of the answered, those after their deadline.
        involuntary: of the answered, those that the deadline ended, not the policy.
        same: of the answered, those whose scene had not changed.
        shadowed: answers that were compared with the last exit's.
        latency: of the answered.
    """

    received: int
    answered: int
    exits: tuple[int, ...]
    dropped: Mapping[str, int]
    shed: int
    failed: int
    pending: int
    late: int
    involuntary: int
    same: int
    shadowed: int
    latency: Histogram


@dataclass(frozen=True)
class Statistics:
    """Everything that is counted, at one moment.

    Attributes:
        engine: its label.
        points: position of each exit; what exits are counted by.
        cameras: counters by camera.
        requests: counters of requests.
        level: of degradation; 0: none.
        level_name: the same in a word, as "full", "exit 1", "rate", "shed".
        levels: how many levels there are at present.
        workers: threads that compute.
        busy_s: seconds that they have computed, together.
        utilisation: share of the last seconds in which they did, from 0 to 1.
        queued: frames that wait.
        begun: frames that are being computed.
        uptime_s: since the start.
    """

    engine: str
    points: tuple[str, ...]
    cameras: Mapping[str, Counts]
    requests: Counts
    level: int
    level_name: str
    levels: int
    workers: int
    busy_s: float
    utilisation: float
    queued: int
    begun: int
    uptime_s: float


@dataclass
class Ledger:
    """The counters of one camera, being kept.

    Attributes:
        exits: how many exits there are to count by.
    """

    exits: int
    received: int = 0
    shed: int = 0
    failed: int = 0
    late: int = 0
    involuntary: int = 0
    same: int = 0
    shadowed: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))

    def __post_init__(self) -> None:
        self._taken = [0] * self.exits
        self._buckets = [0] * (len(BOUNDS_MS) + 1)
        self._sum_ms = 0.0
        self._latencies = deque[float](maxlen=500)
        self._when = deque[float](maxlen=4000)
        self._agreement = deque[float](maxlen=200)

    @property
    def answered(self) -> int:
        """Sum what the exits answered."""
        return sum(self._taken)

    def answer(self, answer: Answer, now: float) -> None:
        """Count an answer that is given `now`."""
        self._taken[answer.exit] += 1
        self.late += answer.late
        self.involuntary += answer.involuntary
        self.same += answer.same
        self._buckets[bisect_left(BOUNDS_MS, answer.latency_ms)] += 1
        self._sum_ms += answer.latency_ms
        self._latencies.append(answer.latency_ms)
        self._when.append(now)

    def shadow(self, loss: float) -> None:
        """Count an answer that lost `loss` against the last exit's."""
        self.shadowed += 1
        self._agreement.append(1 - loss)

    def counts(self) -> Counts:
        """Freeze the counters."""
        ended = self.answered + sum(self.dropped.values()) + self.shed + self.failed
        return Counts(
            received=self.received,
            answered=self.answered,
            exits=tuple(self._taken),
            dropped=dict(self.dropped),
            shed=self.shed,
            failed=self.failed,
            pending=self.received - ended,
            late=self.late,
            involuntary=self.involuntary,
            same=self.same,
            shadowed=self.shadowed,
            latency=Histogram(BOUNDS_MS, tuple(self._buckets), self._sum_ms),
        )

    def fps(self, now: float, since: float) -> float:
        """Count the answers of the last 10 seconds, or of the time since `since` if less."""
        window = max(min(FPS_WINDOW_S, now - since), 1e-9)
        recent = sum(when > now - window for when in self._when)
        return recent / max(window, 1.0)

    def latency_ms(self) -> tuple[float, float] | None:
        """Give the 50th and 95th percentile of the last 500 latencies; none without answers."""
        if not self._latencies:
            return None
        p50, p95 = np.percentile(self._latencies, (50, 95))
        return float(p50), float(p95)

    def agreement(self) -> float | None:
        """Average what the last 200 compared answers had in common with the last exit's."""
        return sum(self._agreement) / len(self._agreement) if self._agreement else None
