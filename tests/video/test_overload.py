"""The ladder over the scheduler on simulated time: what is left when too much is asked."""

import numpy as np
import pytest

from offramp.video.gauge import Gauge
from offramp.video.job import Job, Task
from offramp.video.ladder import PERIOD_S, Change, Ladder
from tests.video.simulation import Machine, Stops, always, every, never, poisson

CAMERAS = [f"c{k}" for k in range(20)]
WORKERS = 2
CAPACITY = WORKERS / 0.012
"""Frames a second that the machine can take to the first exit."""

FULL_CAPACITY = WORKERS / 0.034
DEADLINE_S = 0.15
SETTLED_S = 10.0
"""When the ladder has come to rest."""


class Watched(Machine):
    """A machine that lowers its level when it is short, as `Desk` does."""

    def __init__(self, stops: Stops, until: float) -> None:
        super().__init__(workers=WORKERS, stops=stops, noise=0.1)
        self.gauge = Gauge(WORKERS, 0.0)
        self.ladder = Ladder(self.scheduler.last)
        self.changes: list[Change] = []
        self._seen = 0
        for name in CAMERAS:
            self.scheduler.open(name, parallel=WORKERS)
        for when in every(PERIOD_S, until, PERIOD_S):
            self.at(when, self._look)

    def _report(self, task: Task, seconds: float) -> None:
        self.gauge.worked(seconds, live=True)
        super()._report(task, seconds)

    def _look(self) -> None:
        for ended in self.ended[self._seen :]:
            self.gauge.ended(ended)
        self._seen = len(self.ended)
        floors = dict.fromkeys(CAMERAS, 0)
        change = self.ladder.update(self.now, self.gauge.look(self.now), floors)
        self.changes += [change] if change else []
        for name, cap in self.ladder.caps(floors).items():
            self.scheduler.limit(name, cap)

    def load(self, rate: float, start: float, until: float, deadline_s: float) -> None:
        """Let all cameras together send so many frames a second, each at a steady rate."""
        gap = len(CAMERAS) / rate
        for name in CAMERAS:
            times = every(gap, until, start + gap * float(self.rng.random()))
            self.arrivals(name, times, deadline_s)

    def goodput(self, until: float) -> float:
        """Count the answers in time, per second, once settled."""
        good = [job for job in self.answered() if self._good(job) and job.received < until]
        return len(good) / (until - SETTLED_S)

    def _good(self, job: Job) -> bool:
        assert job.deadline is not None
        return job.received >= SETTLED_S and self.when[id(job)] <= job.deadline

    def late(self) -> float:
        """Tell the share of the answers that came after their deadline."""
        jobs = self.answered()
        return sum(self.when[id(job)] > (job.deadline or 0.0) for job in jobs) / len(jobs)


@pytest.mark.parametrize("factor", [1.1, 1.3, 2.0, 5.0])
def test_overload_costs_no_goodput(factor: float) -> None:
    """No worker rests while more is asked than can be done, at whatever level."""
    machine = Watched(always, 25.0)
    machine.load(factor * CAPACITY, 0.0, 25.0, DEADLINE_S)
    machine.run()
    assert machine.goodput(25.0) >= 0.95 * CAPACITY
    assert machine.late() <= 0.01
    assert [change.name for change in machine.changes] == ["exit 2", "exit 1", "rate"]


def test_bursts_cost_little_goodput() -> None:
    machine = Watched(always, 40.0)
    rng = np.random.default_rng(3)
    for name in CAMERAS:
        machine.arrivals(name, poisson(rng, 1.1 * CAPACITY / len(CAMERAS), 40.0), DEADLINE_S)
    machine.run()
    assert machine.goodput(40.0) >= 0.9 * CAPACITY
    assert machine.late() <= 0.01


def test_depth_is_given_up_for_frames_and_comes_back_when_the_load_falls() -> None:
    """Twice what the first exit can do is six times what the whole network can."""
    machine = Watched(never, 45.0)
    machine.load(2 * CAPACITY, 0.0, 20.0, DEADLINE_S)
    machine.load(0.6 * FULL_CAPACITY, 20.0, 45.0, DEADLINE_S)
    machine.run()
    assert machine.goodput(20.0) >= 0.95 * CAPACITY
    assert machine.late() <= 0.01
    names = [change.name for change in machine.changes]
    assert names == ["exit 2", "exit 1", "rate", "exit 1", "exit 2", "full"]
    after = [job for job in machine.answered() if job.received > 40.0]
    assert len(after) == pytest.approx(5 * 0.6 * FULL_CAPACITY, abs=len(CAMERAS))
    assert {job.best for job in after} == {2}


def test_frames_without_time_for_the_first_exit_are_an_overload() -> None:
    """A camera's turn comes every 120 ms; frames that waited for over about 20 ms are too late."""
    machine = Watched(always, 60.0)
    machine.load(1.2 * CAPACITY, 0.0, 20.0, deadline_s=0.035)
    machine.load(0.3 * CAPACITY, 20.0, 60.0, deadline_s=0.035)
    machine.run()
    assert machine.goodput(20.0) >= 0.95 * CAPACITY
    names = [change.name for change in machine.changes]
    assert names[:4] == ["exit 2", "exit 1", "rate", "shed"]
    assert names[4:] == ["rate", "exit 1", "exit 2", "full"]
