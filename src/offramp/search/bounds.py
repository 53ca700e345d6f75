"""The numbers that bound the designs of a block (proof in `kernel`): l, h, ω, and what is hoped."""

import numpy as np
from numba import njit

from offramp.search.arrays import Array, Tables


@njit(nogil=True, cache=True, error_model="numpy")
def union_range(tables: Tables, rows: Array, starts: Array) -> tuple[Array, Array]:
    """Bound each class's union over all designs of a block, in pixels.

    Args:
        rows, starts: exits by place; place k has rows[starts[k]:starts[k + 1]].

    Returns:
        Least and most, both of the classes with truth.
    """
    images, width = tables.counts.shape[1], tables.counts.shape[2] // 2
    last = tables.counts.shape[0] - 1
    least, most = np.zeros(tables.truth), np.zeros(tables.truth)
    for n in range(images):
        for c in range(tables.truth):
            low = high = tables.counts[last, n, width + c]
            for row in rows:
                low = min(low, tables.counts[row, n, width + c])
                high = max(high, tables.counts[row, n, width + c])
            least[c] += low
            most[c] += high
    under, over = np.zeros(tables.truth), np.zeros(tables.truth)
    for c in range(tables.truth):
        for place in range(len(starts) - 1):
            lowest, highest = 0.0, 0.0
            for row in rows[starts[place] : starts[place + 1]]:
                less, more = 0.0, 0.0
                for n in range(images):
                    change = tables.counts[row, n, width + c] - tables.counts[last, n, width + c]
                    less += min(change, 0.0)
                    more += max(change, 0.0)
                lowest, highest = min(lowest, less), max(highest, more)
            under[c] += lowest
            over[c] += highest
        whole = 0.0
        for n in range(images):
            whole += tables.counts[last, n, width + c]
        least[c] = max(max(least[c], whole + under[c]), 0.5)  # 0.5: a class with truth has pixels
        most[c] = max(min(most[c], whole + over[c]), least[c])
    return least, most


@njit(nogil=True, cache=True, error_model="numpy")
def gains_of(tables: Tables, iou: Array, least: Array, most: Array, rows: Array) -> Array:
    """Compute ω: what an image brings at most by stopping at an exit, not at the end; J×E×N."""
    images, width = tables.counts.shape[1], tables.counts.shape[2] // 2
    last = tables.counts.shape[0] - 1
    gains = np.zeros((len(iou), last + 1, images))
    for row in rows:
        for n in range(images):
            for c in range(tables.truth):
                hits = tables.counts[row, n, c] - tables.counts[last, n, c]
                union = tables.counts[row, n, width + c] - tables.counts[last, n, width + c]
                for j in range(len(iou)):
                    z = hits - iou[j, c] * union
                    gains[j, row, n] += max(z / least[c], z / most[c])
    return gains


@njit(nogil=True, cache=True, error_model="numpy")
def hopes_of(tables: Tables, gains: Array, price: Array, rows: Array, starts: Array) -> Array:
    """Compute what an image that goes on from a place brings at most, at its price; K×J×N.

    On its way it pays the cheapest head of every place that it passes.
    """
    places, images = len(starts) - 1, tables.counts.shape[1]
    last = tables.counts.shape[0] - 1
    hopes = np.zeros((places, len(price), images))
    for place in range(places - 1):
        start = tables.positions[rows[starts[place]]] + 1
        passed = 0.0  # heads read on the way
        for later in range(place + 1, places):
            cheapest = np.inf
            position = tables.positions[rows[starts[later]]]
            for row in rows[starts[later] : starts[later + 1]]:
                cost = tables.steps[0, start, row] + passed
                cheapest = min(cheapest, tables.steps[0, position + 1, row])
                for j in range(len(price)):
                    for n in range(images):
                        hope = gains[j, row, n] - price[j] * cost
                        if later == place + 1 and row == rows[starts[later]]:
                            hopes[place, j, n] = hope
                        else:
                            hopes[place, j, n] = max(hopes[place, j, n], hope)
            passed += cheapest
        cost = tables.steps[0, start, last] + passed
        for j in range(len(price)):
            for n in range(images):
                hopes[place, j, n] = max(hopes[place, j, n], -price[j] * cost)
    return hopes
