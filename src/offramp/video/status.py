"""A camera's frame, the counts of what became of its frames, and how it fares."""

from dataclasses import dataclass, field

from offramp.data.images import Array
from offramp.video.state import Phase


@dataclass(frozen=True)
class Shot:
    """One frame of a camera.

    Attributes:
        image: uint8 RGB H×W×3.
        number: which of the camera's decoded frames, from 0; those not kept count.
        received: when it was decoded, in seconds of the reader's clock.
        time_s: the camera's own time in seconds, if it tells one.
        epoch: times of the same epoch can be compared.
    """

    image: Array = field(repr=False)
    number: int
    received: float
    time_s: float | None
    epoch: int


@dataclass(frozen=True)
class Counters:
    """What became of a camera's frames; all only grow.

    Attributes:
        received: packets, readable or not.
        decoded: frames that came out whole.
        skipped: decoded, but beyond `max_fps`.
        dropped: overwritten by a newer one, or thrown away when the camera was paused or
            stopped, before they were taken.
        taken: given out.
        corrupt: packets and frames that could not be decoded whole.
        reconnects: connections that brought frames, after the first.
        clock_jumps: leaps of the camera's clock within a connection.
        size_changes: changes of the frames' size.
    """

    received: int = 0
    decoded: int = 0
    skipped: int = 0
    dropped: int = 0
    taken: int = 0
    corrupt: int = 0
    reconnects: int = 0
    clock_jumps: int = 0
    size_changes: int = 0


@dataclass(frozen=True)
class CameraStatus:
    """How a camera fares.

    Attributes:
        name: its name.
        address: where it is, without its password.
        live: whether frames come when they come.
        state: what it is doing.
        since: when it began to, in seconds of the reader's clock.
        reason: why; empty where nothing is wrong.
        counters: what became of its frames.
        fps: frames decoded a second, over the last five seconds.
        size: width and height of its frames in pixels; none before the first.
        epoch: number of the current epoch of its clock.
    """

    name: str
    address: str
    live: bool
    state: Phase
    since: float
    reason: str
    counters: Counters
    fps: float
    size: tuple[int, int] | None
    epoch: int
