"""How the last period went: frames missed, and the share of the workers' time that was used."""

from offramp.video.job import Ended
from offramp.video.ladder import Load


class Gauge:
    """Sums up between two looks.

    Args:
        workers: how many compute.
        now: the time at the start.

    Attributes:
        busy_s: seconds that workers have computed since the start, together.
        utilisation: share of the last period in which they did.
        looked: when the last look was.
    """

    def __init__(self, workers: int, now: float) -> None:
        self.busy_s = 0.0
        self.utilisation = 0.0
        self.looked = now
        self._workers = workers
        self._busy_before = 0.0
        self._live_s = 0.0
        self._frames = self._missed = self._lost = 0

    def worked(self, seconds: float, live: bool) -> None:
        """Note a step; files take any time that is left, so theirs tells nothing of the load."""
        self.busy_s += seconds
        self._live_s += seconds if live else 0.0

    def ended(self, ended: Ended) -> None:
        """Note what became of a frame; those of a camera that is gone tell nothing of the load."""
        if ended.reason == "removed":
            return
        self._frames += 1
        self._missed += ended.fate in ("dropped", "shed") or ended.job.involuntary
        self._lost += ended.fate == "shed" or ended.reason == "rejected"

    def look(self, now: float) -> Load:
        """Sum up the period since the last look, and begin a new one."""
        capacity = max(now - self.looked, 1e-9) * self._workers
        busy = min(self._live_s / capacity, 1.0)
        load = Load(self._frames, self._missed, self._lost, busy)
        self.utilisation = min((self.busy_s - self._busy_before) / capacity, 1.0)
        self.looked, self._busy_before, self._live_s = now, self.busy_s, 0.0
        self._frames = self._missed = self._lost = 0
        return load
