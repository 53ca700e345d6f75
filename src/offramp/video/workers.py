"""The threads that compute: each takes the next step of some frame, runs it, and reports."""

import logging
import threading
import time
from collections.abc import Callable

from offramp.data.images import Array
from offramp.video.desk import Desk
from offramp.video.feed import Monitor
from offramp.video.job import Task
from offramp.video.ladder import PERIOD_S
from offramp.video.walk import Outcome, Runner

logger = logging.getLogger(__name__)


class Workers:
    """Threads at one desk.

    Args:
        desk: knows what is next.
        runner: runs it.
        changed: the lock of the desk, on which a worker waits for something to do.
        clock: seconds that only go forward.
        monitor: hears how answers compare with the last exit's.

    Attributes:
        going: steps are computed.
        draining: nothing new is to be taken in.
    """

    def __init__(
        self,
        desk: Desk,
        runner: Runner,
        changed: threading.Condition,
        clock: Callable[[], float],
        monitor: Monitor | None,
    ) -> None:
        self.going = self.draining = False
        self._desk = desk
        self._runner = runner
        self._changed = changed
        self._clock = clock
        self._monitor = monitor
        self._threads: list[threading.Thread] = []

    @property
    def open(self) -> bool:
        """Tell whether frames can be taken in."""
        return self.going and not self.draining

    def start(self) -> None:
        """Begin to compute; under the lock."""
        self.going, self.draining = True, False
        self._threads = [
            threading.Thread(target=self._work, name=f"analytics-{number}", daemon=True)
            for number in range(self._desk.scheduler.workers)
        ]
        for thread in self._threads:
            thread.start()

    def join(self, until: float) -> None:
        """Wait for all threads, until a time of `time.monotonic`; a hung one is left behind."""
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))

    def _work(self) -> None:
        while (task := self._next()) is not None:
            start = self._clock()
            outcome = self._run(task)
            with self._changed:
                now = self._clock()
                self._desk.done(task, outcome, now - start, now)
                notes = self._desk.notes()
                if self.draining:
                    self._changed.notify_all()  # it may have been the last
            for camera, loss, image in notes:
                self._note(camera, loss, image)

    def _next(self) -> Task | None:
        """Wait for something to do; none when all is stopped."""
        mine = threading.current_thread()
        with self._changed:
            while self.going and mine in self._threads:
                task = self._desk.next(self._clock())
                if task is not None:
                    return task
                if self.draining and not self._desk.scheduler.begun:
                    break
                self._changed.wait(PERIOD_S)
        return None

    def _run(self, task: Task) -> Outcome:
        """Run a step; an engine's exception costs this frame, not the worker."""
        try:
            return self._runner.run(task, area=self._desk.board.heard)
        except Exception:
            who = f"camera {task.job.flow}" if task.job.flow else "a request"
            logger.exception("%s: frame %d failed at %s", who, task.job.number, task.step)
            return Outcome(None, failed=True)

    def _note(self, camera: str, loss: float, image: Array) -> None:
        if self._monitor is None:
            return
        try:
            self._monitor.note(camera, loss, image)
        except Exception:  # a monitor's fault costs no frames
            logger.exception("camera %s: the monitor failed", camera)
