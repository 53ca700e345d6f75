"""Which step of which frame is computed next: pure, without threads, on a clock that is given.

What was begun goes first: that bounds the frames in memory by the workers, and what was spent on
a frame is not lost. Which frame is begun next, `Flows` says. Time that an early exit frees is not
anybody's: it goes to whichever frame waits (VIDEO §5.2).

No step is begun that would probably end too late. The best reading there is answers then, which
is counted as involuntary; where there is none the frame is shed before work is spent on it.
"""

from collections.abc import Iterable, Iterator

from offramp.video.counts import Reason
from offramp.video.fair import Flow, Flows
from offramp.video.job import REQUESTS, Decision, Ended, Fate, Job, Task
from offramp.video.predict import DECODE, Predictor, Step, path

PATIENCE_S = 10.0
"""A request without a deadline is refused if it would have to wait for longer."""

SHORTEST_RETRY_S = 0.05


class Scheduler:
    """Orders the steps of all frames.

    Args:
        predictor: knows how long steps take, and learns it from the reports.
        workers: how many steps run at a time.
        last: the last exit of the plan; the network's own end may lie behind it.
    """

    def __init__(self, predictor: Predictor, workers: int, last: int) -> None:
        self.predictor = predictor
        self.workers = workers
        self.last = last
        self._flows = Flows()
        self._ready: list[Job] = []
        self._running: list[Job] = []
        self._shadows: list[Job] = []
        self._ended: list[Ended] = []
        self.open(REQUESTS, newest=False, parallel=workers)

    @property
    def queued(self) -> int:
        """Count the frames that wait to be begun."""
        return self._flows.queued

    @property
    def begun(self) -> int:
        """Count the frames under way to their answer."""
        return self._flows.begun

    def open(
        self, name: str, weight: float = 1.0, *, newest: bool = True, parallel: int = 1
    ) -> None:
        """Take frames of a camera from now on; see `Flow`."""
        work = self.predictor.mean(path(0, self.last))
        self._flows.add(Flow(name, weight, newest, parallel, work, self.last))

    def close(self, name: str) -> None:
        """Forget a camera; what waits is dropped, no further step of what is under way begins."""
        self._drop(self._flows.remove(name).queue)
        self._forget([job for job in self._in_hand() if job.flow == name])

    def clear(self) -> None:
        """Drop all that waits, and begin no further step of what is under way."""
        self._drop(self._flows.empty())
        self._forget(self._in_hand())

    def limit(self, name: str, cap: int) -> None:
        """Let a camera's frames be answered by exit `cap` at the latest.

        Under a cap below its `floor` a job is answered at its floor.
        """
        self._flows.find(name).cap = cap

    def room(self, name: str) -> bool:
        """Tell whether none of a camera's frames waits."""
        return not self._flows.find(name).queue

    def offer(self, job: Job, now: float) -> Decision:
        """Take a frame, or say why not.

        A request is taken if what waits and its first exit fit before its deadline. A frame of a
        live camera takes the place of the one that waits; it is looked at again when its turn
        comes, for much may have ended early by then.
        """
        flow = self._flows.find(job.flow)
        if flow.name == REQUESTS:
            excess = self._excess(job, now)
            if excess > 0:
                self._end(job, "dropped", "rejected")
                return Decision(False, None, "rejected", max(excess, SHORTEST_RETRY_S))
        displaced = self._flows.put(flow, job)
        if displaced is not None:
            self._end(displaced, "dropped", "displaced")
        return Decision(True, displaced)

    def next(self, now: float) -> Task | None:
        """Choose what a free worker does; none if there is nothing to do.

        The caller must `report` each task, and look at what `ended` after each call.
        """
        while self._ready:
            job = min(self._ready, key=lambda job: job.urgency)
            self._ready.remove(job)
            step = self._step(job, job.lane, now)
            if step is not None:
                return self._task(job, step)
            self._finish(job, "shed")
        while (flow := self._flows.turn()) is not None:
            step = self._step(flow.queue[0], flow, now)
            if step is not None:
                return self._task(self._flows.begin(flow), step)
            self._end(flow.queue.popleft(), "shed")
        if self._shadows:
            job = self._shadows.pop(0)
            return self._task(job, job.steps(self.predictor.exits - 1)[0])
        return None

    def report(
        self,
        task: Task,
        seconds: float | None,
        *,
        stop: bool = False,
        same: bool = False,
        cut: bool = False,
        failed: bool = False,
    ) -> None:
        """Take in what a step led to.

        Args:
            task: as `next` gave it.
            seconds: how long it took; none if that says nothing of its kind.
            stop: the policy stops here.
            same: the scene is that of the answer before.
            cut: the step was cancelled because its time was up.
            failed: the engine raised an exception.
        """
        job = task.job
        self._running.remove(job)
        if seconds is not None:
            job.spent += seconds
            if not failed:
                self.predictor.observe(task.step, seconds)
        if failed or (cut and job.best < 0):
            self._finish(job, "failed" if failed else "shed")
        elif task.step == DECODE:
            self._done(job)
        elif job.gone:
            self._give_up(job)
        else:
            job.came(task.step, stop, same, cut)
            (self._shadows if job.answered else self._ready).append(job)

    def ended(self) -> list[Ended]:
        """Hand over what has ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def hung(self) -> list[Job]:
        """List the jobs whose step is under way."""
        return list(self._running)

    def _task(self, job: Job, step: Step) -> Task:
        self._running.append(job)
        if job.deadline is None or job.answered or job.best < 0 or step == DECODE:
            return Task(job, step)  # without a reading, cancelling would save nothing
        return Task(job, step, job.deadline - self.predictor.expect([DECODE]))

    def _step(self, job: Job, flow: Flow, now: float) -> Step | None:
        """Choose the job's next step; none if there is no time for any answer."""
        steps = job.steps(flow.cap)
        if job.deadline is None or steps == [DECODE]:
            return steps[0]
        # What was spent on the way to the first reading is lost without it: there the mean decides.
        sunk = job.at >= 0 and job.best < 0
        left = self.predictor.mean(steps) if sunk else self.predictor.expect(steps)
        if now + left <= job.deadline:
            return steps[0]
        self._doubt(job, steps)
        if job.best < 0:
            return None
        job.involuntary = True
        return DECODE

    def _doubt(self, job: Job, steps: list[Step]) -> None:
        """Doubt times that would leave no time for these steps even if the frame had not waited."""
        assert job.deadline is not None
        target = max(index for _, index in steps)
        whole = path(0, target, job.reads)
        if self.predictor.expect(whole) > job.deadline - job.received:
            for step in whole:
                self.predictor.refused(step)

    def _excess(self, job: Job, now: float) -> float:
        """Tell by how many seconds a request would probably miss its deadline."""
        first = self.predictor.expect(path(0, job.reads, job.reads))
        deadline = job.deadline if job.deadline is not None else now + PATIENCE_S + first
        return now + self._wait(self._flows.find(job.flow)) + first - deadline

    def _wait(self, flow: Flow) -> float:
        """Estimate the seconds until a further job of this flow would be begun.

        The worker that is free first may be so a frame later than the mean of all.
        """
        ahead = self._flows.ahead(flow)
        if not ahead and self.workers > len(self._running) + len(self._ready):
            return 0.0
        left = sum(max(job.charged - job.spent, 0.0) for job in self._under_way())
        return (left + ahead + flow.work * (self.workers - 1)) / self.workers

    def _in_hand(self) -> list[Job]:
        return [*self._ready, *self._running, *self._shadows]

    def _forget(self, jobs: list[Job]) -> None:
        """Begin no further step of these; those whose step is running end with its report."""
        for job in jobs:
            if not job.gone and job not in self._running:
                self._give_up(job)
            job.gone = True

    def _under_way(self) -> Iterator[Job]:
        return (job for job in (*self._ready, *self._running) if not job.answered)

    def _drop(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._end(job, "dropped", "removed")

    def _done(self, job: Job) -> None:
        """End a job that was decoded: with its answer, or after it with the comparison."""
        if job.answered:
            self._end(job, "compared")
            return
        shadowed = job.sampled and job.best < self.predictor.exits - 1
        self._finish(job, "answered")
        if shadowed and not job.gone and len(self._shadows) < self.workers:
            job.compare(self.predictor.exits - 1)
            self._shadows.append(job)

    def _give_up(self, job: Job) -> None:
        """End a job whose camera is there no more."""
        for queue in (self._ready, self._shadows):
            if job in queue:
                queue.remove(job)
        if not job.answered:
            self._flows.settle(job, whole=False)
            self._end(job, "dropped", "removed")

    def _finish(self, job: Job, fate: Fate) -> None:
        """End a job that was begun; a comparison that fails ends without a word."""
        if not job.answered:
            self._flows.settle(job, whole=fate == "answered")
            self._end(job, fate)

    def _end(self, job: Job, fate: Fate, reason: Reason | None = None) -> None:
        self._ended.append(Ended(job, fate, reason))
