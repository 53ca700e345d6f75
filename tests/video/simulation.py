"""A machine of made-up speed under the scheduler, on a clock that jumps from event to event."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count

import numpy as np

from offramp.video.job import Ended, Job, Task
from offramp.video.predict import Predictor, Step, path
from offramp.video.scheduler import Scheduler

Stops = Callable[[Job, int], bool]

STEPS_S = {"advance": 0.010, "read": 0.001, "decode": 0.001}


def never(job: Job, exit: int) -> bool:
    return False


def always(job: Job, exit: int) -> bool:
    return True


class Machine:
    """Workers that take steps of given times.

    Args:
        exits: of the network.
        workers: how many steps run at a time.
        stops: the policy.
        noise: spread of the times (sigma of a log-normal factor).
    """

    def __init__(
        self,
        exits: int = 3,
        workers: int = 2,
        stops: Stops = never,
        noise: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.noise = noise
        self.stops = stops
        self.exits = exits
        predictor = Predictor(exits)
        for _ in range(20):
            for step in path(0, exits - 1):
                predictor.observe(step, self.seconds(step))
        self.scheduler = Scheduler(predictor, workers, exits - 1)
        self.ended: list[Ended] = []
        self.when: dict[int, float] = {}
        self.tasks: list[tuple[float, Task]] = []
        self.now = 0.0
        self._free = workers
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def seconds(self, step: Step) -> float:
        return STEPS_S[step[0]] * float(np.exp(self.rng.normal(0, self.noise)))

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), do))

    def arrivals(self, flow: str, times: Iterable[float], deadline_s: float | None = 0.2) -> None:
        """Let frames of a camera arrive."""
        for number, when in enumerate(times):
            due = when + deadline_s if deadline_s is not None else None
            job = Job(flow, number, when, self.exits - 1, deadline=due)
            self.at(when, lambda job=job: self.offer(job))  # type: ignore[misc]

    def offer(self, job: Job) -> None:
        self.scheduler.offer(job, self.now)

    def run(self) -> "Machine":
        """Run until nothing is left to do."""
        while self._events:
            self.now, _, do = heapq.heappop(self._events)
            do()
            self._collect()
            while self._free and (task := self.scheduler.next(self.now)) is not None:
                self._free -= 1
                self.tasks.append((self.now, task))
                seconds = self.seconds(task.step)
                self.at(self.now + seconds, lambda t=task, s=seconds: self._report(t, s))  # type: ignore[misc]
            self._collect()
        return self

    def fates(self, flow: str | None = None) -> Counter[str]:
        """Count what became of the frames."""
        return Counter(e.fate for e in self.ended if flow in (None, e.job.flow))

    def answered(self, flow: str | None = None) -> list[Job]:
        return [e.job for e in self.ended if e.fate == "answered" and flow in (None, e.job.flow)]

    def latency(self, job: Job) -> float:
        return self.when[id(job)] - job.received

    def _report(self, task: Task, seconds: float) -> None:
        self._free += 1
        kind, index = task.step
        stop = kind == "read" and (index == self.exits - 1 or self.stops(task.job, index))
        self.scheduler.report(task, seconds, stop=stop)

    def _collect(self) -> None:
        for ended in self.scheduler.ended():
            self.ended.append(ended)
            self.when.setdefault(id(ended.job), self.now)


def every(seconds: float, until: float, start: float = 0.0) -> list[float]:
    """List times at a steady rate."""
    return list(np.arange(start, until, seconds))


def poisson(rng: np.random.Generator, rate: float, until: float) -> list[float]:
    """Draw random times."""
    times = np.cumsum(rng.exponential(1 / rate, int(2 * rate * until) + 20))
    return [float(when) for when in times if when < until]
