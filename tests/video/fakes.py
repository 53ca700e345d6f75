"""A bundle without files, an engine that computes nothing, and cameras fed by hand.

A frame says in its first pixel what shall happen to it: (label, exit that is sure, poison).
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from offramp.core.bundle import Bundle, Graph, Manifest, Parity
from offramp.core.model import ModelSpec
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import AtLeast
from offramp.data.images import Array
from offramp.runtime.engine import OutOfTime, Reading, State
from offramp.video.camera import CameraSpec, CameraStatus, Counters, Shot
from offramp.video.state import Phase

SIZE = (16, 24)
POISON = 13
POINTS = ("one", "two", "end")
MIOU = (0.5, 0.7, 0.9)


def frame(label: int = 0, exit: int = 0, poison: int = 0) -> Array:
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    image[...] = (label, exit, poison)
    return image


def fake_bundle() -> Bundle:
    """Three exits, which stop where their score is at least one half."""
    nothing = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)
    rules = [AtLeast(threshold=0.5), AtLeast(threshold=0.5), None]
    exits = tuple(
        PlannedExit(point=point, head="own", rule=rule, miou=miou)
        for point, rule, miou in zip(POINTS, rules, MIOU, strict=True)
    )
    plan = Plan(
        setting="input-dependent",
        scores=("mean-top1",),
        exits=exits,
        expected=nothing,
        full=nothing,
        size=SIZE,
        images=1,
    )
    parity = Parity(
        images=1,
        max_logit_difference=0,
        max_score_difference=0,
        label_agreement=1,
        same_exits=1,
    )
    graph = Graph(file="x.onnx", takes=("frame",), gives=("feature",))
    manifest = Manifest(
        model=ModelSpec(name="fake", names=("a", "b", "c"), size=SIZE),
        plan=plan,
        segments=(graph,) * 3,
        heads=(graph,) * 3,
        decoder=graph,
        files={},
        path_macs=(1, 2, 3),
        full_macs=3,
        parity=parity,
        versions={},
    )
    return Bundle(Path("nowhere"), manifest)


class Clock:
    """Seconds that go forward when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeEngine:
    """Answers with the label in the frame's first pixel; the end always with its own label.

    Args:
        clock: moved on by each segment, if given.
        seconds: by so much.

    Attributes:
        gate: while it is clear, no segment ends.
        busy: released for each segment that begins.
        ran: the steps that were computed.
    """

    name = "fake"
    label = "fake 1.0"
    precision = "f32"

    def __init__(self, clock: Clock | None = None, seconds: float = 0.01) -> None:
        self.clock = clock
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Semaphore(0)
        self.ran: list[tuple[str, int]] = []

    def begin(self, frame: Array) -> State:
        assert frame.shape == (*SIZE, 3)
        return State({"frame": frame, "at": -1})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        assert state.values["at"] == index - 1
        self.ran.append(("advance", index))
        self.busy.release()
        assert self.gate.wait(20)
        if state.values["frame"][0, 0, 2] == POISON:
            raise RuntimeError("poisoned")
        if self.clock is not None:
            if until is not None and self.clock.now + self.seconds > until:
                raise OutOfTime
            self.clock.now += self.seconds
        return State({**state.values, "at": index})

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        assert state.values["at"] == index
        self.ran.append(("read", index))
        label, sure = (int(value) for value in state.values["frame"][0, 0, :2])
        return Reading((label, index), (1.0 if index >= sure else 0.0,))

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        label, index = logits
        labels = np.full(size, label, dtype=np.uint8)
        if index == 2:  # the end sees one quarter of the pixels otherwise
            labels[: size[0] // 4] = 2
        return labels


class FakeCamera:
    """A camera whose frames the test pushes."""

    def __init__(
        self, spec: CameraSpec, on_frame: Callable[[], None], on_change: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.state = Phase.CONNECTING
        self._on_frame, self._on_change = on_frame, on_change
        self._waiting: list[Shot] = []
        self._number = 0

    def push(self, image: Array, received: float = 0.0) -> None:
        self._waiting.append(Shot(image, self._number, received, self._number / 10, 0))
        self._number += 1
        self._on_frame()

    def start(self) -> None:
        self.turn(Phase.RUNNING)

    def turn(self, state: Phase) -> None:
        self.state = state
        self._on_change()

    def take(self) -> Shot | None:
        return self._waiting.pop(0) if self._waiting else None

    def pause(self) -> None:
        self.state = Phase.PAUSED

    def resume(self) -> None:
        self.state = Phase.RUNNING

    def stop(self, wait_s: float = 0.0) -> bool:
        self._waiting.clear()
        self.state = Phase.ENDED
        return True

    def status(self) -> CameraStatus:
        return CameraStatus(
            name=self.spec.name,
            address=str(self.spec.address),
            live=self.spec.address.live,
            state=self.state,
            since=0.0,
            reason="",
            counters=Counters(taken=self._number),
            fps=0.0,
            size=None,
            epoch=0,
        )


class Cameras:
    """Opens fake cameras, and keeps them by name."""

    def __init__(self) -> None:
        self.named: dict[str, FakeCamera] = {}

    def __call__(
        self, spec: CameraSpec, on_frame: Callable[[], None], on_change: Callable[[], None]
    ) -> FakeCamera:
        self.named[spec.name] = FakeCamera(spec, on_frame, on_change)
        return self.named[spec.name]

    def __getitem__(self, name: str) -> FakeCamera:
        return self.named[name]
