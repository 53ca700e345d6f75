"""What a plan, and the full network beside it, does on recorded images."""

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Costs
from offramp.core.plan import Expectation, Plan
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay


def full_network(trace: Trace, costs: Costs) -> Expectation:
    """Say what the network without early exits does."""
    last = len(trace.exits) - 1
    return _expected(trace, costs, np.full(len(trace.images), last), [last])


def expect(plan: Plan, trace: Trace, costs: Costs) -> Plan:
    """Replay a plan on a trace, and fill in shares, each exit's mIoU, and what it does.

    An anytime plan is expected to go to its last exit, as it does with time to spare.

    Raises:
        UnknownName: the trace lacks an exit or a score of the plan.
    """
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    taken = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    shares = np.bincount(taken, minlength=len(rows)) / len(trace.images)
    exits = tuple(
        planned.model_copy(update={"share": float(share), "miou": trace.exit_miou(row)})
        for planned, share, row in zip(plan.exits, shares, rows, strict=True)
    )
    update = {
        "exits": exits,
        "expected": _expected(trace, costs, np.array(rows)[taken], rows),
        "full": full_network(trace, costs),
        "images": len(trace.images),
    }
    return plan.model_copy(update=update)


def _expected(trace: Trace, costs: Costs, taken: NDArray[np.intp], rows: list[int]) -> Expectation:
    """Average accuracy and cost when image n stops at row `taken[n]`, reading `rows` on its way."""
    by_row = {row: costs.of([trace.exits[r] for r in rows[: rows.index(row) + 1]]) for row in rows}
    spent = [by_row[int(row)] for row in taken]
    return Expectation(
        miou=trace.miou(taken),
        miou_per_image=float(np.nanmean(trace.miou_per_image(taken))),
        macs=float(np.mean([cost.macs for cost in spent])),
        latency_ms=float(np.mean([cost.latency_ms for cost in spent])),
    )
