"""A camera at work: a thread that reads it, its newest frame, and how it fares.

Of a live camera only the newest frame waits; one that nobody took in time is overwritten and
counted. A file gives its next frame when the last was taken, and drops none. Whatever a camera
or its decoder does, it ends as a state with a reason: no exception leaves the thread.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from pydantic import Field

from offramp.core.spec import Spec
from offramp.video.address import Address
from offramp.video.rate import Stagger
from offramp.video.reader import Reader
from offramp.video.status import CameraStatus, Counters, Shot
from offramp.video.stream import Opener, open_stream

__all__ = ["Camera", "CameraSpec", "CameraStatus", "Counters", "Shot"]

logger = logging.getLogger(__name__)

NAME = r"^[A-Za-z0-9_-]{1,64}$"


class CameraSpec(Spec):
    """Which camera, and what is wanted of it.

    Attributes:
        name: letters, digits, `_` and `-`.
        address: where it is; a text in any form of `video/address.py`.
        weight: its share of the engine when cameras compete, against theirs.
        max_fps: frames a second that are wanted; absent: all.
        min_miou: no exit that is worse answers for this camera.
        deadline_ms: how old an answer may be; absent: however old.
    """

    name: str = Field(pattern=NAME)
    address: Address
    weight: float = Field(default=1.0, gt=0, le=1000)
    max_fps: float | None = Field(default=None, gt=0, le=1000)
    min_miou: float | None = Field(default=None, ge=0, le=1)
    deadline_ms: float | None = Field(default=200.0, gt=0)


_STAGGER = Stagger()


class Camera:
    """Reads one camera in a thread of its own, from `start` to `stop`.

    Args:
        spec: which camera.
        opener: opens its stream.
        clock: seconds that only go forward; `Shot.received` is on it.
        rng: draws the waits between attempts.
        stagger: keeps cameras from being opened all at once.
        on_frame: called in the reader's thread when a new frame is there; must return soon.
        on_change: called in the reader's thread when the state has changed; likewise.
    """

    def __init__(
        self,
        spec: CameraSpec,
        *,
        opener: Opener = open_stream,
        clock: Callable[[], float] = time.perf_counter,
        rng: random.Random | None = None,
        stagger: Stagger = _STAGGER,
        on_frame: "Callable[[Camera], None] | None" = None,
        on_change: "Callable[[Camera], None] | None" = None,
    ) -> None:
        self.spec = spec
        self.on_frame = on_frame
        self.on_change = on_change
        self._reader = Reader(
            spec.name,
            spec.address,
            max_fps=spec.max_fps,
            opener=opener,
            clock=clock,
            rng=rng or random.Random(),
            stagger=stagger,
            on_frame=self._tell_frame,
            on_change=self._tell_change,
        )
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{spec.name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def take(self) -> Shot | None:
        """Give the frame that waits, if there is one; never blocks."""
        shot = self._reader.take()
        if shot is not None and not self.spec.address.live:
            self._wake.set()
        return shot

    def pause(self) -> None:
        """Close a live camera until `resume`; a file stays where it is."""
        self._reader.pause()
        self._wake.set()

    def resume(self) -> None:
        """Read on after `pause`."""
        self._reader.resume()
        self._wake.set()

    def stop(self, wait_s: float = 6.0) -> bool:
        """End the thread, and drop the frame that waits.

        Args:
            wait_s: how long to wait for the thread; it can be held up by its camera, for five
                seconds while a connection is made. 0: only tell it.

        Returns:
            whether the thread has ended.
        """
        self._stopped.set()
        self._wake.set()
        self._reader.stop()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def status(self) -> CameraStatus:
        """Tell how the camera fares."""
        return self._reader.status()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                wait_s = self._reader.step()
                if wait_s is None or wait_s > 0:
                    self._wake.wait(wait_s)
                    self._wake.clear()
        finally:
            self._reader.close()

    def _tell_frame(self) -> None:
        self._tell(self.on_frame)

    def _tell_change(self) -> None:
        self._tell(self.on_change)

    def _tell(self, listener: "Callable[[Camera], None] | None") -> None:
        if listener is None:
            return
        try:
            listener(self)
        except Exception:  # a listener's fault is not the camera's: it reads on
            logger.exception("camera %s: a listener failed", self.spec.name)
