"""Test configurations one after another, each at the full level, until the first that fails.

The probability that any configuration is certified whose mean loss is above the limit stays below
δ, however many there are and whatever their order, as long as the order was not chosen by the
images of the test: the first of the bad ones must be rejected by chance before any other can be
(fixed-sequence testing: Angelopoulos et al. 2021, arXiv 2110.01052, §2.3). The losses need not
grow along the sequence.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def fixed_sequence(p_values: Iterable[float], delta: float) -> int | None:
    """Find the last configuration that is certified.

    That is the one *before* the first p-value above δ: what comes after it is not certified even
    if its own p-value is small, and neither is the one that failed.

    Args:
        p_values: in the order of testing; read no further than the first that is above δ.
        delta: 1 - confidence.

    Returns:
        Its index, or None if the first one failed already.
    """
    last = None
    for index, p in enumerate(p_values):
        if not p <= delta:  # NaN fails
            break
        last = index
    return last


def pareto_order(risk: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose what to test, and in which order (Pareto testing: Laufer-Goldshtein et al. 2022).

    Only configurations that no other beats in both risk and cost are worth a test. They are put
    from the least risk to the most, which is also from the dearest to the cheapest: the last one
    certified is the cheapest certified. Risk and cost come from the search's images
    (`divide`), never from those of the test.

    Args:
        risk: mean loss, or p-value, on the search's images; shape L. NaN is never tested.
        cost: what is to be saved; shape L.

    Returns:
        Indices of the configurations to test, in order; at most L.
    """
    order = np.lexsort((cost, risk))
    order = order[~np.isnan(risk[order])]
    least = np.minimum.accumulate(cost[order])
    beats = np.ones(len(order), dtype=np.bool_)
    beats[1:] = cost[order][1:] < least[:-1]
    return order[beats]
