"""The exact search over input-dependent designs: block by block, on all cores.

What is sought is the whole front of mIoU against cost. Blocks (`kernel`) are taken in waves: each
block of a wave starts from the front found so far, so the outcome does not depend on how many
cores there are. What a block's bound cuts cannot be on the front; all else is counted exactly.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from offramp.core.progress import Track, silent
from offramp.search import bounds, kernel
from offramp.search.arrays import Block, Marks, Tables
from offramp.search.goal import MEAN_COSTS, Goal
from offramp.search.pareto import pareto
from offramp.search.space import DEPTH, STATICS, Space

CELLS = 4096
REFERENCES = 2
WAVE = 16
NOTED = 1 << 11

Floats = NDArray[np.float64]
Bounds = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Sketch:
    """One design: its deciders and their levels, with its cost and mIoU.

    Attributes:
        cost: of the kind that is sought; a sum over images where it is a mean.
        miou: dataset mIoU.
        deciders: in the order of the path; none for the network alone.
        levels: one for each; 0 lets all images stop, so nothing follows.
    """

    cost: float
    miou: float
    deciders: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Solved:
    """The outcome.

    Attributes:
        front: designs that no other beats, cheapest first.
        open: what was not searched, as bounds; a row for each prefix that may hold better
            designs, with b and λ of each reference: Σ y ≤ b + λ·cost. Empty if all was searched.
        present: by how many classes Σ y is divided.
    """

    front: tuple[Sketch, ...]
    open: tuple[Bounds, ...]
    present: int

    @property
    def complete(self) -> bool:
        """Tell whether all was searched or proven worse."""
        return len(self.open) == 0


@dataclass(frozen=True)
class _Task:
    """A block that is still to be searched.

    Attributes:
        first: the decider at its first place.
        places: all deciders at its places.
    """

    first: int
    places: tuple[NDArray[np.int64], ...]


def solve(
    space: Space,
    goal: Goal,
    *,
    most: int = 3,
    seconds: float | None = None,
    cores: int | None = None,
    track: Track = silent,
) -> Solved:
    """Find the front of all designs of up to `most` early exits.

    Args:
        space: what to search.
        goal: bounds on costs, which all designs on the front keep; and whose cost it is.
        most: early exits at most.
        seconds: stop after about so long with what was found; absent: never.
        cores: threads; absent: all that the process may use.
        track: shows progress.
    """
    solver = _Solver(space, goal, seconds, cores or len(os.sched_getaffinity(0)))
    solver.single_exits()
    tasks = [list(_tasks(space, length)) for length in range(2, most + 1)]
    waves = [list(_waves(each)) for each in tasks]
    for number, length in track(
        ((w, i) for i, each in enumerate(waves) for w in range(len(each))),
        sum(map(len, waves)),
        "searching",
    ):
        if number == 0:
            solver.take_references()
        solver.search(waves[length][number])
    return solver.outcome()


class _Solver:
    """The state of a search: the designs found, and the marks that they set."""

    def __init__(self, space: Space, goal: Goal, seconds: float | None, cores: int) -> None:
        self.space, self.goal, self.cores = space, goal, cores
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.tables = _tables(space, goal)
        self.found = np.zeros((0, kernel.COLUMNS))
        self.open: list[tuple[Floats, Floats]] = []
        self.price = np.zeros(0)
        self.iou = np.zeros((0, space.truth))
        self.common: tuple[object, Block] | None = None
        top = _dearest(space, goal)
        low = 0.0
        self.marks = Marks(np.full(CELLS + 1, -1.0), low, CELLS / (top - low))

    def single_exits(self) -> None:
        """Search the network alone, and designs of one early exit."""
        out = np.full((NOTED, kernel.COLUMNS), -1.0)
        noted = kernel.search_alone(self.tables, self.marks, out)
        self._keep(out[:noted])
        for decider in range(len(self.space.rows)):
            noted = kernel.search_single(self.tables, self.marks, decider, out)
            self._keep(out[:noted])

    def take_references(self) -> None:
        """Choose designs of the front as references, with the slope of the front as price."""
        self.common = None
        front = self.found
        static = self.goal.cost not in MEAN_COSTS
        if not len(front):
            self.price, self.iou = np.zeros(1), np.zeros((1, self.space.truth))
            return
        hull = _hull(front)
        places = np.unique(np.linspace(0, len(hull) - 1, 2 * REFERENCES + 1).astype(int)[1::2])
        prices, ious = [], []
        for place in places:
            before, after = hull[max(place - 1, 0)], hull[min(place + 1, len(hull) - 1)]
            rise = (after[1] - before[1]) * self.space.present
            run = after[0] - before[0]
            prices.append(0.0 if static or run <= 0 else rise / run)
            ious.append(self._iou(self._sketch(hull[place])))
        self.price, self.iou = np.array(prices), np.array(ious)

    def search(self, tasks: Sequence[_Task]) -> None:
        """Search the blocks of a wave side by side; after the deadline, bound them instead."""
        blocks = [self._block(task) for task in tasks]
        halt = np.zeros(1, np.int64)
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0:
            for block in blocks:
                self._leave_open(block)
            return
        alarm = threading.Timer(left, halt.fill, [1]) if left is not None else None
        if alarm:
            alarm.start()
        try:
            with ThreadPoolExecutor(self.cores) as pool:
                results = list(pool.map(lambda block: self._searched(block, halt), blocks))
        except BaseException:
            halt.fill(1)
            raise
        finally:
            if alarm:
                alarm.cancel()
        for block, (designs, done) in zip(blocks, results, strict=True):
            self._keep(designs)
            if not done:
                self._leave_open(block)

    def outcome(self) -> Solved:
        """Put what was found in order."""
        present = self.space.present
        rows = tuple(
            tuple(zip(row.tolist(), price.tolist(), strict=True))
            for row, price in self.open
            if kernel.may_beat(self.marks, row, price, present, self.marks.low)
        )
        return Solved(tuple(self._sketch(row) for row in self.found), rows, present)

    def _leave_open(self, block: Block) -> None:
        """Bound what a block that was not searched to its end may hold."""
        for row in kernel.open_bounds(self.tables, self.marks, block):
            self.open.append((row, block.price))

    def _searched(self, block: Block, halt: NDArray[np.int64]) -> tuple[Floats, bool]:
        """Search one block from the marks as they are; tell if all of it was searched."""
        room = NOTED
        while True:
            out = np.full((room, kernel.COLUMNS), -1.0)
            marks = self.marks._replace(miou=self.marks.miou.copy())
            try:
                noted = kernel.search_block(self.tables, marks, block, halt, out)
            except IndexError:
                room *= 2
            else:
                return _front(out[:noted]), not halt[0]

    def _keep(self, designs: Floats) -> None:
        """Add designs to those found, keep the front, and mark it."""
        if not len(designs):
            return
        self.found = _front(np.concatenate([self.found, designs]))
        for row in designs:
            kernel.mark(self.marks, row[0], row[1])

    def _block(self, task: _Task) -> Block:
        """Make a block from what is common to all at its positions."""
        if self.common is None or self.common[0] is not task.places:
            self.common = (task.places, self._common(task.places))
        return self.common[1]._replace(first=task.first)

    def _common(self, places: tuple[NDArray[np.int64], ...]) -> Block:
        """Compute what bounds all designs at some positions."""
        rows = [np.unique(self.space.rows[deciders]) for deciders in places]
        numbers = np.array([len(deciders) for deciders in places])
        padded = np.full((len(places), numbers.max()), -1, np.int64)
        for place, deciders in enumerate(places):
            padded[place, : len(deciders)] = deciders
        least, most = bounds.union_range(self.tables, *_flat(rows))
        gains = bounds.gains_of(self.tables, self.iou, least, most, _flat(rows)[0])
        hopes = bounds.hopes_of(self.tables, gains, self.price, *_flat(rows))
        return Block(-1, padded, numbers, self.iou, self.price, least, most, gains, hopes)

    def _sketch(self, row: Floats) -> Sketch:
        deciders = tuple(int(d) for d in row[2 : 2 + DEPTH] if d >= 0)
        levels = tuple(int(t) for t in row[2 + DEPTH :] if t >= 0)
        return Sketch(float(row[0]), float(row[1]), deciders, levels)

    def _iou(self, sketch: Sketch) -> Floats:
        """Compute a design's IoU of the classes with truth."""
        space = self.space
        sums = space.counts[taken(space, sketch), np.arange(space.images)].sum(axis=0)
        classes = len(sums) // 2
        unions = np.maximum(sums[classes : classes + space.truth], 1)
        values: Floats = sums[: space.truth] / unions
        return values


def taken(space: Space, sketch: Sketch) -> NDArray[np.int64]:
    """Say at which exit each image stops by a design; shape N."""
    where = np.full(space.images, len(space.positions) - 1)
    running = np.ones(space.images, dtype=bool)
    for decider, level in zip(sketch.deciders, sketch.levels, strict=True):
        stops = running & (space.bins[decider] >= level)
        where[stops] = space.rows[decider]
        running &= ~stops
    return where


def _tables(space: Space, goal: Goal) -> Tables:
    static = -1 if goal.cost in MEAN_COSTS else STATICS.index(goal.cost)
    most = [goal.most("macs"), goal.most("latency")]
    own = np.inf if static >= 0 else goal.most(goal.cost)
    return Tables(
        counts=space.counts,
        bins=space.bins,
        levels=np.array([len(each) for each in space.thresholds], dtype=np.int64),
        rows=space.rows,
        leads=space.leads,
        steps=space.steps,
        limits=np.array([own, *most]) * space.images * (1 + 1e-12),
        positions=space.positions,
        own=space.own,
        path=space.path,
        bounds=np.array([goal.most(name) for name in STATICS]),
        static=static,
        truth=space.truth,
        present=space.present,
    )


def _dearest(space: Space, goal: Goal) -> float:
    """Bound the cost of any design: all heads read."""
    if goal.cost in MEAN_COSTS:
        last = len(space.positions) - 1
        heads = [
            space.steps[0, position, space.positions == position].max(initial=0.0)
            for position in range(int(space.positions[last]))
        ]
        return float(space.images * (space.steps[0, 0, last] + sum(heads)) + 1)
    static = STATICS.index(goal.cost)
    total = space.path[:, -1] + space.own.sum(axis=1)
    return float(total[static] + (4 * total[1] if goal.cost == "memory" else 0) + 1)


def _tasks(space: Space, length: int) -> Iterator[_Task]:
    """List the blocks of designs with so many early exits."""
    last = int(space.positions[-1])
    for family in dict.fromkeys(space.families):
        for positions in combinations(range(last), length):
            places = tuple(space.deciders(family, position) for position in positions)
            if all(len(place) for place in places):
                for first in places[0]:
                    yield _Task(int(first), places)


def _waves(tasks: Sequence[_Task]) -> Iterator[list[_Task]]:
    for start in range(0, len(tasks), WAVE):
        yield list(tasks[start : start + WAVE])


def _flat(rows: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write lists of different lengths as one, with where each begins."""
    return np.concatenate(rows), np.cumsum([0, *(len(each) for each in rows)])


def _front(designs: Floats) -> Floats:
    """Keep what no other beats; of equals the one with fewer exits, then the first."""
    exits = (designs[:, 2 : 2 + DEPTH] >= 0).sum(axis=1)
    ordered = designs[np.lexsort((*designs[:, :1:-1].T, exits))]
    return ordered[pareto(ordered[:, 0], ordered[:, 1])]


def _hull(front: Floats) -> Floats:
    """Keep the upper concave hull of a front."""
    kept: list[Floats] = []
    for point in front:
        while len(kept) > 1 and (kept[-1][1] - kept[-2][1]) * (point[0] - kept[-2][0]) <= (
            point[1] - kept[-2][1]
        ) * (kept[-1][0] - kept[-2][0]):
            kept.pop()
        kept.append(point)
    return np.array(kept)
