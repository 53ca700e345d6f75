"""Which exits strategies share: rows of a trace in the order of the path, its end the last."""

from collections.abc import Sequence

from offramp.core.costs import Costs
from offramp.core.errors import BadInput
from offramp.core.plan import Plan
from offramp.metrics.trace import Trace

MOST_EARLY = 3
"""The most early exits: strategies try combinations of settings over them."""

Rows = tuple[int, ...]


def named_exits(trace: Trace, names: Sequence[str]) -> Rows:
    """Find exits by "point/head", in any order.

    Raises:
        UnknownName: an exit was not recorded.
        BadInput: two are at one position, or there are none or too many.
    """
    return _chain(trace, [_pair(name) for name in names])


def some_exits(trace: Trace, names: Sequence[str]) -> Rows:
    """Find exits by "point/head", any number at a position, and put the end behind them.

    Raises:
        UnknownName: an exit was not recorded.
        BadInput: a name is none.
    """
    last = len(trace.exits) - 1
    return (*sorted({trace.index(*_pair(name)) for name in names} - {last}), last)


def planned_exits(trace: Trace, plan: Plan) -> Rows:
    """Find the first three exits of a plan, and put the network's own end behind them.

    Raises:
        UnknownName: an exit was not recorded.
        BadInput: the plan has no early exit.
    """
    pairs = [(planned.point, planned.head) for planned in plan.exits]
    return _chain(trace, pairs[:MOST_EARLY])


def usual_exits(trace: Trace, costs: Costs) -> Rows:
    """Choose an exit at each early position, at three at most.

    At a position the head of most mIoU minus its work as a share of the full network's: one
    percent of that work is worth one point of mIoU. Of more than three positions those whose
    paths are nearest to a quarter, two and three quarters of the work (MESS §4.1).

    Raises:
        BadInput: the network has no early exit.
    """
    full = costs.of([trace.exits[-1]]).macs
    best: dict[str, tuple[float, str]] = {}
    for row, (point, head) in enumerate(trace.exits[:-1]):
        worth = trace.exit_miou(row) - costs.heads[point][head].macs / full
        if point not in best or worth > best[point][0]:
            best[point] = worth, head
    shares = {point: costs.segment_path(point).macs / full for point in best}
    left = list(best)
    if len(left) > MOST_EARLY:
        kept = []
        for wanted in (0.25, 0.5, 0.75):
            kept.append(min(left, key=lambda point: abs(shares[point] - wanted)))
            left.remove(kept[-1])
        left = kept
    return _chain(trace, [(point, best[point][1]) for point in left])


def _pair(name: str) -> tuple[str, str]:
    point, slash, head = name.strip().partition("/")
    if not slash:
        raise BadInput("an exit without a head", expected="point/head", got=f"'{name}'")
    return point, head


def _chain(trace: Trace, pairs: Sequence[tuple[str, str]]) -> Rows:
    """Put early exits in the order of the path, and the end behind them."""
    last = len(trace.exits) - 1
    rows = sorted({trace.index(*pair) for pair in pairs} - {last})
    points = [trace.exits[row][0] for row in rows]
    if len(set(points)) < len(points) or trace.exits[last][0] in points:
        raise BadInput("two exits at one position", got=", ".join(points))
    if not 1 <= len(rows) <= MOST_EARLY:
        raise BadInput("early exits", expected=f"1 to {MOST_EARLY}", got=str(len(rows)))
    return (*rows, last)
