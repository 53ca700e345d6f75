"""Images of a data set as cameras inside this process: over and over, at a steady rate.

Frames come when they are due, whether or not the last was taken: a reader that is late catches up,
so that what is offered is what was meant. Nothing is decoded: what is measured is the engine, the
scheduler, and the threads around them.
"""

import argparse
import gc
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from offramp.core.bundle import Bundle
from offramp.data.dataset import Dataset
from offramp.data.images import Array, read_image
from offramp.video.address import Address
from offramp.video.analytics import Analytics
from offramp.video.camera import Camera, CameraSpec
from offramp.video.counts import Statistics
from offramp.video.feed import Opener
from offramp.video.picture import Still
from offramp.video.rate import Stagger

WARM_UP_S = 3.0
LONGEST_SLEEP_S = 0.2


def options(about: str | None, name: str, rounds: int, seconds: float) -> argparse.ArgumentParser:
    """Take what every benchmark of such cameras is told.

    Args:
        about: what it asks.
        name: of its result file.
        rounds: how often it measures, unless told otherwise.
        seconds: of each look, likewise.
    """
    told = argparse.ArgumentParser(description=about)
    told.add_argument("bundle", type=Path)
    told.add_argument("--data", type=Path, required=True)
    told.add_argument("--split", default="val")
    told.add_argument("--images", type=int, default=200, help="at most, kept in memory")
    told.add_argument("--engine", default="onnxruntime")
    told.add_argument("--deadline-ms", type=float, default=200)
    told.add_argument("--rounds", type=int, default=rounds)
    told.add_argument("--seconds", type=float, default=seconds, help="of each look")
    told.add_argument("--name", default=name, help="of the result file")
    told.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return told


def read_images(data: Path, split: str, most: int) -> list[Array]:
    """Read images of a data set, in an order that is no order; uint8 RGB H×W×3 each."""
    samples = Dataset.open(data).samples(split)
    random.Random(0).shuffle(samples)
    return [read_image(sample.image) for sample in samples[:most]]


class Looped:
    """Images as a camera's stream.

    Args:
        images: what is shown.
        fps: frames a second; 0: as fast as they are taken.
        seed: which image is the first, and when.
    """

    def __init__(self, images: Sequence[Array], fps: float, seed: int) -> None:
        rng = random.Random(seed)
        self.fps: float | None = fps or None
        self.late_s: list[float] = []
        self._images = images
        self._numbers = count(rng.randrange(len(images)))
        self._every_s = 1 / fps if fps else 0.0
        self._due = time.perf_counter() + rng.random() * self._every_s

    def read(self) -> Sequence[Still]:
        """Wait for the next frame's time."""
        if self._every_s:
            ahead = self._due - time.perf_counter()
            if ahead > 0:
                time.sleep(min(ahead, LONGEST_SLEEP_S))
                if ahead > LONGEST_SLEEP_S:
                    return ()
            self.late_s.append(time.perf_counter() - self._due)
            self._due += self._every_s
        return (Still(self._images[next(self._numbers) % len(self._images)]),)

    def close(self) -> None:
        """Nothing is held."""


class Wall:
    """Opens such cameras: `synthetic:…@FPS?seed=N` at that rate, a file as fast as they can.

    Args:
        images: what they show.

    Attributes:
        streams: those that were opened.
    """

    def __init__(self, images: Sequence[Array]) -> None:
        self.images = images
        self.streams: list[Looped] = []

    def open(self) -> Opener:
        """Give what `Analytics` opens its cameras with."""
        stagger = Stagger(0.0)

        def make(
            spec: CameraSpec, on_frame: Callable[[], None], on_change: Callable[[], None]
        ) -> Camera:
            return Camera(
                spec,
                opener=self._stream,
                stagger=stagger,
                on_frame=lambda _: on_frame(),
                on_change=lambda _: on_change(),
            )

        return make

    def specs(self, cameras: int, fps: float, deadline_ms: float) -> list[CameraSpec]:
        """Name so many cameras; `fps` 0: files."""
        height, width = self.images[0].shape[:2]
        told = [
            f"synthetic:{width}x{height}@{fps:.4f}?seed={n}" if fps else f"{n}"
            for n in range(cameras)
        ]
        return [
            CameraSpec(name=f"c{n}", address=Address.parse(one), deadline_ms=deadline_ms)
            for n, one in enumerate(told)
        ]

    def lateness_ms(self) -> float:
        """Tell how late the latest percent of the frames was handed over."""
        late = [seconds for stream in self.streams for seconds in stream.late_s]
        return 1000 * float(np.percentile(late, 99)) if late else 0.0

    def _stream(self, address: Address) -> Looped:
        scene = address.scene() if address.kind == "synthetic" else None
        stream = Looped(
            self.images,
            scene.fps if scene is not None else 0.0,
            scene.seed if scene is not None else int(address.secret),
        )
        self.streams.append(stream)
        return stream


@dataclass(frozen=True)
class Period:
    """What was counted between two moments.

    Attributes:
        seconds: between them.
        answered: by camera.
        late: answers after their deadline.
        involuntary: answers that the deadline ended.
        dropped: by reason, frames that were shed or failed among them.
        exits: answers by position.
        latency: answers in each bucket, see `Histogram`.
        busy: share of the workers' time that was used.
        levels: names of the level of degradation, looked at every second.
        memory_mb: in use at every second.
        lateness_ms: see `Wall.lateness_ms`.
    """

    seconds: float
    answered: dict[str, int]
    late: int
    involuntary: int
    dropped: dict[str, int]
    exits: dict[str, int]
    latency: tuple[int, ...]
    busy: float
    levels: list[str]
    memory_mb: list[float]
    lateness_ms: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return sum(self.answered.values()) / self.seconds

    @property
    def goodput(self) -> float:
        """Answers a second that came in time."""
        return (sum(self.answered.values()) - self.late) / self.seconds


def observe(
    bundle: Bundle,
    wall: Wall,
    specs: Sequence[CameraSpec],
    seconds: float,
    *,
    engine: str = "onnxruntime",
    use_exits: bool = True,
    beside: Callable[[Analytics, threading.Event], None] | None = None,
) -> Period:
    """Let cameras run, and count for so long after a warm-up.

    Args:
        bundle: what answers.
        wall: opens the cameras.
        specs: which.
        seconds: of counting.
        engine: its name.
        use_exits: answer early.
        beside: runs in a thread of its own until the event is set.
    """
    wall.streams.clear()
    gc.collect()  # what ran before refers to itself, and holds an engine
    over = threading.Event()
    with Analytics(bundle, engine, use_exits=use_exits, open_camera=wall.open()) as analytics:
        for spec in specs:
            analytics.add(spec)
        time.sleep(WARM_UP_S)
        other = threading.Thread(target=beside or (lambda *_: None), args=(analytics, over))
        before = analytics.statistics()
        other.start()
        end, levels, memory = time.perf_counter() + seconds, [before.level_name], [_memory_mb()]
        while (left := end - time.perf_counter()) > 0:
            time.sleep(min(1.0, left))
            levels.append(analytics.statistics().level_name)
            memory.append(_memory_mb())
        after = analytics.statistics()
        over.set()
        other.join()
    return _between(before, after, levels, memory, wall.lateness_ms())


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _between(
    before: Statistics,
    after: Statistics,
    levels: list[str],
    memory_mb: list[float],
    lateness_ms: float,
) -> Period:
    pairs = {name: (before.cameras[name], after.cameras[name]) for name in after.cameras}
    dropped: dict[str, int] = {}
    for old, new in pairs.values():
        for reason, number in new.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + number - old.dropped[reason]
        dropped["shed"] = dropped.get("shed", 0) + new.shed - old.shed
        dropped["failed"] = dropped.get("failed", 0) + new.failed - old.failed
    exits = np.sum([np.subtract(new.exits, old.exits) for old, new in pairs.values()], axis=0)
    latency = np.sum(
        [np.subtract(new.latency.counts, old.latency.counts) for old, new in pairs.values()], axis=0
    )
    seconds = after.uptime_s - before.uptime_s
    return Period(
        seconds=seconds,
        answered={name: new.answered - old.answered for name, (old, new) in pairs.items()},
        late=sum(new.late - old.late for old, new in pairs.values()),
        involuntary=sum(new.involuntary - old.involuntary for old, new in pairs.values()),
        dropped={reason: number for reason, number in dropped.items() if number},
        exits=dict(zip(after.points, exits.tolist(), strict=True)),
        latency=tuple(latency.tolist()),
        busy=(after.busy_s - before.busy_s) / seconds / after.workers,
        levels=levels,
        memory_mb=memory_mb,
        lateness_ms=lateness_ms,
    )
