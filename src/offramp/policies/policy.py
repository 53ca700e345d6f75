"""The protocol of a policy, the policy that follows rules, and its replay on a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from offramp.core.plan import Plan
from offramp.core.rule import Rule
from offramp.metrics.seen import Seen


class Policy(Protocol):
    """The host-side decision "stop here or go on"."""

    def stops(self, index: int, scores: Sequence[float]) -> bool:
        """Decide at early exit `index` of the plan, from its scores."""
        ...


@dataclass(frozen=True)
class RulePolicy:
    """Follows one rule an exit.

    Attributes:
        rules: one for each early exit; none for one that never stops an image.
    """

    rules: Sequence[Rule | None]

    @classmethod
    def of(cls, plan: Plan) -> "RulePolicy":
        """Read the rules of a plan; a budgeted or anytime plan never stops early by score."""
        return cls(tuple(planned.rule for planned in plan.exits))

    def stops(self, index: int, scores: Sequence[float]) -> bool:
        """Ask the exit's rule."""
        rule = self.rules[index]
        return rule is not None and rule.stops(scores)


def replay(policy: Policy, seen: Seen) -> NDArray[np.intp]:
    """Tell which exit each image takes.

    Images come in their order: where a score compares with the answer to the image before, that
    answer is the one which the policy chose.

    Args:
        policy: the decision.
        seen: what the exits of the plan say; the last one's scores decide nothing.

    Returns:
        Indices into the plan's exits, shape N: what a session does on the same images.
    """
    exits, images, _ = seen.scores.shape
    taken = np.full(images, exits - 1, dtype=np.intp)
    before = 0
    for n in range(images):
        for index in range(exits - 1):
            if policy.stops(index, seen.at(index, n, before)):
                taken[n] = index
                break
        before = int(taken[n])
    return taken
