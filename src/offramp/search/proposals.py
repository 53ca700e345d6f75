"""Which rules each kind of exit strategy proposes for a chain of exits.

A proposal is one rule for each early exit. Every kind proposes to stop no image, to stop all at
once, and much in between.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product

import numpy as np

from offramp.core.errors import BadInput
from offramp.core.rule import AtLeast, AtMost, Levels, Range, Rule, Table
from offramp.core.score import ScoreSpec
from offramp.policies import exact, perclass, qlearning, tabular
from offramp.policies import range as ranges
from offramp.policies.ceiling import fft_ceiling
from offramp.policies.fitted import Fitted
from offramp.search.designs import judged
from offramp.search.levels import deciding, levels
from offramp.search.pareto import pareto
from offramp.search.problem import Problem, Rules

LEARNED = ("classifier", "exit-choice", "regressor")
JOINT_BINS = 4
"""Bins of each score where two decide together; a single one has `tabular.BINS`."""

FEW, MANY = 7, 60
"""Thresholds tried at each exit where scores depend on other answers, and where one is for all."""

Names = Sequence[str]


@dataclass(frozen=True)
class Proposal:
    """Rules to be judged.

    Attributes:
        rules: one for each early exit.
        weight: of time, in mIoU, if they were fitted for one (λ, VIDEO §3.5.3).
    """

    rules: Rules
    weight: float | None = None


def propose(
    kind: str, names: Names, problem: Problem, segment_px: float | None = None
) -> Iterator[Proposal]:
    """Propose rules of one kind of strategy.

    Args:
        kind: a key of `PROPOSERS`.
        names: of the scores that it decides by.
        problem: what it is fitted on.
        segment_px: of a range, the side in pixels of the smallest segment: scores that no such
            answer can have are left out (VIDEO §3.5.1).

    Raises:
        UnknownName: the trace lacks a score.
        BadInput: the trace does not say on which grid exits answer.
    """
    if segment_px is not None:
        yield from _ranges(names, problem, _ceilings(problem, segment_px))
        return
    for rule in _extremes(kind, names, problem):
        yield Proposal((rule,) * (len(problem.rows) - 1))
    yield from PROPOSERS[kind](names, problem)


def _extremes(kind: str, names: Names, problem: Problem) -> tuple[Rule, Rule]:
    """Write "never stop" and "stop at once" in a kind's own sort of rule."""
    if kind == "per-class":
        never, ever = (perclass.UNREACHABLE,) * len(names), (0.0,) * len(names)
        return Levels(thresholds=never), Levels(thresholds=ever)
    if kind in ("rl", "table"):
        edges = ((),) * len(names)
        return Table(edges=edges, stop=(False,)), Table(edges=edges, stop=(True,))
    low, high = _outside(names, problem)
    if kind == "range":
        return ranges.NEVER, Range(low=low, high=high)
    if _more_is_surer(names):
        return AtLeast(threshold=high), AtLeast(threshold=low)
    return AtMost(threshold=low), AtMost(threshold=high)


def _thresholds(names: Names, problem: Problem) -> Iterator[Proposal]:
    """Propose the thresholds that no others of the same score beat.

    Thresholds part the images at every exit of a chain. So each shorter chain is judged too: an
    exit that it leaves out never stops an image, and its last one stops all that come.
    """
    (name,) = names
    if name not in deciding(problem.trace):
        yield from _product(names, problem)
        return
    low, high = _outside(names, problem)
    surer = _more_is_surer(names)
    kind, (never, ever) = (AtLeast, (high, low)) if surer else (AtMost, (low, high))
    early = problem.rows[:-1]
    for kept in _shorter(problem.rows):
        chain = judged(problem.trace, problem.costs, kept, name)
        if chain is None:
            continue
        spent = chain.macs if problem.cost == "macs" else chain.latency_ms
        for grid in pareto(spent, chain.miou):
            at = {**dict(zip(kept[:-1], chain.thresholds(grid), strict=True)), kept[-1]: ever}
            yield Proposal(tuple(kind(threshold=at.get(row, never)) for row in early))


def _shorter(rows: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """List the chains that keep at least two of these exits."""
    for length in range(2, len(rows) + 1):
        yield from combinations(rows, length)


def _product(names: Names, problem: Problem) -> Iterator[Proposal]:
    """Propose combinations of few thresholds on scores that depend on other answers."""
    early = problem.trace.seen(problem.rows, names).scores[:-1, :, 0]
    kind = AtLeast if _more_is_surer(names) else AtMost
    ends = _outside(names, problem)
    for thresholds in product(*(sorted({*ends, *levels(row, FEW)}) for row in early)):
        yield Proposal(tuple(kind(threshold=float(t)) for t in thresholds))


def _common(names: Names, problem: Problem) -> Iterator[Proposal]:
    """Propose one threshold for all exits: what a learned score says means the same at each."""
    early = problem.trace.seen(problem.rows, names).scores[:-1, :, 0]
    for threshold in levels(early.ravel(), MANY):
        yield Proposal((AtLeast(threshold=float(threshold)),) * len(early))


def _ranges(
    names: Names, problem: Problem, ceilings: Sequence[float] | None = None
) -> Iterator[Proposal]:
    """Propose the fullest ranges within every combination of losses, any loss included."""
    for fit in ranges.sweep(problem.calibration(names), (*ranges.LOSSES, 1.0), ceilings):
        yield Proposal(fit.rules)


def _ceilings(problem: Problem, segment_px: float) -> list[float]:
    """Bound each early exit's score by the smallest segment."""
    grids, height = problem.trace.grids, problem.trace.size[0]
    if not grids:
        raise BadInput("the trace does not say on which grid exits answer", repair=_AGAIN)
    return [
        fft_ceiling(segment_px, grids[row], height / grids[row][0]) for row in problem.rows[:-1]
    ]


_AGAIN = "record again: offramp record RUN"


def _levels(names: Names, problem: Problem) -> Iterator[Proposal]:
    for fit in perclass.sweep(problem.calibration(names)):
        yield Proposal(fit.rules)


def _tables(
    solve: Callable[[tabular.States], tabular.Solution], names: Names, problem: Problem
) -> Iterator[Proposal]:
    """Propose the tables of each weight of time."""
    bins = JOINT_BINS if len(names) > 1 else tabular.BINS
    fits: Sequence[Fitted[Table]] = tabular.sweep(problem.calibration(names), solve, bins=bins)
    for weight, fit in zip(tabular.WEIGHTS, fits, strict=True):
        yield Proposal(fit.rules, weight)


def _learn(states: tabular.States) -> tabular.Solution:
    return qlearning.learn(states, np.random.default_rng(0))


PROPOSERS: dict[str, Callable[[Names, Problem], Iterator[Proposal]]] = {
    "threshold": _thresholds,
    "range": _ranges,
    "per-class": _levels,
    **dict.fromkeys(LEARNED, _common),
    "rl": partial(_tables, _learn),
    "table": partial(_tables, exact.ascent),
}


def _outside(names: Names, problem: Problem) -> tuple[float, float]:
    """Find thresholds below and above all that a score says at the early exits."""
    early = problem.trace.seen(problem.rows, names).scores[:-1, :, 0]
    known = early[np.isfinite(early)]
    return float(known.min(initial=0)) - 1, float(known.max(initial=0)) + 1


def _more_is_surer(names: Names) -> bool:
    return ScoreSpec.parse(names[0]).more_is_surer
