"""A watched camera: its reader, its counters, its latest answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from offramp.core.plan import Plan
from offramp.data.images import Array
from offramp.video.answer import Answer
from offramp.video.camera import Camera, CameraSpec, CameraStatus, Shot
from offramp.video.counts import Counts, Ledger
from offramp.video.monitor import Watch
from offramp.video.walk import Anchor


class CameraLike(Protocol):
    """What is asked of a camera; `video.camera.Camera` is one."""

    def start(self) -> None:
        """Begin to read."""
        ...

    def take(self) -> Shot | None:
        """Give the frame that waits, if there is one; never blocks."""
        ...

    def pause(self) -> None:
        """Read no more until `resume`."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def stop(self, wait_s: float = 0.0) -> bool:
        """Stop for good; tells whether it has stopped after at most `wait_s` seconds."""
        ...

    def status(self) -> CameraStatus:
        """Tell how it fares."""
        ...


Opener = Callable[[CameraSpec, Callable[[], None], Callable[[], None]], CameraLike]
"""Makes a camera that calls the first function when a frame is there, and the second when its
state has changed."""


def cameras(clock: Callable[[], float]) -> Opener:
    """Open cameras that read in threads of their own and stamp their frames by this clock."""
    return lambda spec, on_frame, on_change: Camera(
        spec,
        clock=clock,
        on_frame=lambda _: on_frame(),
        on_change=lambda _: on_change(),
    )


class Monitor(Protocol):
    """Watches what early answers lose against the last exit's; see `Analytics`."""

    def note(self, camera: str, loss: float, image: Array) -> None:
        """Take in one compared frame.

        Args:
            camera: whose.
            loss: share of its pixels that the last exit labels otherwise, from 0 to 1.
            image: the frame, uint8 RGB H×W×3.
        """
        ...

    def floor(self, camera: str) -> int | None:
        """Name the first exit that may still answer this camera; none: any."""
        ...

    def watch(self, camera: str) -> Watch | None:
        """Tell what is known of a camera; none if nothing was compared."""
        ...

    def reset(self, camera: str) -> None:
        """Forget a camera, and let all its exits answer again."""
        ...


@dataclass(frozen=True)
class Watched:
    """A camera at one moment.

    Attributes:
        spec: what was asked for; its address shows no password.
        status: how its reader fares.
        counts: what became of its frames.
        level: of degradation; 0: none.
        cap: the last exit that may answer it at present.
        floor: the first exit at which the policy may stop it.
        fps: answers per second, over the last 10 seconds.
        p50_ms: median latency of the last 500 answers; none without any.
        p95_ms: 95th percentile of the same.
        agreement: share of pixels on which compared answers and the last exit agree; none if
            nothing was compared.
        monitored: what the monitor knows; none without one, or if nothing was compared.
    """

    spec: CameraSpec
    status: CameraStatus
    counts: Counts
    level: int
    cap: int
    floor: int
    fps: float
    p50_ms: float | None
    p95_ms: float | None
    agreement: float | None
    monitored: Watch | None = None


@dataclass(eq=False)
class Feed:
    """What is kept of a camera.

    Attributes:
        spec: what was asked for.
        live: only its newest frame counts.
        floor: the first exit that has the mIoU it wants.
        ledger: its counters.
        since: when it was added.
        camera: its reader, given before the feed is watched.
        latest: the newest frame's answer.
        cells: that answer at its output stride, if the plan compares answers.
        anchor: the answer that stands while the scene does not change.
        cap: the last exit that may answer it at present.
    """

    spec: CameraSpec
    live: bool
    floor: int
    ledger: Ledger
    since: float
    cap: int
    camera: CameraLike = field(init=False)
    latest: Answer | None = None
    cells: Array | None = None
    anchor: Anchor | None = None

    def watched(
        self, status: CameraStatus, level: int, floor: int, monitored: Watch | None, now: float
    ) -> Watched:
        """Freeze the camera's state."""
        latency = self.ledger.latency_ms()
        return Watched(
            spec=self.spec,
            status=status,
            counts=self.ledger.counts(),
            level=level,
            cap=self.cap,
            floor=floor,
            fps=self.ledger.fps(now, self.since),
            p50_ms=latency[0] if latency else None,
            p95_ms=latency[1] if latency else None,
            agreement=self.ledger.agreement(),
            monitored=monitored,
        )


def floor_of(plan: Plan, min_miou: float | None) -> int:
    """Find the first exit of a plan that has a wanted mIoU; the last if none has."""
    if min_miou is None:
        return 0
    good = [index for index, planned in enumerate(plan.exits) if planned.miou >= min_miou]
    return good[0] if good else len(plan.exits) - 1
