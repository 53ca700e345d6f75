"""The protocol of a policy, the policy that follows rules, and its replay on a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from offramp.core.plan import Plan
from offramp.core.rule import AtLeast, AtMost, Levels, Range, Rule, Table
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
    if isinstance(policy, RulePolicy) and seen.column is None:
        return _at_once(policy, seen.scores)
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


def stopped(rule: Rule, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Ask a rule about many images at once; scores N×S, answers N."""
    if isinstance(rule, Levels):
        return np.asarray((scores >= np.array(rule.thresholds)).all(axis=1))
    if isinstance(rule, Table):
        return _in_stopping_bins(rule, scores)
    if isinstance(rule, AtLeast):
        return np.asarray(scores[:, rule.score] >= rule.threshold)
    if isinstance(rule, AtMost):
        return np.asarray(scores[:, rule.score] <= rule.threshold)
    if isinstance(rule, Range):
        single = scores[:, 0]
        return np.asarray((single >= rule.low) & (single <= rule.high))
    return np.array([rule.stops(row) for row in scores.tolist()], dtype=bool)


def _in_stopping_bins(rule: Table, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    index = np.zeros(len(scores), dtype=np.intp)
    for column, edges in zip(scores.T, rule.edges, strict=True):
        index = index * (len(edges) + 1) + np.searchsorted(np.array(edges), column, side="right")
    known = ~np.isnan(scores).any(axis=1)
    # A score that is no number has no bin; 0 stands in, and is left out.
    return np.asarray(known & np.array(rule.stop)[np.where(known, index, 0)])


def _at_once(policy: RulePolicy, scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Replay rules, exit by exit, on images that do not depend on each other; scores E×N×S."""
    exits, images, _ = scores.shape
    taken = np.full(images, exits - 1, dtype=np.intp)
    for index in reversed(range(exits - 1)):
        rule = policy.rules[index]
        if rule is not None:
            taken[stopped(rule, scores[index])] = index
    return taken
