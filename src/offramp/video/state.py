"""What a camera is doing, as a machine of states without clocks, threads or cameras of its own.

    connecting ──frame──► running ──silence──► stalled ──► reconnecting ──frame──► running
        └──loss──► reconnecting            loss ─────────────┘
    any ──► paused ──► connecting          file: ──► ended          beyond repair: ──► failed

Retries wait a random time up to a ceiling that doubles (full jitter: Brooker, "Exponential
Backoff and Jitter", 2015), so that cameras behind one failed switch do not return at once.
"""

import random
from enum import StrEnum

FIRST_FRAME_S = 10.0
"""How long a new connection may take to its first frame: streams begin at a key frame."""

PATIENCE_S = 2.5
"""How long a running camera may be silent, if five of its intervals are shorter."""

LONGEST_WAIT_S = 30.0
QUICK_WAIT_S = 2.0
RECENT_S = 120.0
"""A camera that had a frame so recently is asked again after `QUICK_WAIT_S` at most."""

HEALTHY_S = 60.0
"""A camera that ran for so long is trusted again."""


class Phase(StrEnum):
    """What a camera is doing."""

    CONNECTING = "connecting"
    RUNNING = "running"
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    ENDED = "ended"
    FAILED = "failed"
    PAUSED = "paused"


class Health:
    """The state of one camera.

    Args:
        now: seconds on a clock that only goes forward; so in all methods.
        rng: draws the waits.

    Attributes:
        phase: what the camera is doing.
        since: when that began.
        reason: why; empty where nothing is wrong.
        reconnects: connections that brought frames, after the first.
    """

    def __init__(self, now: float, rng: random.Random) -> None:
        self.phase = Phase.CONNECTING
        self.since = now
        self.reason = ""
        self.reconnects = 0
        self._rng = rng
        self._sign = now  # last sign of life: the connection, or a frame
        self._patience = FIRST_FRAME_S
        self._last_frame: float | None = None
        self._running_since: float | None = None
        self._failures = 0  # losses since the last frame
        self._flaps = 0  # connections in a row that did not stay
        self._interval = 0.0

    def opened(self, now: float) -> None:
        """Note that there is a connection, without a frame yet."""
        self._sign = now
        self._patience = FIRST_FRAME_S
        self._running_since = None

    def frame(self, now: float) -> None:
        """Note that a frame was decoded."""
        if self.phase is not Phase.RUNNING:
            self.reconnects += self._last_frame is not None and self._running_since is None
            self._enter(Phase.RUNNING, now, "")
        if self._running_since is None:
            self._running_since = now
        else:
            gap = now - self._sign
            self._interval = gap if not self._interval else 0.9 * self._interval + 0.1 * gap
        if now - self._running_since >= HEALTHY_S:
            self._flaps = 0
        self._failures = 0
        self._last_frame = self._sign = now
        self._patience = max(PATIENCE_S, 5 * self._interval)

    def seen(self, now: float) -> tuple[Phase, float, str]:
        """Tell phase, since and reason as they look now: a running camera may have stalled."""
        quiet_since = self._sign + self._patience
        if self.phase is Phase.RUNNING and now > quiet_since:
            return Phase.STALLED, quiet_since, f"no frame for {now - self._sign:.1f} s"
        return self.phase, self.since, self.reason

    def silent(self, now: float) -> bool:
        """Tell whether a connected camera has been silent too long; if so, it has stalled."""
        if now - self._sign <= self._patience:
            return False
        self._enter(Phase.STALLED, now, f"no frame for {now - self._sign:.1f} s")
        return True

    def lost(self, now: float, reason: str, denied: bool = False) -> float:
        """Note that the connection, or the attempt at one, failed.

        Args:
            now: when.
            reason: why.
            denied: the camera refuses us; to ask often would lock the account.

        Returns:
            seconds to wait before the next attempt.
        """
        if self._running_since is not None:
            stayed = now - self._running_since >= HEALTHY_S
            self._flaps = 0 if stayed else self._flaps + 1
        self._running_since = None
        recent = self._last_frame is not None and now - self._last_frame < RECENT_S
        # The first two short connections are not yet flapping: a camera that boots does so.
        quick = min(QUICK_WAIT_S * 2.0 ** max(0, self._flaps - 2), LONGEST_WAIT_S)
        ceiling = min(2.0 ** min(self._failures, 10), quick if recent else LONGEST_WAIT_S)
        if self._flaps > 2:
            ceiling = max(ceiling, quick)
        self._failures += 1
        self._enter(Phase.RECONNECTING, now, reason)
        if denied:
            return self._rng.uniform(LONGEST_WAIT_S / 2, LONGEST_WAIT_S)
        return self._rng.uniform(0.0, ceiling)

    def left(self, now: float, phase: Phase, reason: str) -> None:
        """Note that a file has no more frames, or that no further attempt would help."""
        self._enter(phase, now, reason)

    def paused(self, now: float) -> None:
        """Note that nobody wants frames for now."""
        self._enter(Phase.PAUSED, now, "")

    def resumed(self, now: float) -> None:
        """Note that frames are wanted again."""
        self._failures = self._flaps = 0
        self._enter(Phase.CONNECTING, now, "")

    def _enter(self, phase: Phase, now: float, reason: str) -> None:
        if phase is not self.phase:
            self.since = now
        self.phase, self.reason = phase, reason


class Epochs:
    """Tells when a camera's own clock has jumped, by the clock of this machine.

    Times of one epoch can be compared. Nothing ever waits for a camera's time to come.

    Attributes:
        epoch: number of the current epoch, from 0.
        jumps: epochs that began by a jump, rather than by a new connection.
    """

    def __init__(self, live: bool) -> None:
        self.epoch = 0
        self.jumps = 0
        self._live = live
        self._last: tuple[float, float] | None = None  # stream time, time here

    def connected(self) -> None:
        """Begin anew: a new connection has a time of its own."""
        self.epoch += self._last is not None
        self._last = None

    def note(self, time_s: float | None, now: float) -> int:
        """Note a frame's own time, and give its epoch."""
        if time_s is None:
            return self.epoch
        if self._last is not None:
            ahead = time_s - self._last[0]
            # Forward, a live camera gains on this machine's clock only by jumping; the margin is
            # for frames that a network held back and delivers together.
            leap = ahead - (now - self._last[1]) if self._live else 0.0
            if ahead < -0.1 or leap > 5.0:
                self.epoch += 1
                self.jumps += 1
        self._last = (time_s, now)
        return self.epoch
