"""Exit strategies by name, fitted on one chain of exits of one trace.

    threshold:SCORE     one threshold an exit, any recorded score (MESS §5.2, VIDEO §3.4.4)
    range:fft           a range of scores (VIDEO §3.5.1)
    range:fft@PIXELS    the same, bounded by the smallest segment that is to be seen
    per-class           a threshold for each class
    classifier          an auxiliary network says "good enough" (VIDEO §3.5.2)
    exit-choice         an auxiliary network names the exit to take (VIDEO §3.5.2)
    regressor           an auxiliary network predicts the image's mIoU (VIDEO §3.5.2)
    rl:SCORE[+SCORE]    tables over bins of scores, learned by episodes (VIDEO §3.5.3)
    table:SCORE[+SCORE] such tables, solved

Each proposes many sets of rules, from "stop at once" to "never stop". What they do is judged in
one way for all: by replaying them on the trace.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.core.errors import UnknownName
from offramp.core.plan import Plan
from offramp.core.score import ScoreSpec
from offramp.metrics.trace import Trace
from offramp.search.levels import deciding
from offramp.search.pareto import pareto
from offramp.search.problem import CostKind, Problem, Rules
from offramp.search.proposals import LEARNED, PROPOSERS, propose

__all__ = ["KNOWN", "CostKind", "Fit", "Problem", "Rules", "Strategy", "cheapest", "usual"]


@dataclass(frozen=True)
class Fit:
    """A strategy with rules, as a plan with what they do on the images that it was fitted on.

    Attributes:
        plan: the rules, exit by exit.
        weight: λ, what the full network's time is worth in mIoU, where rules were fitted for one.
    """

    plan: Plan
    weight: float | None = None


@dataclass(frozen=True)
class Strategy:
    """One way to decide where to stop.

    Attributes:
        name: as in this file's head.
        kind: what comes before the colon.
        names: of the scores that it decides by; empty: those of the classes.
        segment_px: of a range of `fft`, the side in pixels of the smallest segment to be seen.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    segment_px: float | None = None

    @classmethod
    def parse(cls, name: str) -> "Strategy":
        """Read a strategy's name.

        Raises:
            UnknownName: there is no such strategy, or no such score.
        """
        kind, _, rest = name.partition(":")
        if kind in LEARNED and not rest:
            return cls(name, kind, (kind,))
        if kind == "per-class" and not rest:
            return cls(name, kind, ())
        if kind == "range" and (match := _OF_SEGMENTS.fullmatch(rest)):
            return cls(name, kind, ("fft",), float(match[1]))
        if kind not in _OF_SCORES or not rest:
            raise UnknownName("exit strategy", name, KNOWN)
        names = tuple(ScoreSpec.parse(part).name for part in rest.split("+"))
        if len(names) > 1 and kind in ("threshold", "range"):
            raise UnknownName("exit strategy", name, KNOWN)
        return cls(name, kind, names)

    def scores(self, trace: Trace) -> tuple[str, ...]:
        """Name the scores that it decides by, on a trace of C classes."""
        return self.names or tuple(f"class-top1#{label}" for label in range(len(trace.names)))

    def fits(self, problem: Problem) -> list[Fit]:
        """Fit it every way; those that none other beats in mIoU and cost, cheapest first.

        Raises:
            UnknownName: the trace lacks a score.
        """
        names = self.scores(problem.trace)
        weights: dict[Rules, float | None] = {}
        for proposal in propose(self.kind, names, problem, self.segment_px):
            weights.setdefault(proposal.rules, proposal.weight)
        proposed = list(weights)
        kept = [proposed[i] for i in pareto(*problem.judge(names, proposed))]
        return [Fit(problem.plan(self.name, names, rules), weights[rules]) for rules in kept]

    def plans(self, problem: Problem) -> list[Plan]:
        """Fit it every way; the plans of `fits`.

        Raises:
            UnknownName: the trace lacks a score.
        """
        return [fit.plan for fit in self.fits(problem)]


def cheapest(fits: Sequence[Fit], least_miou: float) -> Fit:
    """Pick the cheapest fit of at least a mIoU; the most accurate one if none has as much.

    Args:
        fits: as `Strategy.fits` gives them: cheapest first, each more accurate than the last.
        least_miou: dataset mIoU on the images that they were fitted on.
    """
    return next((fit for fit in fits if fit.plan.expected.miou >= least_miou), fits[-1])


_OF_SEGMENTS = re.compile(r"fft@(\d+)")
_OF_SCORES = tuple(kind for kind in PROPOSERS if kind not in (*LEARNED, "per-class"))

KNOWN = (
    "threshold:mean-top1",
    "threshold:entropy",
    "range:fft",
    "per-class",
    *LEARNED,
    "rl:entropy",
    "rl:fft",
    "table:entropy",
)
"""Strategies that a misspelt name is compared with."""


def usual(trace: Trace) -> tuple[Strategy, ...]:
    """List the strategies that the trace's scores allow: a threshold on each, and all others."""
    recorded = set(trace.score_names)
    names = [f"threshold:{score}" for score in deciding(trace) if score not in LEARNED]
    names += ["range:fft"] if "fft" in recorded else []
    names += ["per-class"] if "class-top1#0" in recorded else []
    names += [name for name in LEARNED if name in recorded]
    for score in ("entropy", "fft"):
        names += [f"rl:{score}", f"table:{score}"] if score in recorded else []
    if trace.exit_agreement is not None:
        names.append("threshold:exit-agreement")
    if trace.frame_agreement is not None and trace.frame_agreement.any():
        names += ["threshold:frame-agreement", "table:entropy+frame-agreement"]
    return tuple(Strategy.parse(name) for name in names)
