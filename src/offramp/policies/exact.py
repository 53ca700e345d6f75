"""Solutions of the table problem without episodes: by backward induction, by search, by ascent.

What a table sees (exit, bin) is not all there is: which images come to an exit depends on what
the tables before it decided, and an image's next bin depends on more than its present one. So
two different problems can be solved exactly.

`induction` solves the *Markov problem of the counts*: states (exit, bin), next bins as often as
they follow the present one among all calibration images, rewards the means over a state's
images. In that problem the chance of a next bin depends on the present bin alone by definition,
so backward induction finds its optimum, in one pass. It is also what Q-learning converges to if
its episodes reach exits independently of the image, as they do when actions are drawn blindly
(Singh, Jaakkola and Jordan 1995 on Q-learning with aggregated states: the limit is the solution
of the problem weighted by what the behaviour visits). On the images its tables may earn less
than it promises: a value of the next bin is a mean over all that ever lie in it, which forgets
how good the image looked before, so surely easy images seem to gain little by going on.

`optimum` finds the tables that earn most *on the images*, among all tables on these bins, by
trying all decisions of all exits but the last early one, whose best answer follows. It is never
below `induction`, which coincides with it where there is one early exit, and it takes
2^(bins of all early exits but the last) tables.

`ascent` is for more bins than that: it improves one exit's table at a time, given all others,
until none can be improved alone. Each step is exact and earns no less, the end may be a local
optimum, never below `induction`.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.policies.calibration import Floats
from offramp.policies.tabular import Solution, States

MOST_TABLES = 2**18
"""The most combinations that `optimum` tries."""

ROUNDING = 1e-9
"""Gains in reward that are no gains."""

Mask = NDArray[np.bool_]


def induction(states: States) -> Solution:
    """Solve the Markov problem of the counts by backward induction."""
    last = len(states.sizes)
    value = states.rewards[last]  # N, of the state in which each image is at the next exit
    solved: list[Floats] = []
    for index in reversed(range(last)):
        table = _means(states, index, np.ones(len(value), dtype=bool), value)  # bins×2
        solved.insert(0, table[:-1])
        best = np.append(table[:-1].max(axis=1), table[-1, 1])  # without a number: go on
        value = best[states.bins[index]]
    return Solution.of(states, solved)


def optimum(states: States) -> Solution:
    """Find the tables that earn most when the calibration images follow them.

    Raises:
        BadInput: there are more than `MOST_TABLES` combinations.
    """
    combinations = math.prod(2**size for size in states.sizes[:-1])
    if combinations > MOST_TABLES:
        raise BadInput(
            "too many tables to try",
            expected=f"at most {MOST_TABLES} combinations of the early exits but the last",
            got=f"2^{sum(states.sizes[:-1])}",
            repair="take fewer bins, or solve by ascent",
        )
    everyone = np.ones(states.rewards.shape[1], dtype=bool)
    _, stop = _best(states, 0, everyone)
    values = _followed(states, stop)
    # An unreached bin decides nothing here, and goes on as an empty one does.
    stop = [one & ~np.isnan(value[:, 0]) for one, value in zip(stop, values, strict=True)]
    return Solution(states.tables(stop), tuple(values), states.replayed(stop))


def ascent(states: States) -> Solution:
    """Improve the better of induction's tables and never stopping, until no exit's alone can be."""
    everything_goes = [np.zeros(size, dtype=bool) for size in states.sizes]
    induced = [np.array(table.stop, dtype=bool) for table in induction(states).tables]
    stop = max((everything_goes, induced), key=states.replayed)
    improved = True
    while improved:
        improved = False
        for index in reversed(range(len(stop))):
            value = _followed(states, stop)[index]
            better = np.where(stop[index], value[:, 1] - value[:, 0], value[:, 0] - value[:, 1])
            turned = better > ROUNDING  # false where no image comes: such bins stay as they began
            stop[index] = stop[index] ^ turned
            improved = improved or bool(turned.any())
    return Solution(states.tables(stop), tuple(_followed(states, stop)), states.replayed(stop))


def _best(states: States, index: int, reached: Mask) -> tuple[float, list[Mask]]:
    """Find the most that the images that reach an exit can earn in all, and by which decisions."""
    left = len(states.sizes) - index
    if left == 0:
        return float(states.rewards[index][reached].sum()), []
    if left == 1:
        stopping, going = _sums(states, index, reached)  # bins each
        forced = states.rewards[-1][reached & _unread(states, index)].sum()
        return float(np.maximum(stopping, going).sum() + forced), [stopping >= going]
    if left == 2:
        return _best_of_two(states, index, reached)
    most, decisions = -math.inf, []
    for stop in _subsets(states, index, reached):
        stopped = reached & np.append(stop, False)[states.bins[index]]
        value, later = _best(states, index + 1, reached & ~stopped)
        value += float(states.rewards[index][stopped].sum())
        if value > most:
            most, decisions = value, [stop, *later]
    return most, decisions


def _best_of_two(states: States, index: int, reached: Mask) -> tuple[float, list[Mask]]:
    """Do what `_best` does for the last two early exits, all tables of the first at once."""
    tables = np.array(list(_subsets(states, index, reached)))  # tables×bins
    goes = np.column_stack([~tables, np.ones(len(tables), dtype=bool)]).astype(float)
    size, following = states.sizes[index] + 1, states.sizes[index + 1] + 1
    pairs = states.bins[index] * following + states.bins[index + 1]  # N
    stopping, going = (
        goes
        @ np.bincount(
            pairs, weights=np.where(reached, states.rewards[row], 0), minlength=size * following
        ).reshape(size, following)
        for row in (index + 1, -1)
    )  # tables×(bins of the next exit, and no number), each
    here = states.sums(index, np.where(reached, states.rewards[index], 0))[:-1]
    earned = tables @ here + np.maximum(stopping, going)[:, :-1].sum(axis=1) + going[:, -1]
    chosen = int(np.argmax(earned))
    return float(earned[chosen]), [tables[chosen], (stopping >= going)[chosen, :-1]]


def _subsets(states: States, index: int, reached: Mask) -> Iterator[Mask]:
    """Yield every choice of bins that stop, among the bins in which any image arrives."""
    size = states.sizes[index]
    filled = np.unique(states.bins[index][reached & ~_unread(states, index)])
    for choice in product((False, True), repeat=len(filled)):
        stop = np.zeros(size, dtype=bool)
        stop[filled] = choice
        yield stop


def _followed(states: States, stop: Sequence[Mask]) -> list[Floats]:
    """Compute what both actions are worth to the images that come to each exit, bins×2 each."""
    reached = [np.ones(states.rewards.shape[1], dtype=bool)]
    for index, decisions in enumerate(stop):
        reached.append(reached[-1] & ~np.append(decisions, False)[states.bins[index]])
    value, values = states.rewards[-1], list[Floats]()
    for index in reversed(range(len(stop))):
        values.insert(0, _means(states, index, reached[index], value)[:-1])
        stopping = np.append(stop[index], False)[states.bins[index]]
        value = np.where(stopping, states.rewards[index], value)
    return values


def _means(states: States, index: int, reached: Mask, going: Floats) -> Floats:
    """Average stopping and going on over the images of each bin, (bins+1)×2; NaN where none is."""
    counts = states.sums(index, reached.astype(float))
    sums = [states.sums(index, np.where(reached, v, 0)) for v in (states.rewards[index], going)]
    with np.errstate(invalid="ignore"):
        means: Floats = np.stack(sums, axis=1) / counts[:, None]
    return means


def _sums(states: States, index: int, reached: Mask) -> tuple[Floats, Floats]:
    """Sum by bin what stopping at the last early exit earns, and what going to the end earns."""
    stopping, going = (
        states.sums(index, np.where(reached, states.rewards[row], 0))[:-1] for row in (index, -1)
    )
    return stopping, going


def _unread(states: States, index: int) -> Mask:
    """Tell which images have a score there that is no number."""
    unread: Mask = states.bins[index] == states.sizes[index]
    return unread
