"""A session: one bundle, one engine, one policy, applied to frames."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.core.plan import Plan
from offramp.data.images import Array, resize_image
from offramp.policies.policy import Policy, RulePolicy
from offramp.runtime.engine import Engine, Reading, State
from offramp.runtime.engines import check_engine, open_engine


@dataclass(frozen=True)
class Result:
    """The answer to one frame.

    Attributes:
        labels: class indices, uint8 H×W, of the frame's own size.
        exit: index of the exit that answered, among the plan's.
        point: its position in the network.
        scores: the scores of each exit that was read on the way, the answering exit's last.
        latency_ms: time from the call to this answer.
        cells: the answer at its output stride, if the plan compares answers.
    """

    labels: Array
    exit: int
    point: str
    scores: tuple[tuple[float, ...], ...]
    latency_ms: float
    cells: Array | None = None


class Session:
    """Applies a bundle to frames.

    Args:
        bundle: a bundle, or its folder.
        engine: name of the engine.
        threads: how many threads compute; absent: all cores that the process may use.
        policy: when to stop; absent: the plan's rules.
        clock: seconds that only go forward.

    Raises:
        BundleError: the bundle is not genuine or cannot be loaded.
        UnknownName: there is no such engine.
        BadInput: the plan's rules were fitted on answers of another precision than the engine's.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str,
        engine: str = "onnxruntime",
        *,
        threads: int | None = None,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        check_engine(engine)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
        self.engine: Engine = open_engine(engine, self.bundle, threads)
        plan = self.bundle.manifest.plan
        check_precision(plan, self.engine)
        self.points = tuple(planned.point for planned in plan.exits)
        self.policy: Policy = policy or RulePolicy.of(plan)
        self._size = self.bundle.manifest.model.size
        self._clock = clock
        # The last 50 durations of each step, in milliseconds: what the next one may take.
        self._steps = [deque[float](maxlen=50) for _ in self.points]
        self._warm_up()

    def segment(self, image: Array, before: Result | None = None) -> Result:
        """Answer one frame; segments behind the exit that is taken do not run.

        Args:
            image: uint8 RGB H×W×3 of any size.
            before: the answer to the frame before, in video; for plans that compare with it.

        Raises:
            BadInput: the image is no uint8 RGB array.
        """
        start = self._clock()
        scores: list[tuple[float, ...]] = []
        state = self._begin(image)
        frame_before = before.cells if before is not None else None
        reading: Reading | None = None
        for index in range(len(self.points)):
            state = self.engine.advance(index, state)
            exit_before = reading.cells if reading is not None else None
            reading = self.engine.read(index, state.beside(exit_before, frame_before))
            scores.append(reading.scores)
            if index + 1 == len(self.points) or self.policy.stops(index, reading.scores):
                break
        assert reading is not None
        return self._result(reading, index, scores, image, start)

    def full(self, image: Array) -> Result:
        """Answer one frame as the network without early exits does, reading no other head.

        The result's exit is that of the network's own end, which may lie behind the plan's.
        """
        start = self._clock()
        state = self._begin(image)
        last = len(self.bundle.manifest.segments) - 1
        for index in range(last + 1):
            state = self.engine.advance(index, state)
        reading = self.engine.read(last, state.beside(None, None))
        return self._result(reading, last, [reading.scores], image, start)

    def refine(self, image: Array, deadline_ms: float | None = None) -> Iterator[Result]:
        """Yield ever better answers to one frame, exit by exit, until the deadline or the end.

        A step that would probably end after the deadline (its slowest of the last 50 times) is
        not begun. The first exit always answers. Time that the caller spends between answers
        counts.

        Args:
            image: uint8 RGB H×W×3 of any size.
            deadline_ms: milliseconds from now; absent: run to the last exit.
        """
        start = self._clock()
        scores: list[tuple[float, ...]] = []
        state = self._begin(image)
        for index in range(len(self.points)):
            begun = self._clock()
            expected_end = 1000 * (begun - start) + max(self._steps[index], default=0.0)
            if index and deadline_ms is not None and expected_end > deadline_ms:
                return
            state = self.engine.advance(index, state)
            reading = self.engine.read(index, state.beside(None, None))
            scores.append(reading.scores)
            result = self._result(reading, index, scores, image, start)
            self._steps[index].append(1000 * (self._clock() - begun))
            yield result

    def _begin(self, image: Array) -> State:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise BadInput(
                "not a frame",
                expected="uint8 RGB of shape HxWx3",
                got=f"{image.dtype} of shape {image.shape}",
            )
        return self.engine.begin(resize_image(image, self._size))

    def _result(
        self,
        reading: Reading,
        index: int,
        scores: list[tuple[float, ...]],
        image: Array,
        start: float,
    ) -> Result:
        labels = self.engine.decode(reading.logits, (image.shape[0], image.shape[1]))
        spent = 1000 * (self._clock() - start)
        point = self.points[index] if index < len(self.points) else "end"
        return Result(labels, index, point, tuple(scores), spent, reading.cells)

    def _warm_up(self) -> None:
        """Run a blank frame through every exit, so that the first answer is not the slowest."""
        for _ in range(3):
            for _ in self.refine(np.zeros((*self._size, 3), dtype=np.uint8)):
                pass
        for steps in self._steps:
            fastest = min(steps)
            steps.clear()
            steps.append(fastest)
        self.full(np.zeros((*self._size, 3), dtype=np.uint8))


def check_precision(plan: Plan, engine: Engine) -> None:
    """Refuse rules that were fitted on the answers of another precision: scores differ there.

    Raises:
        BadInput: they were.
    """
    if plan.precision != engine.precision:
        raise BadInput(
            "the plan's rules were fitted on scores of another precision",
            expected=f"{engine.precision}, in which {engine.label} computes",
            got=plan.precision,
            repair=f"search and export again, from a trace that was recorded in {engine.precision}",
        )
