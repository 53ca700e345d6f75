"""How long the next step will probably take, from how long it took before.

Each step of a network (advance k, read k, decode) keeps its last 100 times. What it may take is a
high quantile of them, because a deadline is missed by slow steps, not by mean ones (Clockwork,
OSDI'20, predicts likewise); what it takes on average is what queued work is summed up by. The
quantile is the second slowest of 100: on a machine that grows hot or is shared it follows after
two steps, and it comes down when those have left the window, or were in doubt.
"""

import math
from collections.abc import Iterable
from typing import Literal

from offramp.runtime.pace import Times

Kind = Literal["advance", "read", "decode"]
Step = tuple[Kind, int]
"""What is done, and at which exit; decoding has the index 0."""

DECODE: Step = ("decode", 0)

QUANTILE = 0.99


class Predictor:
    """Predicts the times of all steps of one network on one machine.

    Args:
        exits: how many exits it has, the network's own end included.
    """

    def __init__(self, exits: int) -> None:
        self.exits = exits
        kinds: tuple[Kind, ...] = ("advance", "read")
        steps: list[Step] = [(kind, index) for kind in kinds for index in range(exits)]
        self._times = {step: Times() for step in (*steps, DECODE)}

    def observe(self, step: Step, seconds: float) -> None:
        """Take in how long a step took."""
        self._times[step].add(seconds)

    def refused(self, step: Step) -> None:
        """Note that a step was not begun because it seemed too long."""
        self._times[step].refused()

    def expect(self, steps: Iterable[Step]) -> float:
        """Give the seconds within which steps, one after another, will nearly always end.

        Steps are slow one at a time: what each may take beyond its mean adds up as standard
        deviations do, in squares. Summed up plainly, a path of many steps would never seem to fit.
        """
        times = [self._times[step] for step in steps]
        beyond = (one.expect(QUANTILE) - one.mean() for one in times)
        return sum(one.mean() for one in times) + math.hypot(*beyond)

    def mean(self, steps: Iterable[Step]) -> float:
        """Give the seconds that steps take on average."""
        return sum(self._times[step].mean() for step in steps)


def path(first: int, last: int, reads: int = 0) -> list[Step]:
    """List the steps from segment `first` to the answer of exit `last`.

    Args:
        first: the first segment to run.
        last: the exit that answers.
        reads: the first exit whose head is read.
    """
    steps: list[Step] = []
    for index in range(first, last + 1):
        steps.append(("advance", index))
        if index >= reads or index == last:
            steps.append(("read", index))
    return [*steps, DECODE]
