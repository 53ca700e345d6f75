"""Many cameras on one engine: threads that take the scheduler's next step, one after another.

    camera threads ──frames──► desk (scheduler, ladder, counters) ◄──requests── other threads
                                 │ next step        ▲ what came of it
                                 ▼                  │
                              worker threads ──► engine

Each worker computes one step of one frame at a time on one thread of the engine: as many frames
go on as there are cores, and none waits at a barrier for another. All that is shared lies behind
one lock, which is never held while the engine computes.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from offramp.core.bundle import EXIT_BEFORE, FRAME_BEFORE, Bundle
from offramp.core.errors import BadInput
from offramp.data.images import Array
from offramp.policies.policy import Policy, RulePolicy
from offramp.runtime.engine import Engine
from offramp.runtime.engines import open_engine
from offramp.runtime.session import check_precision
from offramp.video import request, told
from offramp.video.answer import Answer, Unanswered
from offramp.video.camera import CameraSpec
from offramp.video.counts import Ledger, Statistics
from offramp.video.desk import Desk
from offramp.video.events import Board, Event, Subscription
from offramp.video.feed import Feed, Monitor, Opener, Watched, cameras, floor_of
from offramp.video.monitor import Watch
from offramp.video.predict import Predictor
from offramp.video.scheduler import Scheduler
from offramp.video.walk import Runner
from offramp.video.workers import Workers

FINISH_S = 0.1
"""How long a worker has beyond all grace to come out of a step that ends."""


class Analytics:
    """Answers the frames of many cameras, and requests beside them.

    Args:
        bundle: a bundle, or its folder.
        engine: name of the engine, or one that is open already.
        workers: frames that are computed at a time; absent: one a core that may be used.
        threads: of the engine; 1 unless workers are fewer than cores.
        policy: when to stop; absent: the plan's rules.
        use_exits: answer early; otherwise every answer is the full network's, for comparison.
        skip_same: give a camera's last answer again where the first exit says the same of this
            share of its cells as it did for that answer; absent: never.
        shadow: share of the answers, from 0 to 1, that are compared with the last exit's once
            workers are free.
        monitor: hears how these compare, and may forbid the first exits.
        clock: seconds that only go forward; that of the cameras and the engine.
        open_camera: opens the cameras; absent: `video.camera.Camera`.
        rng: picks what is compared.

    Raises:
        BundleError: the bundle is not genuine or cannot be loaded.
        UnknownName: there is no such engine.
        BadInput: a number is out of its range, or the plan's rules are for another precision.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str,
        engine: str | Engine = "onnxruntime",
        *,
        workers: int | None = None,
        threads: int = 1,
        policy: Policy | None = None,
        use_exits: bool = True,
        skip_same: float | None = None,
        shadow: float = 0.0,
        monitor: Monitor | None = None,
        clock: Callable[[], float] = time.perf_counter,
        open_camera: Opener | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
        self.workers = len(os.sched_getaffinity(0)) if workers is None else workers
        _check_numbers(self.workers, skip_same, shadow)
        opened = (
            engine if not isinstance(engine, str) else open_engine(engine, self.bundle, threads)
        )
        self.engine: Engine = opened
        manifest = self.bundle.manifest
        check_precision(manifest.plan, self.engine)
        exits = len(manifest.segments)
        planned = tuple(planned.point for planned in manifest.plan.exits)
        self.points = (*planned, *(["end"] if exits > len(planned) else []))
        self.monitor = monitor
        self._clock = clock
        self._open_camera = open_camera or cameras(clock)
        self._board = Board()
        self._changed = threading.Condition()
        chosen = policy or RulePolicy.of(manifest.plan)
        runner = Runner(self.engine, self.bundle, chosen, skip_same, clock)
        predictor = Predictor(exits)
        runner.measure(predictor)
        before = {EXIT_BEFORE, FRAME_BEFORE}
        compares = any(before & set(head.takes) for head in manifest.heads)
        self._desk = Desk(
            Scheduler(predictor, self.workers, len(planned) - 1),
            self.points,
            tuple(manifest.model.names),
            self._board,
            clock(),
            use_exits=use_exits,
            compares=compares or skip_same is not None,
            shadow=shadow,
            monitor=monitor,
            rng=rng or random.Random(),
        )
        self._workers = Workers(self._desk, runner, self._changed, clock, monitor)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to compute; nothing happens if that was done."""
        with self._changed:
            if not self._workers.going:
                self._board.open()
                self._workers.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """End: cameras stop, what was taken in is answered, what is left then is dropped.

        Args:
            grace_s: seconds for all of that.
        """
        end = time.monotonic() + grace_s
        with self._changed:
            feeds = list(self._desk.feeds.values())
            self._workers.draining = True
            self._changed.notify_all()
        for feed in feeds:
            feed.camera.stop(0)
        self._workers.join(end)
        with self._changed:
            self._workers.going = False
            self._desk.clear()
            self._changed.notify_all()
        self._workers.join(end + FINISH_S)
        for feed in feeds:
            feed.camera.stop(max(end - time.monotonic(), 0.0))
        with self._changed:
            for feed in feeds:
                if self._desk.feeds.get(feed.spec.name) is feed:
                    self._desk.remove(feed.spec.name)
            self._desk.give_up()
        self._board.close()

    def add(self, spec: CameraSpec) -> None:
        """Watch a camera from now on.

        Raises:
            BadInput: there is one of its name.
        """
        floor = floor_of(self.bundle.manifest.plan, spec.min_miou)
        ledger = Ledger(len(self.points))
        last = len(self.bundle.manifest.plan.exits) - 1
        feed = Feed(spec, spec.address.live, floor, ledger, self._clock(), last)
        feed.camera = self._open_camera(
            spec, lambda: self._on_frame(feed), lambda: self._on_change(feed)
        )
        with self._changed:
            if self._workers.draining:
                raise BadInput("no camera can be added while all is stopped")
            self._desk.add(feed)
        feed.camera.start()

    def remove(self, name: str) -> None:
        """Watch a camera no longer.

        Raises:
            UnknownName: there is none of this name.
        """
        with self._changed:
            feed = self._desk.remove(name)
        feed.camera.stop(0)
        self._board.publish(told.of_removal(name))

    def pause(self, name: str) -> None:
        """Take no frames of a camera until `resume`; see `remove` for what is raised."""
        self._feed(name).camera.pause()
        self._on_change(self._feed(name))

    def resume(self, name: str) -> None:
        """Take frames of a camera again; see `remove` for what is raised."""
        self._feed(name).camera.resume()
        self._on_change(self._feed(name))

    def cameras(self) -> tuple[Watched, ...]:
        """Tell of all cameras, in the order in which they were added."""
        with self._changed:
            feeds = list(self._desk.feeds.values())
        status = [feed.camera.status() for feed in feeds]
        with self._changed:
            now, level = self._clock(), self._desk.ladder.level
            return tuple(
                feed.watched(one, level, self._desk.floor(feed), self._watch(feed), now)
                for feed, one in zip(feeds, status, strict=True)
            )

    def reopen(self, name: str) -> None:
        """Let all exits answer a camera again that the monitor has closed; see `remove`."""
        self._feed(name)
        if self.monitor is not None:
            self.monitor.reset(name)

    def latest(self, name: str) -> Answer | None:
        """Give the answer to a camera's newest frame that has one; see `remove` for errors."""
        return self._feed(name).latest

    def segment(
        self, image: Array, *, deadline_ms: float | None = None, exit: int | None = None
    ) -> Answer:
        """Answer one image, in its turn among the cameras' frames; waits for it.

        Args:
            image: uint8 RGB H×W×3 of any size.
            deadline_ms: from now; the best exit that fits answers. Absent: the policy decides.
            exit: index of the exit that shall answer, whatever the policy says.

        Raises:
            BadInput: the image, the deadline or the exit is none.
            Overloaded: there is more to do than fits before the deadline.
            TooLate: the deadline passed before there was an answer.
            Unanswered: the engine failed at it, or all was stopped.
        """
        request.check(image, deadline_ms, exit, len(self.points))
        deadline_s = None if deadline_ms is None else deadline_ms / 1000
        with self._changed:
            if not self._workers.open:
                raise Unanswered("nothing is computed: start it first")
            job, decision = self._desk.request(image, deadline_s, exit, self._clock())
            self._changed.notify()
        return request.wait(job, decision, deadline_s)

    def subscribe(self) -> Subscription:
        """Listen to what happens from now on."""
        return self._board.subscribe()

    def publish(self, event: Event) -> None:
        """Tell all listeners of something, such as a monitor's alarm."""
        self._board.publish(event)

    def statistics(self) -> Statistics:
        """Give all counters at this moment."""
        with self._changed:
            return self._desk.statistics(self.engine.label, self._clock())

    def _watch(self, feed: Feed) -> Watch | None:
        return None if self.monitor is None else self.monitor.watch(feed.spec.name)

    def _feed(self, name: str) -> Feed:
        with self._changed:
            return self._desk.feed(name)

    def _on_frame(self, feed: Feed) -> None:
        """Take a frame in; called by the camera's thread."""
        with self._changed:
            name = feed.spec.name
            here = self._desk.feeds.get(name) is feed and self._workers.open
            if not here or (not feed.live and not self._desk.scheduler.room(name)):
                return  # a file's frame waits where it is
            shot = feed.camera.take()
            if shot is not None:
                self._desk.shot(feed, shot, self._clock())
                self._changed.notify()

    def _on_change(self, feed: Feed) -> None:
        self._board.publish(told.of_state(feed.camera.status()))


def _check_numbers(workers: int, skip_same: float | None, shadow: float) -> None:
    if workers < 1:
        raise BadInput("the number of workers", expected="1 or more", got=str(workers))
    if skip_same is not None and not 0 < skip_same <= 1:
        raise BadInput("skip_same is a share", expected="above 0, up to 1", got=str(skip_same))
    if not 0 <= shadow <= 1:
        raise BadInput("shadow is a share", expected="0 to 1", got=str(shadow))
