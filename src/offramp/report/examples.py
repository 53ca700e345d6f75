"""Choose images whose way through the exits is worth showing: one easy, one hard, both typical."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.metrics.trace import Trace
from offramp.report.material import NamedPlan


@dataclass(frozen=True)
class Example:
    """An image whose way through the exits is shown.

    Attributes:
        image: index into the trace's images.
        kind: "easy" (stops at the first exit), "hard" (goes to the last), or "typical".
        stop: the plan's exit at which it stops.
    """

    image: int
    kind: str
    stop: int


def examples(named: NamedPlan, trace: Trace) -> list[Example]:
    """Choose images to show: one that stops first and one that goes to the last exit.

    Of the candidates that show the most classes, the one with the median mIoU: typical, not the
    prettiest.
    """
    last = len(named.plan.exits) - 1
    if named.plan.setting != "input-dependent" or last == 0:
        image = _typical(np.arange(len(trace.images)), named, trace)
        return [Example(image, "typical", last)]
    found = []
    for kind, stop in (("easy", 0), ("hard", last)):
        candidates = np.flatnonzero(named.taken == stop)
        if len(candidates):
            found.append(Example(_typical(candidates, named, trace), kind, stop))
    return found


def _typical(candidates: NDArray[np.intp], named: NamedPlan, trace: Trace) -> int:
    miou = trace.miou_per_image(np.array(named.rows)[named.taken])  # N, by the plan's answers
    present = (trace.unions[-1] > 0).sum(axis=1)  # N: classes in truth or in the last answer
    richest = candidates[present[candidates] == present[candidates].max()]
    order = richest[np.argsort(np.nan_to_num(miou[richest], nan=-1.0), kind="stable")]
    return int(order[len(order) // 2])
