"""Compute what the figures of a comparison show, as plain records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.rule import AtLeast, AtMost, Levels, Range, Rule, Table
from offramp.metrics import ranks
from offramp.search.compare import Comparison, Row
from offramp.search.problem import Problem
from offramp.search.tally import Tally, follow

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Family:
    """Strategies of one kind, drawn in one colour.

    Attributes:
        name: what they have in common.
        rows: its strategies.
        best: the one that is picked: the cheapest fit that met the goal, else the most accurate,
            by the images that it was fitted on.
    """

    name: str
    rows: tuple[Row, ...]
    best: Row


@dataclass(frozen=True)
class ExitScores:
    """What one exit's score is worth, on held-out images.

    Attributes:
        name: position and head.
        point: the position.
        score: each image's score, shape N.
        miou: each image's mIoU at this exit, shape N; no number without a labelled pixel.
        stops: the scores at which the fitted rule stops an image.
        correlation: Spearman's rank correlation of both; NaN if undefined.
        reached: the images that come here, shape N.
    """

    name: str
    point: str
    score: Floats
    miou: Floats
    stops: tuple[Interval, ...]
    correlation: float
    reached: NDArray[np.bool_]


@dataclass(frozen=True)
class StrategyScores:
    """The exits of one strategy, in the order of the path.

    Attributes:
        policy: the strategy's name.
        score: what the numbers are.
        exits: one for each early exit.
    """

    policy: str
    score: str
    exits: tuple[ExitScores, ...]


_CONFIDENCE, _LEARNED = "confidence threshold", "auxiliary network"
_KINDS = {
    "threshold": _CONFIDENCE,
    "range": "range of scores",
    "per-class": "per-class thresholds",
    "classifier": _LEARNED,
    "exit-choice": _LEARNED,
    "regressor": _LEARNED,
    "rl": "learned table (RL)",
    "table": "solved table",
}

FAMILIES = (
    _CONFIDENCE,
    "entropy threshold",
    "agreement threshold",
    *dict.fromkeys(list(_KINDS.values())[1:]),
)
"""All families, in the order in which figures list them."""


def family_of(policy: str) -> str:
    """Name the family of a strategy by its name."""
    kind, _, score = policy.partition(":")
    if kind == "threshold" and score.endswith("agreement"):
        return "agreement threshold"
    if kind == "threshold" and score.removesuffix("-full") in ("entropy", "mean-entropy"):
        return "entropy threshold"
    return _KINDS[kind]


def families(comparison: Comparison) -> list[Family]:
    """Group the strategies, and name the best of each group by the fitted images."""
    cost = comparison.fitting.cost
    grouped: dict[str, list[Row]] = {}
    for row in comparison.strategies:
        grouped.setdefault(family_of(row.policy), []).append(row)
    return [
        Family(name, tuple(grouped[name]), min(grouped[name], key=lambda row: _order(row, cost)))
        for name in FAMILIES
        if name in grouped
    ]


def spent(tally: Tally, cost: str) -> float:
    """Give the mean work or milliseconds."""
    return tally.macs if cost == "macs" else tally.latency_ms


def by_use(rows: Sequence[Row], cost: str) -> list[Row]:
    """Order strategies: those that met the goal when fitted first, the cheapest first."""
    return sorted(rows, key=lambda row: _order(row, cost))


def strategy_scores(row: Row, problem: Problem) -> StrategyScores | None:
    """Set the score that a strategy decides by against how right each exit was.

    Of thresholds by class, the score is the least margin over its class's threshold. Nothing
    where several scores decide together.

    Args:
        row: a strategy's row.
        problem: the held-out images.
    """
    assert row.fit is not None
    plan = row.fit.plan
    rules = [planned.rule for planned in plan.exits[:-1] if planned.rule is not None]
    by_class = isinstance(rules[0], Levels)
    if len(plan.scores) > 1 and not by_class:
        return None
    taken, seen = follow(problem, row.fit), problem.trace.seen(problem.rows, plan.scores)
    before = np.concatenate([[0], taken[:-1]])
    exits, gains = [], problem.gains()
    for index, rule in enumerate(rules):
        said = np.array([seen.at(index, n, int(before[n])) for n in range(len(taken))])  # N×S
        score = _margin(rule, said) if isinstance(rule, Levels) else said[:, 0]
        planned = plan.exits[index]
        exits.append(
            ExitScores(
                name=f"{planned.point}/{planned.head}",
                point=planned.point,
                score=score,
                miou=gains[index],
                stops=intervals(rule),
                correlation=rank_correlation(score, gains[index]),
                reached=taken >= index,
            )
        )
    name = "least margin over a class's threshold" if by_class else plan.scores[0]
    return StrategyScores(row.policy, name, tuple(exits))


def intervals(rule: Rule) -> tuple[Interval, ...]:
    """List the scores at which a rule on one number stops; of levels, on the least margin."""
    if isinstance(rule, AtLeast):
        return ((rule.threshold, math.inf),)
    if isinstance(rule, AtMost):
        return ((-math.inf, rule.threshold),)
    if isinstance(rule, Range):
        return ((rule.low, rule.high),) if rule.low <= rule.high else ()
    if isinstance(rule, Levels):
        return ((0.0, math.inf),)
    return _stopping_bins(rule)


def rank_correlation(score: Floats, miou: Floats) -> float:
    """Correlate the ranks of scores and mIoU over the images that have both."""
    known = np.isfinite(score) & np.isfinite(miou)
    return ranks.rank_correlation(score[known], miou[known]) if known.any() else math.nan


def _stopping_bins(rule: Table) -> tuple[Interval, ...]:
    """List the bins that stop, neighbours joined."""
    (edges,) = rule.edges
    ends = [-math.inf, *edges, math.inf]
    found: list[Interval] = []
    for low, high, stop in zip(ends[:-1], ends[1:], rule.stop, strict=True):
        if stop and found and found[-1][1] == low:
            found[-1] = found[-1][0], high
        elif stop:
            found.append((low, high))
    return tuple(found)


def _margin(rule: Levels, scores: Floats) -> Floats:
    return np.asarray((scores - np.array(rule.thresholds)).min(axis=1))


def _order(row: Row, cost: str) -> tuple[bool, float]:
    return not row.met, spent(row.fitted, cost) if row.met else -row.fitted.miou
