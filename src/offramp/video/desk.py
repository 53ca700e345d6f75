"""Where frames come in and answers go out: scheduler, ladder and counters together.

Holds no thread and no lock: whoever calls holds the one lock of `Analytics`.
"""

import logging
import random

from offramp.core.errors import BadInput, UnknownName
from offramp.data.images import Array
from offramp.video import told
from offramp.video.camera import Shot
from offramp.video.counts import Ledger, Statistics
from offramp.video.events import Board
from offramp.video.feed import Feed, Monitor
from offramp.video.gauge import Gauge
from offramp.video.job import REQUESTS, Decision, Ended, Job, Task
from offramp.video.ladder import PERIOD_S, SHED, Ladder
from offramp.video.scheduler import Scheduler
from offramp.video.walk import Anchor, Outcome, Walk, answer_of

logger = logging.getLogger(__name__)


class Desk:
    """Takes frames in and counts what becomes of them.

    Args:
        scheduler: orders the steps.
        points: position of each exit; the plan's, and the network's own end.
        names: of the classes.
        board: where events are told.
        now: the time at the start.
        use_exits: frames may be answered before the network's own end.
        compares: the plan compares answers with those before.
        shadow: share of the answers to compare with the last exit's.
        monitor: hears how these compare.
        rng: picks them.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        points: tuple[str, ...],
        names: tuple[str, ...],
        board: Board,
        now: float,
        *,
        use_exits: bool,
        compares: bool,
        shadow: float,
        monitor: Monitor | None,
        rng: random.Random,
    ) -> None:
        self.scheduler = scheduler
        self.points = points
        self.board = board
        self.feeds: dict[str, Feed] = {}
        self.requests = Ledger(len(points))
        self.ladder = Ladder(scheduler.last, now)
        self.gauge = Gauge(scheduler.workers, now)
        self._names = names
        self._started = now
        self._use_exits = use_exits
        self._compares = compares
        self._shadow = shadow
        self._monitor = monitor
        self._rng = rng
        self._notes: list[tuple[str, float, Array]] = []

    def add(self, feed: Feed) -> None:
        """Watch a camera.

        Raises:
            BadInput: there is one of its name.
        """
        name = feed.spec.name
        if name in self.feeds:
            raise BadInput(f"there is a camera '{name}' already", repair="choose another name")
        parallel = 1 if self._compares else self.scheduler.workers
        self.scheduler.open(name, feed.spec.weight, newest=feed.live, parallel=parallel)
        self.feeds[name] = feed
        self._limit()

    def remove(self, name: str) -> Feed:
        """Watch a camera no longer; what it has under way comes to nothing."""
        feed = self.feed(name)
        self.scheduler.close(name)
        self._settle()
        del self.feeds[name]
        return feed

    def feed(self, name: str) -> Feed:
        """Find a camera.

        Raises:
            UnknownName: there is none of this name.
        """
        if name not in self.feeds:
            raise UnknownName("camera", name, self.feeds)
        return self.feeds[name]

    def floor(self, feed: Feed) -> int:
        """Tell the first exit that may answer a camera, by its wish and by the monitor's."""
        if not self._use_exits:
            return self.scheduler.last
        return min(max(feed.floor, self._tightened(feed)), self.scheduler.last)

    def shot(self, feed: Feed, shot: Shot, now: float) -> None:
        """Take in a camera's frame."""
        last = self.scheduler.last
        walk = Walk(shot.image, feed, shot.time_s, feed.cells, feed.anchor)
        # A file's frames have no one who waits for them, and none is left out.
        due = feed.spec.deadline_ms if feed.live else None
        job = Job(feed.spec.name, shot.number, shot.received, last, frame=walk)
        job.deadline = shot.received + due / 1000 if due is not None else None
        job.floor = self.floor(feed)
        job.sampled = not self.ladder.level and self._rng.random() < self._shadow
        if not self._use_exits:
            self._pin(job, self.scheduler.predictor.exits - 1)
        feed.ledger.received += 1
        self.scheduler.offer(job, now)
        self._settle()

    def request(
        self, image: Array, deadline_s: float | None, exit: int | None, now: float
    ) -> tuple[Job, Decision]:
        """Take in a request, or refuse it; `exit` is the one that shall answer, if any."""
        self.requests.received += 1
        job = Job(REQUESTS, self.requests.received, now, self.scheduler.last, frame=Walk(image))
        job.deadline = now + deadline_s if deadline_s is not None else None
        if exit is not None or not self._use_exits:
            self._pin(job, exit if exit is not None else self.scheduler.predictor.exits - 1)
        decision = self.scheduler.offer(job, now)
        self._settle()
        return job, decision

    def next(self, now: float) -> Task | None:
        """Choose what a free worker does, after a look at the load if one is due."""
        if now - self.gauge.looked >= PERIOD_S:
            self._look(now)
        task = self.scheduler.next(now)
        self._settle()
        for feed in self.feeds.values():
            if not feed.live and self.scheduler.room(feed.spec.name):
                shot = feed.camera.take()
                if shot is not None:
                    self.shot(feed, shot, now)
                    task = task or self.scheduler.next(now)
        return task

    def done(self, task: Task, outcome: Outcome, seconds: float, now: float) -> None:
        """Take in what a task led to.

        Args:
            task: as `next` gave it.
            outcome: what it led to.
            seconds: how long the worker was busy with it.
            now: the time.
        """
        feed: Feed | None = task.job.frame.owner
        self.gauge.worked(seconds, live=feed is None or feed.live)
        self.scheduler.report(
            task,
            outcome.seconds,
            stop=outcome.stop,
            same=outcome.same,
            cut=outcome.cut,
            failed=outcome.failed,
        )
        self._settle(now)

    def clear(self) -> None:
        """Drop all that waits."""
        self.scheduler.clear()
        self._settle()

    def give_up(self) -> None:
        """Wake requests whose step does not end."""
        for job in self.scheduler.hung():
            job.frame.fate = "dropped"
            job.frame.ended.set()

    def statistics(self, engine: str, now: float) -> Statistics:
        """Freeze all counters."""
        return Statistics(
            engine=engine,
            points=self.points,
            cameras={name: feed.ledger.counts() for name, feed in self.feeds.items()},
            requests=self.requests.counts(),
            level=self.ladder.level,
            level_name=self.ladder.current.name,
            levels=len(self.ladder.levels),
            workers=self.scheduler.workers,
            busy_s=self.gauge.busy_s,
            utilisation=self.gauge.utilisation,
            queued=self.scheduler.queued,
            begun=self.scheduler.begun,
            uptime_s=now - self._started,
        )

    def _tightened(self, feed: Feed) -> int:
        if self._monitor is None:
            return 0
        try:
            return self._monitor.floor(feed.spec.name) or 0
        except Exception:  # a monitor's fault costs no frames
            logger.exception("camera %s: the monitor failed", feed.spec.name)
            return 0

    @staticmethod
    def _pin(job: Job, exit: int) -> None:
        job.cap = job.floor = job.reads = exit

    def _settle(self, now: float = 0.0) -> None:
        """Count what has ended; answers end `now`."""
        for ended in self.scheduler.ended():
            self._count(ended, now)

    def _count(self, ended: Ended, now: float) -> None:
        job = ended.job
        feed: Feed | None = job.frame.owner
        ledger = self.requests if feed is None else feed.ledger
        if ended.fate == "compared":
            self._compared(job, feed)
            return
        self.gauge.ended(ended)
        if ended.fate == "answered":
            self._answered(job, feed, ledger, now)
        elif ended.fate == "dropped" and ended.reason is not None:
            ledger.dropped[ended.reason] += 1
        elif ended.fate == "shed":
            ledger.shed += 1
        else:
            ledger.failed += 1
        job.frame.fate = ended.fate
        job.frame.ended.set()

    def _answered(self, job: Job, feed: Feed | None, ledger: Ledger, now: float) -> None:
        answer = answer_of(job, self.points, now)
        job.frame.answer = answer
        ledger.answer(answer, now)
        walk: Walk = job.frame
        if feed is not None and self.feeds.get(job.flow) is not feed:
            return  # it was removed meanwhile
        if self.board.heard:
            self.board.publish(told.of_answer(answer, walk.area, self._names))
        if feed is None:
            return
        if feed.latest is None or answer.number > feed.latest.number:
            feed.latest = answer
            feed.cells = walk.reading.cells if walk.reading is not None else None
        if job.stop and walk.cells is not None:
            feed.anchor = Anchor(walk.cells, answer.labels, answer.exit, answer.scores)
        if job.sampled and job.best == self.scheduler.predictor.exits - 1:
            walk.loss = 0.0  # the last exit's answer itself
            self._compared(job, feed)

    def _compared(self, job: Job, feed: Feed | None) -> None:
        walk: Walk = job.frame
        if feed is None or walk.loss is None:
            return
        feed.ledger.shadow(walk.loss)
        self._notes.append((job.flow, walk.loss, walk.image))

    def notes(self) -> list[tuple[str, float, Array]]:
        """Hand over what the monitor shall hear: camera, loss and image, since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def _look(self, now: float) -> None:
        """Look at the load of the last period, and let the ladder move."""
        change = self.ladder.update(now, self.gauge.look(now), self._floors())
        self._limit()
        if change is not None:
            self.board.publish(told.of_level(change))
            if change.name == SHED:
                self.board.publish(told.of_overload(change))

    def _floors(self) -> dict[str, int]:
        return {name: self.floor(feed) for name, feed in self.feeds.items()}

    def _limit(self) -> None:
        """Put the level into force."""
        for name, cap in self.ladder.caps(self._floors()).items():
            self.feeds[name].cap = cap
            self.scheduler.limit(name, cap)
        self.scheduler.limit(REQUESTS, self.ladder.current.cap)
