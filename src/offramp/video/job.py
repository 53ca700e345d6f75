"""A job: one frame that wants an answer, how far it has come, and what became of it."""

from dataclasses import dataclass
from typing import Any, Literal

from offramp.video.counts import Reason
from offramp.video.predict import DECODE, Step, path

REQUESTS = ""
"""The name under which requests stand beside the cameras."""

Fate = Literal["answered", "dropped", "shed", "failed", "compared"]


@dataclass(eq=False)
class Job:
    """One frame on its way.

    Attributes:
        flow: its camera, or `REQUESTS`.
        number: what its camera counted.
        received: when it came, in seconds.
        deadline: when its answer is due; none: it can wait.
        cap: the last exit that may answer it.
        floor: the first exit at which the policy may stop it.
        reads: the first exit whose head is read. Before the floor, that is for the deadline's sake.
        sampled: after its answer, run to the end for comparison if there is time.
        frame: what the runner of its steps keeps.
        lane: what the scheduler keeps of its camera.
        at: the last segment that ran.
        best: the last exit that was read.
        stop: the policy stops it there.
        same: its scene has not changed; an answer is there already.
        involuntary: the deadline ended it, not the policy.
        spent: seconds that its steps have taken.
        charged: seconds that its camera was charged for it in advance.
        answered: it has its answer; what follows is comparison.
        gone: its camera is there no more; no further step is begun.
    """

    flow: str
    number: int
    received: float
    cap: int
    deadline: float | None = None
    floor: int = 0
    reads: int = 0
    sampled: bool = False
    frame: Any = None
    lane: Any = None
    at: int = -1
    best: int = -1
    stop: bool = False
    same: bool = False
    involuntary: bool = False
    spent: float = 0.0
    charged: float = 0.0
    answered: bool = False
    gone: bool = False

    @property
    def urgency(self) -> tuple[float, float]:
        """Compare by deadline, then by arrival."""
        return (self.deadline if self.deadline is not None else float("inf"), self.received)

    def came(self, step: Step, stop: bool, same: bool, cut: bool) -> None:
        """Note what a step led to; see `Scheduler.report`."""
        kind, index = step
        if cut:  # what was read last answers
            self.at = self.cap = self.best
            self.floor, self.involuntary = 0, True
        elif kind == "advance":
            self.at = index
        else:
            self.best, self.stop, self.same = index, stop, same

    def compare(self, end: int) -> None:
        """Go on to exit `end` after the answer."""
        self.answered, self.same, self.stop = True, False, False
        self.cap = self.floor = self.reads = end

    def steps(self, cap: int) -> list[Step]:
        """List the steps to the next exit that could answer; only decoding if none shall follow.

        Args:
            cap: the last exit that may answer at present.
        """
        cap = max(min(self.cap, cap), self.floor)
        unread = self.at > self.best and self.at >= self.reads
        if unread:
            return [("read", self.at), DECODE]
        read = self.best >= 0
        if read and (self.same or (self.stop and self.best >= self.floor) or self.best >= cap):
            return [DECODE]
        return path(self.at + 1, max(self.at + 1, self.reads), self.reads)


@dataclass(frozen=True)
class Task:
    """The next step of one job.

    Attributes:
        job: whose.
        step: which.
        until: when it must have ended for the deadline's sake; none: it can take its time.
    """

    job: Job
    step: Step
    until: float | None = None


@dataclass(frozen=True)
class Ended:
    """What became of a job; every job that is offered ends once.

    Attributes:
        job: which.
        fate: "compared" comes after "answered", for jobs that were sampled.
        reason: why it was dropped.
    """

    job: Job
    fate: Fate
    reason: Reason | None = None


@dataclass(frozen=True)
class Decision:
    """What is done with a job that is offered.

    Attributes:
        taken: it waits now.
        displaced: the older frame of its camera that will not be answered.
        reason: why it is not taken.
        retry_after_s: in how many seconds another may be.
    """

    taken: bool
    displaced: Job | None = None
    reason: Reason | None = None
    retry_after_s: float = 0.0
