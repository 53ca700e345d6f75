"""Watches live what early answers lose, for drift: the network's own end is the reference.

A random share of the frames is also run to the end. What the two answers disagree on needs no
truth, and is a fair sample of what all frames lose, be they from that day or another than those
on which the plan was fitted.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from offramp.core.errors import BadInput
from offramp.data.images import Array, write_image
from offramp.guarantees.drift import Drift, MeanBound

logger = logging.getLogger(__name__)

KEPT = 200
"""How many frames of a camera are kept at most; the oldest make room."""


@dataclass(frozen=True)
class Watch:
    """What is known of a camera.

    Attributes:
        seen: number of compared frames, since the last reset.
        mean: mean share of pixels on which the answers disagree.
        upper: upper bound of that mean, at all times at once with the monitor's confidence; of
            all frames since the last reset, whatever the floor was.
        floor: the first exit that may answer.
        alarms: how often it was raised.
    """

    seen: int
    mean: float
    upper: float
    floor: int
    alarms: int


@dataclass(frozen=True)
class Alarm:
    """A camera's early answers have become worse than is borne.

    Attributes:
        camera: which.
        floor: the first exit that may answer from now on; one that is not there before the end
            means that no early exit may.
        mean: mean disagreement so far.
    """

    camera: str
    floor: int
    mean: float


@dataclass
class _Camera:
    drift: Drift | None
    bound: MeanBound
    floor: int = 0
    alarms: int = 0
    files: list[Path] = field(default_factory=list)


class ShadowMonitor:
    """Compares, bounds, and closes the first exits of a camera whose answers have drifted.

    On an alarm the first exit that was still open is closed for the camera, and the test begins
    anew for those that remain: each step is more careful than the one before, up to the network
    without early exits. Nothing opens again by itself: `reset` does, when someone has looked.

    Args:
        exits: how many exits the plan has.
        limit: mean share of pixels that may disagree; absent: compare and bound, raise no alarm.
        delta: how probable a false alarm may be for one camera at one floor, in all time.
        folder: where frames above the limit are kept for calibrating again; absent: nowhere.
        on_alarm: called on an alarm, in the thread that brought the frame.

    Raises:
        BadInput: the limit or delta is not within (0, 1).
    """

    def __init__(
        self,
        exits: int,
        limit: float | None = None,
        *,
        delta: float = 0.01,
        folder: Path | None = None,
        on_alarm: Callable[[Alarm], None] = lambda _: None,
    ) -> None:
        if folder is not None and limit is None:
            raise BadInput("frames are kept that disagree by more than a limit", expected="a limit")
        self._exits = exits
        self._limit = limit
        self._delta = delta
        self._folder = folder
        self.on_alarm = on_alarm
        self._cameras: dict[str, _Camera] = {}
        self._lock = threading.Lock()
        self._fresh()  # refuses a limit that cannot be kept

    def note(self, camera: str, loss: float, image: Array) -> None:
        """Take in one compared frame: the share of its pixels that disagree, from 0 to 1."""
        alarm = None
        with self._lock:
            known = self._cameras.setdefault(camera, _Camera(self._fresh(), MeanBound(self._delta)))
            known.bound.note(loss)
            if known.drift is not None and known.drift.note(loss):
                known.floor = min(known.floor + 1, self._exits - 1)
                known.alarms += 1
                known.drift = self._fresh() if known.floor < self._exits - 1 else None
                alarm = Alarm(camera, known.floor, known.bound.mean)
        if self._limit is not None and self._folder is not None and loss > self._limit:
            self._keep(known, self._folder / camera, image)
        if alarm is not None:
            logger.warning("camera %s: answers before exit %d drifted", camera, alarm.floor + 1)
            self.on_alarm(alarm)

    def floor(self, camera: str) -> int | None:
        """Name the first exit that may answer this camera; none: any."""
        known = self._cameras.get(camera)
        return known.floor if known is not None and known.floor else None

    def watch(self, camera: str) -> Watch | None:
        """Tell what is known of a camera; none if nothing was compared."""
        with self._lock:
            known = self._cameras.get(camera)
            if known is None:
                return None
            bound = known.bound
            return Watch(bound.seen, bound.mean, bound.upper, known.floor, known.alarms)

    def reset(self, camera: str) -> None:
        """Forget a camera: its exits open again, and its test begins anew. Kept frames stay."""
        with self._lock:
            self._cameras.pop(camera, None)

    def _fresh(self) -> Drift | None:
        return None if self._limit is None else Drift(self._limit, self._delta)

    def _keep(self, known: _Camera, folder: Path, image: Array) -> None:
        """Write a frame, and remove the oldest where there are too many."""
        with self._lock:
            if not known.files:  # some may be there from before
                known.files = sorted(folder.glob("*.png"))
            number = int(known.files[-1].stem) + 1 if known.files else 1
            file = folder / f"{number:08d}.png"
            known.files.append(file)
            old = known.files.pop(0) if len(known.files) > KEPT else None
        folder.mkdir(parents=True, exist_ok=True)
        write_image(file, image)
        if old is not None:
            old.unlink(missing_ok=True)
