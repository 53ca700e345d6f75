"""Exit strategies by name, fitted on one chain of exits of one trace.

    threshold:SCORE     one threshold an exit, any recorded score (MESS §5.2, VIDEO §3.4.4)
    range:fft           a range of scores (VIDEO §3.5.1)
    per-class           a threshold for each class
    classifier          an auxiliary network says "good enough" (VIDEO §3.5.2)
    exit-choice         an auxiliary network names the exit to take (VIDEO §3.5.2)
    regressor           an auxiliary network predicts the image's mIoU (VIDEO §3.5.2)
    rl:SCORE[+SCORE]    tables over bins of scores, learned by episodes (VIDEO §3.5.3)
    table:SCORE[+SCORE] such tables, solved

Each proposes many sets of rules, from "stop at once" to "never stop". What they do is judged in
one way for all: by replaying them on the trace.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Costs
from offramp.core.errors import UnknownName
from offramp.core.plan import Plan, PlannedExit
from offramp.core.rule import AtLeast, AtMost, Rule
from offramp.core.score import ScoreSpec
from offramp.metrics.trace import Trace
from offramp.policies import exact, perclass, qlearning, tabular
from offramp.policies import range as ranges
from offramp.policies.calibration import Calibration
from offramp.policies.fitted import Fitted
from offramp.search.designs import deciding, judged
from offramp.search.search import expect, full_network, pareto

Rules = tuple[Rule, ...]
CostKind = Literal["macs", "latency"]

LEARNED = ("classifier", "exit-choice", "regressor")
JOINT_BINS = 4
"""Bins of each score where two decide together; a single one has `tabular.BINS`."""


@dataclass(frozen=True)
class Problem:
    """What a strategy is fitted on.

    Attributes:
        trace: recorded images.
        costs: what each piece costs.
        rows: the chain: rows of the trace in the order of the path, at least two.
        cost: what counts as time.
    """

    trace: Trace
    costs: Costs
    rows: tuple[int, ...]
    cost: CostKind = "macs"

    def calibration(self, names: Sequence[str]) -> Calibration:
        """Put scores, each image's mIoU, and times as shares of the full network's together."""
        images = len(self.trace.images)
        gains = [self.trace.miou_per_image(np.full(images, row)) for row in self.rows]
        scores = self.trace.seen(self.rows, names).scores
        return Calibration.of(scores, np.array(gains), self.times())

    def times(self) -> NDArray[np.float64]:
        """What an image costs that stops at each exit, heads on the way included; full = 1."""
        exits = [self.trace.exits[row] for row in self.rows]
        spent = [self._spent(exits[: i + 1]) for i in range(len(exits))]
        return np.array(spent) / self._spent([self.trace.exits[-1]])

    def plan(self, strategy: "Strategy", rules: Rules) -> Plan:
        """Write rules as a plan, with what they do on the recorded images."""
        trace = self.trace
        exits = [
            PlannedExit(point=trace.exits[row][0], head=trace.exits[row][1], rule=rule,
                        miou=trace.exit_miou(row))
            for row, rule in zip(self.rows, [*rules, None], strict=True)
        ]  # fmt: skip
        full = full_network(trace, self.costs)
        raw = Plan(
            setting="input-dependent",
            policy=strategy.name,
            scores=strategy.scores(trace),
            exits=tuple(exits),
            expected=full,
            full=full,
            size=trace.size,
            images=len(trace.images),
        )
        return expect(raw, trace, self.costs)

    def _spent(self, exits: Sequence[tuple[str, str]]) -> float:
        cost = self.costs.of(exits)
        return float(cost.macs) if self.cost == "macs" else cost.latency_ms


@dataclass(frozen=True)
class Strategy:
    """One way to decide where to stop.

    Attributes:
        name: as in this file's head.
        kind: what comes before the colon.
        names: of the scores that it decides by; empty: those of the classes.
    """

    name: str
    kind: str
    names: tuple[str, ...]

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
        if kind not in _PROPOSERS or not rest:
            raise UnknownName("exit strategy", name, KNOWN)
        names = tuple(ScoreSpec.parse(part).name for part in rest.split("+"))
        if len(names) > 1 and kind in ("threshold", "range"):
            raise UnknownName("exit strategy", name, KNOWN)
        return cls(name, kind, names)

    def scores(self, trace: Trace) -> tuple[str, ...]:
        """Name the scores that it decides by, on a trace of C classes."""
        return self.names or tuple(f"class-top1#{label}" for label in range(len(trace.names)))

    def plans(self, problem: Problem) -> list[Plan]:
        """Fit it every way; plans that none other beats in mIoU and cost, cheapest first.

        Raises:
            UnknownName: the trace lacks a score.
        """
        proposed = dict.fromkeys(_PROPOSERS[self.kind](self, problem))
        plans = [problem.plan(self, rules) for rules in proposed]
        macs = problem.cost == "macs"
        spent = np.array([p.expected.macs if macs else p.expected.latency_ms for p in plans])
        kept = pareto(spent, np.array([plan.expected.miou for plan in plans]))
        return [plans[i] for i in kept]


def _thresholds(strategy: Strategy, problem: Problem) -> Iterator[Rules]:
    """Propose the thresholds that no others of the same score beat."""
    (name,) = strategy.names
    kind = AtLeast if ScoreSpec.parse(name).more_is_surer else AtMost
    if name not in deciding(problem.trace):
        yield from _product(strategy, problem, kind)
        return
    chain = judged(problem.trace, problem.costs, problem.rows, name)
    if chain is None:
        return
    spent = chain.macs if problem.cost == "macs" else chain.latency_ms
    for grid in pareto(spent, chain.miou):
        yield tuple(kind(threshold=t) for t in chain.thresholds(grid))


def _product(
    strategy: Strategy, problem: Problem, kind: type[AtLeast] | type[AtMost]
) -> Iterator[Rules]:
    """Propose combinations of quantiles of scores that depend on other answers, and of never."""
    early = problem.trace.seen(problem.rows, strategy.names).scores[:-1, :, 0]
    shares = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
    never = early.max() + 1 if kind is AtLeast else early.min() - 1
    grids = [np.unique([*np.quantile(row, shares), never]) for row in early]
    for thresholds in product(*grids):
        yield tuple(kind(threshold=float(t)) for t in thresholds)


def _common(strategy: Strategy, problem: Problem) -> Iterator[Rules]:
    """Propose one threshold for all exits: what a learned score says means the same at each."""
    early = problem.trace.seen(problem.rows, strategy.names).scores[:-1, :, 0]
    for threshold in np.unique(np.quantile(early, np.linspace(0, 1, 61))):
        yield (AtLeast(threshold=float(threshold)),) * len(early)


def _swept(
    sweep: Callable[[Calibration], Sequence[Fitted[Rule]]], strategy: Strategy, problem: Problem
) -> Iterator[Rules]:
    """Propose what a sweep of `policies` fits."""
    for fit in sweep(problem.calibration(strategy.scores(problem.trace))):
        yield fit.rules


def _tables(
    solve: Callable[[tabular.States], tabular.Solution], calibration: Calibration
) -> Sequence[Fitted[Rule]]:
    joint = calibration.scores.shape[2] > 1
    return tabular.sweep(calibration, solve, bins=JOINT_BINS if joint else tabular.BINS)


def _learn(states: tabular.States) -> tabular.Solution:
    return qlearning.learn(states, np.random.default_rng(0))


_PROPOSERS: dict[str, Callable[[Strategy, Problem], Iterator[Rules]]] = {
    "threshold": _thresholds,
    "range": partial(_swept, ranges.sweep),
    "per-class": partial(_swept, perclass.sweep),
    **dict.fromkeys(LEARNED, _common),
    "rl": partial(_swept, partial(_tables, _learn)),
    "table": partial(_swept, partial(_tables, exact.ascent)),
}

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
