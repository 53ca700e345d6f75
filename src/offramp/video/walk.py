"""A frame on its way through an engine: what each step of a task does, and how long it took."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offramp.core.bundle import Bundle
from offramp.data.images import Array, resize_image
from offramp.policies.policy import Policy
from offramp.runtime.engine import Engine, OutOfTime, Reading, State
from offramp.video.answer import Answer
from offramp.video.job import Fate, Job, Task
from offramp.video.predict import Predictor, path

ROUNDS = 3
"""Blank frames that are measured at the start, after one that is not."""

CELL_PX = 8
"""Pixels of the network's input, in each direction, behind a cell by which scenes are compared."""


@dataclass(frozen=True)
class Anchor:
    """An answer that stands for as long as the scene stays as it is.

    Attributes:
        cells: what the first exit said, uint8 1×h×w.
        labels: the answer.
        exit: which exit gave it.
        scores: of the exits that were read for it.
    """

    cells: Array
    labels: Array
    exit: int
    scores: tuple[tuple[float, ...], ...]


@dataclass(eq=False)
class Walk:
    """What is known of a frame so far.

    Attributes:
        image: uint8 RGB H×W×3.
        owner: the camera's feed; none for a request.
        time_s: seconds in its stream.
        before: the cells of the answer before, if the plan compares answers.
        anchor: an answer that may still stand.
        state: how far the engine has come.
        reading: what the last exit that was read said.
        scores: of the exits that were read.
        cells: what the first exit said, where scenes are compared.
        labels: the answer, once it is decoded; uint8 H×W.
        loss: share of the pixels that the last exit labels otherwise, once it is known.
        area: share of the pixels of each class, if somebody wants to know.
        answer: the same with all that belongs to it.
        fate: what became of it.
        ended: set when nothing more will come, for a request.
    """

    image: Array
    owner: Any = None
    time_s: float | None = None
    before: Array | None = None
    anchor: Anchor | None = None
    state: State | None = None
    reading: Reading | None = None
    scores: list[tuple[float, ...]] = field(default_factory=list)
    cells: Array | None = None
    labels: Array | None = None
    loss: float | None = None
    area: tuple[float, ...] | None = None
    answer: Answer | None = None
    fate: Fate | None = None
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Outcome:
    """What a step led to; see `Scheduler.report`."""

    seconds: float | None
    stop: bool = False
    same: bool = False
    cut: bool = False
    failed: bool = False


class Runner:
    """Runs tasks on an engine; from any thread, each frame in one thread at a time.

    Args:
        engine: computes.
        bundle: whose graphs it runs.
        policy: when to stop.
        skip_same: from which share of equal cells at the first exit a scene counts as unchanged;
            absent: never.
        clock: that of the deadlines.
    """

    def __init__(
        self,
        engine: Engine,
        bundle: Bundle,
        policy: Policy,
        skip_same: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.engine = engine
        self._size = bundle.manifest.model.size
        self._classes = len(bundle.manifest.model.names)
        self._last = len(bundle.manifest.plan.exits) - 1
        self._policy = policy
        self._skip_same = skip_same
        self._clock = clock

    def measure(self, predictor: Predictor) -> None:
        """Time every step on blank frames, so that the first predictions are no guesses."""
        end = predictor.exits - 1
        for lap in range(1 + ROUNDS):
            walk = Walk(np.zeros((*self._size, 3), dtype=np.uint8))
            job = Job(flow="", number=0, received=0.0, cap=end, frame=walk)
            for step in path(0, end):
                seconds = self.run(Task(job, step)).seconds
                if lap and seconds is not None:
                    predictor.observe(step, seconds)

    def run(self, task: Task, area: bool = False) -> Outcome:
        """Run one step.

        Args:
            task: which step of which frame.
            area: count the classes of an answer.

        Raises:
            Exception: whatever the engine raises.
        """
        start = self._clock()
        kind, index = task.step
        walk: Walk = task.job.frame
        try:
            if kind == "advance":
                self._advance(walk, index, task.until)
                return Outcome(self._clock() - start)
            if kind == "read":
                stop, same = self._read(task.job, index, task.until)
                return Outcome(self._clock() - start, stop=stop, same=same)
        except OutOfTime:
            return Outcome(self._clock() - start, cut=True)
        if task.job.same and walk.anchor is not None:
            walk.labels = walk.anchor.labels
            seconds = None
        else:
            self._decode(task.job)
            seconds = self._clock() - start
        if area and walk.labels is not None and not task.job.answered:
            pixels = np.bincount(walk.labels.ravel(), minlength=self._classes)
            walk.area = tuple((pixels[: self._classes] / walk.labels.size).tolist())
        return Outcome(seconds)

    def _advance(self, walk: Walk, index: int, until: float | None) -> None:
        state = walk.state
        if state is None:
            state = self.engine.begin(resize_image(walk.image, self._size))
        walk.state = self.engine.advance(index, state, until)

    def _read(self, job: Job, index: int, until: float | None) -> tuple[bool, bool]:
        """Ask an exit; tells whether the policy stops there, and whether the scene is the same."""
        walk: Walk = job.frame
        assert walk.state is not None
        exit_before = walk.reading.cells if walk.reading is not None else None
        state = walk.state.beside(exit_before, walk.before)
        walk.reading = self.engine.read(index, state, until)
        if job.answered:
            return True, False
        walk.scores.append(walk.reading.scores)
        stop = index >= self._last or self._policy.stops(index, walk.reading.scores)
        if index or self._skip_same is None:
            return stop, False
        walk.cells = self._cells(walk.reading)
        return stop, not stop and self._unchanged(walk, job.floor)

    def _decode(self, job: Job) -> None:
        walk: Walk = job.frame
        assert walk.reading is not None
        labels = self.engine.decode(walk.reading.logits, (walk.image.shape[0], walk.image.shape[1]))
        if job.answered:
            walk.loss = float((labels != walk.labels).mean())
        else:
            walk.labels = labels

    def _cells(self, reading: Reading) -> Array:
        if reading.cells is not None:
            return reading.cells
        height, width = (max(1, side // CELL_PX) for side in self._size)
        return self.engine.decode(reading.logits, (height, width))[None]

    def _unchanged(self, walk: Walk, floor: int) -> bool:
        """Compare with the frame that the standing answer was computed for.

        Not with the frame before: a scene that changes slowly would then never be looked at again.
        """
        anchor, cells = walk.anchor, walk.cells
        if anchor is None or cells is None or anchor.cells.shape != cells.shape:
            return False
        if anchor.labels.shape != walk.image.shape[:2] or anchor.exit < floor:
            return False
        return float((anchor.cells == cells).mean()) >= (self._skip_same or 0.0)


def answer_of(job: Job, points: tuple[str, ...], now: float) -> Answer:
    """Put together the answer to a job that was decoded `now`; `points` are those of all exits."""
    walk: Walk = job.frame
    assert walk.labels is not None
    kept = walk.anchor if job.same else None
    index = kept.exit if kept is not None else job.best
    return Answer(
        camera=job.flow,
        number=job.number,
        image=walk.image,
        labels=walk.labels,
        exit=index,
        point=points[index],
        scores=kept.scores if kept is not None else tuple(walk.scores),
        received=job.received,
        latency_ms=1000 * (now - job.received),
        time_s=walk.time_s,
        same=job.same,
        involuntary=job.involuntary,
        late=job.deadline is not None and now > job.deadline,
    )
