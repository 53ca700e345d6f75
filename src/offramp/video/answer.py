"""An answer to a frame of a camera or to a request, and why there may be none."""

from dataclasses import dataclass

from offramp.core.errors import OfframpError
from offramp.data.images import Array


@dataclass(frozen=True)
class Answer:
    """The answer to one frame.

    Attributes:
        camera: its camera; empty for a request.
        number: of the frame, counted by its camera; of the request, counted from 1.
        image: the frame, uint8 RGB H×W×3.
        labels: class indices, uint8 H×W, of the frame's own size.
        exit: index of the exit that answered, among `Analytics.points`.
        point: its position in the network.
        scores: the scores of each exit that was read on the way, the answering exit's last.
        received: when the frame came, in seconds on the clock of `Analytics`.
        latency_ms: from then to this answer, waiting included.
        time_s: seconds in its stream, where it has one.
        same: the scene had not changed: these are the labels of an answer before.
        involuntary: the deadline ended it, not the policy.
        late: it came after its deadline.
    """

    camera: str
    number: int
    image: Array
    labels: Array
    exit: int
    point: str
    scores: tuple[tuple[float, ...], ...]
    received: float
    latency_ms: float
    time_s: float | None = None
    same: bool = False
    involuntary: bool = False
    late: bool = False


class Overloaded(OfframpError, RuntimeError):
    """Refuse a request that would have to wait for too long.

    Args:
        retry_after_s: after how many seconds one is likely to be taken.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"more is asked than can be computed; try again in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class TooLate(OfframpError, TimeoutError):
    """Say that a request's deadline would pass, or has passed, before any exit answers."""


class Unanswered(OfframpError, RuntimeError):
    """Say that a request was given up: the engine failed at it, or everything was stopped."""
