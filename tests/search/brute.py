"""Every input-dependent design of a trace, judged image by image in plain numpy.

It knows MESS table 1 and eq. 4-6 and shares no code with the search: stops are compared with
thresholds, counts are gathered and summed, costs are added piece by piece.
"""

from collections.abc import Callable, Sequence
from itertools import combinations, product

import numpy as np

from offramp.core.costs import Cost, Costs
from offramp.metrics.trace import Trace
from offramp.search.design import Design
from offramp.search.goal import COSTS, CostName, Goal

MIOU, EXITS = len(COSTS), len(COSTS) + 1
"""Columns of a table after those of the costs: mIoU, and how many exits a design has."""

Thresholds = Callable[[np.ndarray], np.ndarray]
Judged = tuple[tuple[float, ...], float]


def between(scores: np.ndarray) -> np.ndarray:
    """List what lies midway between neighbouring scores."""
    distinct = np.unique(scores[np.isfinite(scores)])
    return (distinct[:-1] + distinct[1:]) / 2


def every_design(
    trace: Trace, costs: Costs, early: int, thresholds: Thresholds = between
) -> np.ndarray:
    """Judge all designs of up to `early` early exits; a row of COSTS, mIoU and exits for each."""
    last = len(trace.exits) - 1
    tables = [judge(trace, costs, (row,), []) for row in range(last + 1)]
    for group in groups(trace):
        deciders = [(row, name) for row in range(last) for name in group]
        for length in range(1, early + 1):
            for chain in combinations(deciders, length):
                rows = tuple(row for row, _ in chain)
                if len({trace.exits[row][0] for row in rows}) < length:
                    continue  # one head a position
                choices = [stops(trace, *decider, thresholds) for decider in chain]
                tables.append(judge(trace, costs, (*rows, last), choices))
                if length > 1 and chain[-1][1] == group[0]:  # the last takes all, by no score
                    tables.append(judge(trace, costs, rows, choices[:-1]))
    return np.concatenate(tables)


def groups(trace: Trace) -> list[list[str]]:
    """Put names of scores together that one design may mix: those that differ after an @."""
    found: dict[str, list[str]] = {}
    for name in trace.score_names:
        found.setdefault(name.split("@")[0] + str(name.endswith("-full")), []).append(name)
    return list(found.values())


def stops(trace: Trace, row: int, name: str, thresholds: Thresholds) -> np.ndarray:
    """Tell which images each threshold stops; shape T×N."""
    scores = trace.scores[row, :, trace.score_names.index(name)]
    levels = thresholds(scores)[:, None]
    return scores <= levels if name == "entropy" else scores >= levels


def judge(
    trace: Trace, costs: Costs, rows: Sequence[int], choices: Sequence[np.ndarray]
) -> np.ndarray:
    """Judge a chain of exits at every combination of what may stop at all but its last."""
    grid = list(product(*(range(len(choice)) for choice in choices)))
    images = np.arange(len(trace.images))
    stopped = np.ones((len(grid), len(rows), len(images)), dtype=bool)
    for place, choice in enumerate(choices):
        stopped[:, place] = choice[[levels[place] for levels in grid]]
    place = stopped.argmax(axis=1)  # K×N: the first that stops an image
    taken = np.array(rows)[place]
    prices = [price(trace, costs, rows[: i + 1]) for i in range(len(rows))]
    table = np.zeros((len(grid), EXITS + 1))
    for column, name in enumerate(COSTS):
        if name in ("macs", "latency"):
            each = np.array([one[name] for one in prices])
            table[:, column] = each[place].sum(axis=1) / len(images)
        else:
            table[:, column] = prices[-1][name]
    table[:, MIOU] = [dataset_miou(trace, one) for one in taken]
    table[:, EXITS] = len(rows)
    return table


def price(trace: Trace, costs: Costs, rows: Sequence[int]) -> dict[CostName, float]:
    """Add up what an image costs that is read at `rows` and stops at the last (MESS table 1)."""
    exits = [trace.exits[row] for row in rows]
    deep = costs.points.index(exits[-1][0]) + 1
    heads = [costs.heads[point][head] for point, head in exits]
    pieces = [*costs.segments[:deep], *heads, costs.decode]
    own = costs.heads[trace.exits[-1][0]][trace.exits[-1][1]]
    carried = [*costs.segments, *heads, costs.decode]
    if rows[-1] != len(trace.exits) - 1:
        carried.append(own)  # a bundle always holds the way to the network's end
    time = total(pieces, "latency_ms")
    return {
        "macs": total(pieces, "macs"),
        "latency": time,
        "worst-latency": time,
        "parameters": total(pieces, "parameters"),
        "bytes": total(carried, "bytes"),
        "memory": 4 * total(pieces, "parameters") + max(piece.memory for piece in pieces),
    }


def total(pieces: Sequence[Cost], kind: str) -> float:
    """Sum one kind of cost."""
    return float(sum(getattr(piece, kind) for piece in pieces))


def dataset_miou(trace: Trace, taken: np.ndarray) -> float:
    """Average, over the classes that are in truth or answer, the IoU of the whole set."""
    images = np.arange(len(trace.images))
    hits = trace.intersections[taken, images].sum(axis=0)
    union = trace.unions[taken, images].sum(axis=0)
    there = union > 0
    return float((hits[there] / union[there]).mean()) if there.any() else float("nan")


def within(table: np.ndarray, goal: Goal) -> np.ndarray:
    """Keep the designs that keep to the bounds on cost, and have a mIoU."""
    kept = ~np.isnan(table[:, MIOU])
    for column, name in enumerate(COSTS):
        kept &= table[:, column] <= goal.most(name) * (1 + 1e-12)
    return table[kept]


def front(table: np.ndarray, cost: CostName) -> list[tuple[float, float]]:
    """List cost and mIoU of what no other row beats, cheapest first."""
    kept: list[tuple[float, float]] = []
    pairs = zip(table[:, COSTS.index(cost)].tolist(), table[:, MIOU].tolist(), strict=True)
    for spent, miou in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not kept or miou > kept[-1][1] + 1e-13:
            kept.append((spent, miou))
    return kept


def best(table: np.ndarray, goal: Goal, least: float | None = None) -> tuple[float, float] | None:
    """Find cost and mIoU of the best design within all bounds (MESS eq. 5 or 6), if there is one.

    Args:
        table: the designs.
        goal: bounds on costs.
        least: mIoU that is enough; none: the most accurate is sought.
    """
    kept = within(table, goal)
    pairs = [
        (float(row[COSTS.index(goal.cost)]), float(row[MIOU]))
        for row in kept
        if least is None or row[MIOU] >= least - 1e-13
    ]
    if not pairs:
        return None
    if least is None:
        highest = max(miou for _, miou in pairs)
        return min(pair for pair in pairs if pair[1] >= highest - 1e-13)
    cheapest = min(pairs)[0]
    return max(pair for pair in pairs if pair[0] == cheapest)


def judge_design(trace: Trace, costs: Costs, design: Design) -> np.ndarray:
    """Judge one design; a row as of `every_design`."""
    choices = []
    for row, name, threshold in zip(design.rows, design.scores, design.thresholds, strict=False):
        scores = trace.scores[row, :, trace.score_names.index(name)]
        choices.append((scores <= threshold if name == "entropy" else scores >= threshold)[None])
    return judge(trace, costs, design.rows, choices)[0]
