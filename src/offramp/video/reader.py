"""How a camera is read, step by step and without a thread: open, read a packet, keep a frame.

`Reader.step` does one thing that may take its time and says how long to wait before the next, so
that a test drives it on a clock of its own. `take`, `pause`, `resume`, `stop` and `status` may be
called from any thread at any time.

Every decoded frame is accounted for: decoded = skipped + dropped + taken + (1 if one waits).
"""

import logging
import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

from offramp.core.errors import BadInput, MissingExtra
from offramp.video.address import Address
from offramp.video.picture import Corrupt, Picture
from offramp.video.rate import Rate, RateCap, Stagger
from offramp.video.state import Epochs, Health, Phase
from offramp.video.status import CameraStatus, Counters, Shot
from offramp.video.stream import Denied, Opener, Stream

logger = logging.getLogger(__name__)


class Reader:
    """Reads one camera in steps.

    Args:
        name, address: the camera's.
        max_fps: frames a second to keep; absent: all.
        opener: opens its stream.
        clock: seconds that only go forward.
        rng: draws the waits between attempts.
        stagger: keeps connections of several cameras apart.
        on_frame: called when a new frame waits.
        on_change: called when the state has changed.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        *,
        max_fps: float | None,
        opener: Opener,
        clock: Callable[[], float],
        rng: random.Random,
        stagger: Stagger,
        on_frame: Callable[[], None] = lambda: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.address = address
        self._opener = opener
        self._clock = clock
        self._stagger = stagger
        self._on_frame = on_frame
        self._on_change = on_change
        self._lock = threading.Lock()
        self._health = Health(clock(), rng)
        self._epochs = Epochs(address.live)
        self._rate = Rate()
        self._cap = RateCap(max_fps)
        self._counters: Counter[str] = Counter()
        self._slot: Shot | None = None
        self._size: tuple[int, int] | None = None
        self._stopped = False
        # Of the stepping thread alone:
        self._stream: Stream | None = None
        self._pictures: deque[Picture] = deque()
        self._due = clock()  # when the next connection may begin
        self._claimed = False  # whether its turn among other cameras is claimed
        self._told = self._health.phase

    def step(self) -> float | None:
        """Do the next thing.

        Returns:
            seconds to wait before the next step; none: until `take`, `resume` or `stop`.
        """
        wait_s = self._step()
        with self._lock:
            phase, reason = self._health.phase, self._health.reason
        if phase is not self._told:
            self._told = phase
            calm = phase in (Phase.RUNNING, Phase.PAUSED, Phase.ENDED, Phase.CONNECTING)
            said = f"{phase}: {reason}" if reason else phase
            logger.log(logging.INFO if calm else logging.WARNING, "camera %s: %s", self.name, said)
            self._on_change()
        return wait_s

    def take(self) -> Shot | None:
        """Give the frame that waits, if there is one."""
        with self._lock:
            shot, self._slot = self._slot, None
            if shot is not None:
                self._count(taken=1)
            return shot

    def pause(self) -> None:
        """Read no more until `resume`; the frame that waits is thrown away."""
        with self._lock:
            if not self._over() and self._health.phase is not Phase.PAUSED:
                self._health.paused(self._clock())
                self._throw_away()

    def resume(self) -> None:
        """Read again after `pause`."""
        with self._lock:
            if self._health.phase is Phase.PAUSED:
                self._health.resumed(self._clock())

    def stop(self) -> None:
        """Keep no further frames, and throw away the one that waits."""
        with self._lock:
            self._stopped = True
            self._throw_away()

    def close(self) -> None:
        """Close the stream; from the stepping thread."""
        stream, self._stream = self._stream, None
        self._pictures.clear()
        if stream is not None:
            with suppress(Exception):  # it is given up already
                stream.close()

    def status(self) -> CameraStatus:
        """Tell how the camera fares."""
        with self._lock:
            now = self._clock()
            state, since, reason = self._health.seen(now)
            counters = Counters(
                **self._counters,
                reconnects=self._health.reconnects,
                clock_jumps=self._epochs.jumps,
            )
            return CameraStatus(
                name=self.name,
                address=str(self.address),
                live=self.address.live,
                state=state,
                since=since,
                reason=reason,
                counters=counters,
                fps=self._rate.value(now),
                size=self._size,
                epoch=self._epochs.epoch,
            )

    def _step(self) -> float | None:
        live = self.address.live
        with self._lock:
            over = self._over() or self._stopped
            paused = self._health.phase is Phase.PAUSED
            full = self._slot is not None and not live
        if over or (paused and live):
            self._due = self._clock()
            self.close()
        if over or paused or full:
            return None
        if self._stream is None:
            return self._connect()
        if self._pictures:
            self._keep(self._pictures.popleft())
            return 0.0
        return self._read(self._stream)

    def _connect(self) -> float:
        now = self._clock()
        if now < self._due:
            return self._due - now
        if self.address.live and not self._claimed:
            self._claimed = True
            self._due = now + self._stagger.claim(now)
            return self._due - now
        self._claimed = False
        try:
            self._stream = self._opener(self.address)
        except Exception as error:  # any library's: the camera is given up, not the thread
            if not self.address.live or isinstance(error, BadInput | MissingExtra):
                return self._leave(Phase.FAILED, self._said(error))
            return self._lose(self._said(error), denied=isinstance(error, Denied))
        else:
            with self._lock:
                self._health.opened(self._clock())
                self._epochs.connected()
        return 0.0

    def _read(self, stream: Stream) -> float:
        try:
            pictures = stream.read()
        except Corrupt as error:
            logger.debug("camera %s: %s", self.name, self._said(error))
            with self._lock:
                self._count(received=1, corrupt=1)
        except EOFError as error:
            if self.address.live:
                return self._lose(self._said(error) or "the stream ended")
            return self._leave(Phase.ENDED, self._said(error))
        except Exception as error:  # as above
            if not self.address.live:
                return self._leave(Phase.FAILED, self._said(error))
            return self._lose(self._said(error))
        else:
            self._pictures.extend(pictures)
            with self._lock:
                self._count(received=1)
        return 0.0 if self._pictures or not self.address.live else self._watch()

    def _watch(self) -> float:
        """Give up a connection that brings no frames."""
        with self._lock:
            silent = self._health.phase is not Phase.PAUSED and self._health.silent(self._clock())
            reason = self._health.reason
        if not silent:
            return 0.0
        self._on_change()  # the state in between, which `step` would not see
        return self._lose(reason)

    def _keep(self, picture: Picture) -> None:
        """Put a decoded frame into the slot, unless it comes too soon."""
        now = self._clock()
        with self._lock:
            if self._health.phase is Phase.PAUSED and self.address.live:
                return
            before = self._epochs.epoch
            epoch = self._epochs.note(picture.time_s, now)
            if epoch != before and not self.address.live:
                self._cap.reset()
        at_s = picture.time_s if picture.time_s is not None and not self.address.live else now
        image = None
        try:
            if picture.corrupt:
                raise Corrupt("a damaged frame")
            if self._cap.keeps(at_s):
                image = picture.rgb()
        except Exception as error:  # as above
            logger.debug("camera %s: %s", self.name, self._said(error))
            with self._lock:
                self._count(corrupt=1)
            return
        with self._lock:
            number = self._counters["decoded"]
            changed = self._size not in (None, picture.size)
            self._count(decoded=1, skipped=image is None, size_changes=changed)
            self._size = picture.size
            self._rate.note(now)
            paused = self._health.phase is Phase.PAUSED
            if not paused:
                self._health.frame(now)
            if image is None:
                return
            self._throw_away()
            self._slot = Shot(image, number, now, picture.time_s, epoch)
            if self._stopped or (paused and self.address.live):
                self._throw_away()
                return
        self._on_frame()

    def _lose(self, reason: str, denied: bool = False) -> float:
        """Give the connection up, and try again later."""
        self.close()
        with self._lock:
            if self._health.phase is Phase.PAUSED:
                return 0.0
            now = self._clock()
            wait_s = self._health.lost(now, reason, denied)
            self._due = now + wait_s
        return wait_s

    def _leave(self, phase: Phase, reason: str) -> float:
        """End for good, well or not."""
        self.close()
        with self._lock:
            self._health.left(self._clock(), phase, reason)
        return 0.0

    def _over(self) -> bool:
        return self._health.phase in (Phase.ENDED, Phase.FAILED)

    def _throw_away(self) -> None:
        """Drop the frame that waits; under the lock."""
        if self._slot is not None:
            self._slot = None
            self._count(dropped=1)

    def _count(self, **more: int) -> None:
        """Add to the counters; under the lock."""
        for what, n in more.items():
            self._counters[what] += n

    def _said(self, error: Exception) -> str:
        """Say what an exception says, without secrets, on one line."""
        said = getattr(error, "strerror", None) or str(error)  # without an error's number
        text = " ".join(said.split()) or type(error).__name__
        return self.address.clean(text)[:300]
