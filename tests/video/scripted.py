"""A clock that is set by hand, streams that do as a script says, and a camera that is watched."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from offramp.video.address import Address
from offramp.video.camera import Camera, CameraSpec
from offramp.video.picture import Picture, Still
from offramp.video.rate import Stagger
from offramp.video.reader import Reader
from offramp.video.state import Phase
from offramp.video.status import Shot
from offramp.video.stream import open_stream

Event = float | Picture | BaseException | tuple[float, Picture | BaseException | None]
"""What a read does: a frame after so many seconds, a given one at once, an exception, or after so
many seconds a given frame, an exception, or nothing."""


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def go(self, seconds: float) -> None:
        self.now += seconds


def still(value: int = 7, size: tuple[int, int] = (8, 6), time_s: float | None = None) -> Still:
    """A grey picture of width and height `size`."""
    return Still(np.full((size[1], size[0], 3), value, dtype=np.uint8), time_s)


class ScriptedStream:
    """Does what its events say, and then ends."""

    fps = None

    def __init__(self, clock: Clock, events: Iterable[Event]) -> None:
        self._clock = clock
        self._events: Iterator[Event] = iter(events)
        self._start = clock()
        self.closed = False

    def read(self) -> Sequence[Picture]:
        assert not self.closed
        event = next(self._events, EOFError())
        after, what = event if isinstance(event, tuple) else (0.0, event)
        if isinstance(what, float):
            after, what = what, still()
        self._clock.go(after)
        if what is None:
            return ()
        if isinstance(what, BaseException):
            raise what
        if isinstance(what, Still) and what.time_s is None:
            what = Still(what.image, self._clock() - self._start, what.corrupt)
        return (what,)

    def close(self) -> None:
        self.closed = True


class Opener:
    """Opens one script after the other; an exception in place of one fails to open."""

    def __init__(self, clock: Clock, *scripts: Iterable[Event] | BaseException) -> None:
        self.clock = clock
        self.scripts = list(scripts)
        self.streams: list[ScriptedStream] = []
        self.at: list[float] = []

    def __call__(self, address: Address) -> ScriptedStream:
        self.at.append(self.clock())
        script = self.scripts.pop(0) if self.scripts else ConnectionRefusedError("nobody there")
        if isinstance(script, BaseException):
            raise script
        self.streams.append(ScriptedStream(self.clock, script))
        return self.streams[-1]


class Watch:
    """A camera with an event that tells of frames and changes."""

    def __init__(self, address: str, opener: Callable = open_stream, **options: object) -> None:
        self.told = threading.Event()
        self.camera = Camera(
            CameraSpec(name="cam", address=address, **options),  # type: ignore[arg-type]
            opener=opener,
            rng=random.Random(1),
            stagger=Stagger(0.0),
            on_frame=lambda _: self.told.set(),
            on_change=lambda _: self.told.set(),
        )
        self.shots: list[Shot] = []

    def until(self, done: Callable[[], bool], most_s: float = 20.0) -> None:
        """Take every frame that comes until something holds."""
        for _ in range(int(most_s / 0.05)):
            shot = self.camera.take()
            self.shots += [shot] if shot is not None else []
            if done():
                return
            if shot is None:
                self.told.wait(0.05)
                self.told.clear()
        raise AssertionError(f"it did not happen: {self.camera.status()}")

    def __enter__(self) -> "Watch":
        self.camera.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.camera.stop()

    def is_(self, phase: Phase) -> bool:
        return self.camera.status().state is phase


def reader(
    opener: Opener,
    address: str = "rtsp://10.0.0.1/x",
    max_fps: float | None = None,
    on_frame: Callable[[], None] = lambda: None,
    on_change: Callable[[], None] = lambda: None,
) -> Reader:
    """A reader on the opener's clock, whose connections need not wait for others."""
    return Reader(
        "cam",
        Address.parse(address),
        max_fps=max_fps,
        opener=opener,
        clock=opener.clock,
        rng=random.Random(5),
        stagger=Stagger(0.0),
        on_frame=on_frame,
        on_change=on_change,
    )


def drive(reader: Reader, clock: Clock, seconds: float, steps: int = 100_000) -> None:
    """Step a reader, waiting where it says so, until so much time is over or it waits for us."""
    end = clock() + seconds
    for _ in range(steps):
        wait_s = reader.step()
        if wait_s is None or clock() >= end:
            return
        clock.go(min(wait_s, end - clock()))
    raise AssertionError("the reader goes round without time passing")
