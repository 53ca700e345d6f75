"""Who is served next: start-time fair queueing of cameras, and of the requests beside them.

A camera's virtual time is the work spent on it over its weight. One that had more than its share
by more than a frame waits; one that was silent has no claim to what it did not ask for (Goyal et
al., "Start-time fair queueing", SIGCOMM'96). Within that bound the earliest deadline comes first.
"""

from collections import deque
from dataclasses import dataclass, field

from offramp.core.errors import UnknownName
from offramp.video.job import Job

GROWTH = 0.1
"""Weight of the newest frame in the mean work of a camera's frames."""


@dataclass
class Flow:
    """The frames of one camera, or the requests.

    Attributes:
        name: its name.
        weight: its share, against those of the others.
        newest: only the newest frame waits, as of live cameras.
        parallel: how many frames may be under way at a time.
        work: seconds that a frame takes on average.
        cap: the last exit that may answer at present.
        queue: the frames that wait, in the order in which they came.
        begun: how many are under way.
        virtual: seconds spent on it, over its weight.
    """

    name: str
    weight: float
    newest: bool
    parallel: int
    work: float
    cap: int
    queue: deque[Job] = field(default_factory=deque)
    begun: int = 0
    virtual: float = 0.0

    @property
    def idle(self) -> bool:
        """Tell whether nothing waits or is under way."""
        return not self.queue and not self.begun


class Flows:
    """All cameras, and whose turn it is."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow] = {}
        self._virtual = 0.0

    @property
    def queued(self) -> int:
        """Count the frames that wait to be begun."""
        return sum(len(flow.queue) for flow in self._flows.values())

    @property
    def begun(self) -> int:
        """Count the frames under way to their answer."""
        return sum(flow.begun for flow in self._flows.values())

    def add(self, flow: Flow) -> None:
        """Take part from now on."""
        flow.virtual = self._virtual
        self._flows[flow.name] = flow

    def remove(self, name: str) -> Flow:
        """Take part no longer."""
        return self._flows.pop(self.find(name).name)

    def find(self, name: str) -> Flow:
        """Find a camera.

        Raises:
            UnknownName: there is none of this name.
        """
        if name not in self._flows:
            raise UnknownName("camera", name, (known for known in self._flows if known))
        return self._flows[name]

    def put(self, flow: Flow, job: Job) -> Job | None:
        """Let a frame wait; gives the one that it displaces."""
        if flow.idle:
            flow.virtual = max(flow.virtual, self._virtual)
        displaced = flow.queue.popleft() if flow.newest and flow.queue else None
        flow.queue.append(job)
        return displaced

    def empty(self) -> list[Job]:
        """Take out all frames that wait."""
        jobs = [job for flow in self._flows.values() for job in flow.queue]
        for flow in self._flows.values():
            flow.queue.clear()
        return jobs

    def turn(self) -> Flow | None:
        """Choose whose frame is begun next; none if none may be."""
        waiting = [f for f in self._flows.values() if f.queue and f.begun < f.parallel]
        if not waiting:
            return None
        least = min(flow.virtual for flow in waiting)
        due = [flow for flow in waiting if flow.virtual <= least + flow.work]
        return min(due, key=lambda flow: flow.queue[0].urgency)

    def begin(self, flow: Flow) -> Job:
        """Take out a frame, and charge its camera for a mean one at once."""
        active = (other.virtual for other in self._flows.values() if not other.idle)
        self._virtual = max(self._virtual, min(active))
        job = flow.queue.popleft()
        flow.begun += 1
        flow.virtual += flow.work / flow.weight
        job.lane, job.charged = flow, flow.work
        return job

    def settle(self, job: Job, whole: bool) -> None:
        """Charge what a frame took beyond, or less than, a mean one.

        Args:
            job: the frame.
            whole: it went all its way, and says what frames take.
        """
        flow: Flow = job.lane
        flow.begun -= 1
        flow.virtual += (job.spent - job.charged) / flow.weight
        flow.work += GROWTH * (job.spent - flow.work) if whole else 0.0

    def ahead(self, flow: Flow) -> float:
        """Sum the seconds of work that a further frame of this camera would wait for.

        That is all that waits; but where others go on sending, its own queue gets no more than
        its share of the time.
        """
        waiting = [other for other in self._flows.values() if other.queue or other is flow]
        share = flow.weight / sum(other.weight for other in waiting)
        total = sum(len(other.queue) * other.work for other in waiting)
        return max(total, len(flow.queue) * flow.work / share)
