"""A session: one bundle, one engine, one policy, applied to frames."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.core.plan import Plan
from offramp.data.images import Array, resize_image
from offramp.policies.policy import Policy, RulePolicy
from offramp.runtime.engine import Engine, OutOfTime, Reading, State
from offramp.runtime.engines import check_engine, open_engine
from offramp.runtime.pace import Times
from offramp.runtime.sound import check_answers

STEP_SHARE, DECODE_SHARE = 0.9, 1.0
"""How sure it shall be that a step, or decoding, ends in time before it is begun. A step that takes
longer than expected is cancelled, so it may be begun with less certainty."""

OVERRUN = "overrun"
"""The time from the moment when a step should be cancelled until it was."""

Why = Literal["plan", "end", "deadline"]


@dataclass(frozen=True)
class Result:
    """The answer to one frame.

    Attributes:
        labels: class indices, uint8 H×W, of the frame's own size.
        exit: index of the exit that answered, among the plan's.
        point: its position in the network.
        scores: the scores of each exit that was read on the way, the answering exit's last.
        latency_ms: time from the call to this answer.
        why: what ended it: the plan's rules, the last of its exits, or the deadline.
        cells: the answer at its output stride, if the plan compares answers.
    """

    labels: Array
    exit: int
    point: str
    scores: tuple[tuple[float, ...], ...]
    latency_ms: float
    why: Why = "end"
    cells: Array | None = None


class Session:
    """Applies a bundle to frames.

    Args:
        bundle: a bundle, or its folder.
        engine: name of the engine.
        threads: how many threads compute; absent: all cores that the process may use.
        precision: of the numbers in which the engine shall compute; absent: the plan's.
        policy: when to stop; absent: the plan's rules.
        clock: seconds that only go forward, as `time.perf_counter` counts them.

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
        precision: str | None = None,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        check_engine(engine)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
        self.engine: Engine = open_engine(engine, self.bundle, threads, precision)
        plan = self.bundle.manifest.plan
        check_precision(plan, self.engine)
        check_answers(self.engine, self.bundle.manifest)
        self.points = tuple(planned.point for planned in plan.exits)
        self.policy: Policy = policy or RulePolicy.of(plan)
        self._size = self.bundle.manifest.model.size
        self._clock = clock
        self._times: defaultdict[Hashable, Times] = defaultdict(Times)
        self._warm_up()

    def segment(
        self, image: Array, before: Result | None = None, *, deadline_ms: float | None = None
    ) -> Result:
        """Answer one frame; segments behind the exit that is taken do not run.

        With a deadline, a step that would probably end too late is not begun, and one that takes
        longer than was expected is cancelled where the engine can: the answer is that of the
        last exit that was read in time. The first exit always answers, if need be too late.

        Args:
            image: uint8 RGB H×W×3 of any size.
            before: the answer to the frame before, in video; for plans that compare with it.
            deadline_ms: milliseconds from now; absent: as long as the plan wants.

        Raises:
            BadInput: the image is no uint8 RGB array.
        """
        start = self._clock()
        until = None if deadline_ms is None else self._last_moment(start, image, deadline_ms)
        scores: list[tuple[float, ...]] = []
        state = self._begin(image)
        frame_before = before.cells if before is not None else None
        reading: Reading | None = None
        why: Why = "end"
        for index in range(len(self.points)):
            try:
                state, new = self._step(index, state, reading, frame_before, until)
            except OutOfTime:
                why = "deadline"
                break
            reading = new
            scores.append(reading.scores)
            if index + 1 < len(self.points) and self.policy.stops(index, reading.scores):
                why = "plan"
                break
        assert reading is not None
        return self._result(reading, len(scores) - 1, scores, image, start, why)

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

        Every answer is decoded, so the last one comes later than `segment`'s. Time that the
        caller spends between answers counts.

        Args:
            image: uint8 RGB H×W×3 of any size.
            deadline_ms: milliseconds from now; absent: run to the last exit.
        """
        start = self._clock()
        until = None if deadline_ms is None else self._last_moment(start, image, deadline_ms)
        scores: list[tuple[float, ...]] = []
        state = self._begin(image)
        reading: Reading | None = None
        for index in range(len(self.points)):
            try:
                state, reading = self._step(index, state, reading, None, until)
            except OutOfTime:
                return
            scores.append(reading.scores)
            yield self._result(reading, index, scores, image, start)

    def _last_moment(self, start: float, image: Array, deadline_ms: float) -> float:
        """Say until when steps may run, so that cancelling one and decoding still fit."""
        steps = (_decoding(*image.shape[:2]), OVERRUN)
        reserve = sum(self._times[step].expect(DECODE_SHARE) for step in steps)
        return start + deadline_ms / 1000 - reserve

    def _step(
        self,
        index: int,
        state: State,
        reading: Reading | None,
        frame_before: Array | None,
        until: float | None,
    ) -> tuple[State, Reading]:
        """Go to the next exit and ask it.

        Raises:
            OutOfTime: that would take, or took, until after `until`; never at the first exit.
        """
        begun = self._clock()
        if index == 0:
            until = None
        elif until is not None and begun + self._times[index].expect(STEP_SHARE) > until:
            for refused in (index, OVERRUN):
                self._times[refused].refused()
            raise OutOfTime
        exit_before = reading.cells if reading is not None else None
        try:
            state = self.engine.advance(index, state, until)
            reading = self.engine.read(index, state.beside(exit_before, frame_before), until)
        except OutOfTime:
            if until is not None:
                self._times[OVERRUN].add(max(self._clock() - until, 0.0))
            raise
        finally:  # a step that was cancelled takes at least so long
            self._times[index].add(self._clock() - begun)
        return state, reading

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
        why: Why = "end",
    ) -> Result:
        begun = self._clock()
        height, width = image.shape[:2]
        labels = self.engine.decode(reading.logits, (height, width))
        now = self._clock()
        self._times[_decoding(height, width)].add(now - begun)
        point = self.points[index] if index < len(self.points) else "end"
        return Result(labels, index, point, tuple(scores), 1000 * (now - start), why, reading.cells)

    def _warm_up(self) -> None:
        """Run a blank frame through every exit, so that the first answer is not the slowest."""
        blank = np.zeros((*self._size, 3), dtype=np.uint8)
        for _ in range(3):
            self._times.clear()  # what the first rounds took does not count
            for _ in self.refine(blank):
                pass
        self.full(blank)


def _decoding(height: int, width: int) -> tuple[str, int]:
    """Name the decoding of frames of about this size: up to twice as many pixels."""
    return "decode", (height * width).bit_length()


def check_precision(plan: Plan, engine: Engine) -> None:
    """Refuse rules that were fitted on the answers of another precision: scores differ there.

    In f32 engines agree; in other precisions each rounds in its own way.

    Raises:
        BadInput: they were.
    """
    if plan.precision != engine.precision:
        raise BadInput(
            "the plan's rules were fitted on scores of another precision",
            expected=f"{engine.precision}, in which {engine.label} computes",
            got=plan.precision,
            repair="fit them anew: offramp convert BUNDLE --engine ... --precision ...",
        )
    if plan.precision != "f32" and plan.engine not in ("", engine.name):
        raise BadInput(
            f"the plan's rules were fitted on scores of another engine in {plan.precision}",
            expected=plan.engine,
            got=engine.name,
            repair="fit them anew: offramp convert BUNDLE --engine ... --precision ...",
        )
