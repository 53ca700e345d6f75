"""A live camera as a source of `offramp run`: its newest frame each time, until it is enough."""

import threading
import time
from collections.abc import Callable, Iterator

from offramp.core.errors import BadInput
from offramp.video.address import Address
from offramp.video.camera import Camera, CameraSpec
from offramp.video.sources import Frame
from offramp.video.state import Phase
from offramp.video.stream import Opener, open_stream

FPS = 15.0


class Live:
    """A live camera; frames that come while one is answered are lost, the newest excepted.

    Args:
        address: where it is.
        seconds: end after so long; absent: when `stop` is called.
        opener: opens its stream.
        clock: seconds that only go forward.

    Attributes:
        fps: the rate at which an overlay video of it plays.
        dropped: how many of its frames were lost.
    """

    total = 0
    live = True

    def __init__(
        self,
        address: Address,
        *,
        seconds: float | None = None,
        opener: Opener = open_stream,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = address.host or address.kind
        self.fps: float | None = FPS
        self.dropped = 0
        self._seconds = seconds
        self._clock = clock
        self._told = threading.Event()  # a frame is there, or the state has changed
        self._stopped = False
        self._camera = Camera(
            CameraSpec(name="live", address=address),
            opener=opener,
            clock=clock,
            on_frame=lambda _: self._told.set(),
            on_change=lambda _: self._told.set(),
        )

    def stop(self) -> None:
        """End `frames`; from any thread, or a signal's handler."""
        self._stopped = True
        self._told.set()

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame each time, from now on.

        Raises:
            BadInput: the camera was refused, or brought no frame in the time given.
        """
        end = self._clock() + self._seconds if self._seconds is not None else None
        any_frame = False
        self._camera.start()
        try:
            while not self._stopped and (end is None or self._clock() < end):
                self._told.clear()
                shot = self._camera.take()
                self.dropped = self._camera.status().counters.dropped
                if shot is not None:
                    any_frame = True
                    yield Frame(f"{shot.number:06d}", shot.image, shot.time_s)
                elif self._camera.status().state is Phase.FAILED:
                    break
                else:
                    self._told.wait(0.5 if end is None else min(0.5, max(0.0, end - self._clock())))
        finally:
            status = self._camera.status()
            self._camera.stop()
            self.dropped = self._camera.status().counters.dropped
        if not any_frame:
            raise BadInput(
                f"no frame came from {status.address}", got=status.reason or str(status.state)
            )
