"""Certify configurations: which is the last whose mean loss is proven to keep to the limit.

    losses ─► units ─► a p-value each ─► fixed sequence ─► Certificate
              clips    pvalues           sequence

The promise: with probability at least `confidence` over the draw of these units, the mean loss of
the certified configuration on images drawn like them is at most `limit` (Learn then Test:
Angelopoulos et al. 2021, arXiv 2110.01052). It holds for the finite number of units at hand, for
any distribution of losses, and for losses that do not grow along the sequence. It does not hold
for cameras, places or weather that the units were not drawn from, nor if the order of testing was
chosen by these units: search on other images (offramp.guarantees.division).
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from offramp.core.certificate import Certificate, Method
from offramp.core.errors import BadInput, UnknownName
from offramp.guarantees.bound import images_needed, upper_bound
from offramp.guarantees.clips import units
from offramp.guarantees.pvalues import p_value
from offramp.guarantees.sequence import fixed_sequence


def certify(
    losses: NDArray[np.float64],
    limit: float,
    *,
    confidence: float = 0.95,
    groups: Sequence[str] | NDArray[np.generic] | None = None,
    method: Method = "wsr",
    seed: int = 0,
) -> Certificate:
    """Certify as many configurations as the units allow, in the order given.

    Args:
        losses: in [-1, 1], positive where an early answer is worse than the full network's; L
            configurations × N images, in the order of testing, the safest first. The order must
            come from elsewhere, such as other images (`pareto_order`) or the thresholds. NaN in
            all rows where an image has no labelled pixel.
        limit: the mean loss that must not be exceeded, within (0, 1).
        confidence: within (0, 1).
        groups: name of each image's clip, shape N; then clips count, not frames.
        method: "wsr" (Waudby-Smith-Ramdas) promises the mean of the signed losses, "hb"
            (Hoeffding-Bentkus) that of their positive parts.
        seed: of the order in which units are tested. Trying seeds until one certifies voids the
            promise.

    Raises:
        BadInput: losses, limit, confidence or groups are out of their ranges.
        UnknownName: there is no such method.
    """
    if method not in get_args(Method):
        raise UnknownName("method", method, get_args(Method))
    if not 0 < confidence < 1:
        raise BadInput(
            "the confidence is out of range", expected="above 0, below 1", got=str(confidence)
        )
    delta = round(1 - confidence, 12)  # 1 - 0.95 is a little more than 0.05
    counted = units(losses, groups)
    n = counted.losses.shape[1]
    # What comes sorted by camera would bet on the last camera by what the first has taught.
    values = counted.losses[:, np.random.default_rng(seed).permutation(n)]
    p_values: list[float] = []
    for row in values:
        p_values.append(p_value(row, limit, delta, method))
        if p_values[-1] > delta:
            break
    index = fixed_sequence(p_values, delta)
    chosen = values[0 if index is None else index]
    return Certificate(
        index=index,
        limit=limit,
        confidence=confidence,
        method=method,
        units=counted.kind,
        n=n,
        dropped=counted.dropped,
        seed=seed,
        p_values=tuple(p_values),
        loss=float((np.maximum(chosen, 0.0) if method == "hb" else chosen).mean()),
        bound=upper_bound(chosen, delta, method),
        needed=None
        if index == len(values) - 1
        else images_needed(values[len(p_values) - 1], limit, delta, method),
    )
