"""A request: one image from a caller who waits for its answer."""

import numpy as np

from offramp.core.errors import BadInput, UnknownName
from offramp.data.images import Array
from offramp.video.answer import Answer, Overloaded, TooLate, Unanswered
from offramp.video.job import Decision, Job
from offramp.video.walk import Walk

HUNG_S = 5.0
"""After its deadline a request waits so much longer for a step that does not end."""


def check(image: Array, deadline_ms: float | None, exit: int | None, exits: int) -> None:
    """Refuse a request that cannot be meant.

    Raises:
        BadInput: the image is no uint8 RGB array, or the deadline is no positive number.
        UnknownName: there is no such exit.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise BadInput(
            "not a frame",
            expected="uint8 RGB of shape HxWx3",
            got=f"{image.dtype} of shape {image.shape}",
        )
    if deadline_ms is not None and not 0 < deadline_ms < float("inf"):
        raise BadInput("a deadline", expected="above 0 ms", got=str(deadline_ms))
    if exit is not None and not 0 <= exit < exits:
        raise UnknownName("exit", str(exit), map(str, range(exits)))


def wait(job: Job, decision: Decision, deadline_s: float | None) -> Answer:
    """Wait for the answer.

    Raises:
        Overloaded: the request was not taken.
        TooLate: its deadline passed.
        Unanswered: the engine failed at it, or all was stopped.
    """
    walk: Walk = job.frame
    if not decision.taken:
        raise Overloaded(decision.retry_after_s)
    walk.ended.wait(None if deadline_s is None else deadline_s + HUNG_S)
    if walk.answer is not None:
        return walk.answer
    if walk.fate in ("failed", "dropped"):
        why = "the engine failed at it" if walk.fate == "failed" else "all was stopped"
        raise Unanswered(f"the request was given up: {why}")
    raise TooLate("the deadline passed before any exit could answer")
