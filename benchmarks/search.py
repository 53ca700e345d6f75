"""How long does the exact search take, and how does that grow?

    python benchmarks/search.py [--parts ...] [--most-heads 56]

On a made-up trace (`made_up.py`): by default 5 positions × 56 heads, 200 images, 21 classes, one
score at 20 levels. Times run from the trace in memory to the whole front, proven; where time ran
out, `gap` says how much cheaper than the cheapest plan found for one point of mIoU another may be.
Compiling is not in the times: the first call of all, and the first of a process that finds the
compiled code on disk, are measured apart, each in a process of its own. All parts together take
some minutes on two cores that do nothing else.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from machine import save
from made_up import SCORE, Size, made_up
from search_figure import draw

from offramp.cli.console import track
from offramp.core.costs import Costs
from offramp.core.files import write_text
from offramp.metrics.trace import Trace
from offramp.search.front import Front
from offramp.search.goal import Goal
from offramp.search.solver import Solved, solve
from offramp.search.space import Space, build_space

LOSS = 0.01
"""mIoU that the plan may lose whose gap is told."""
SHORT = 2.0
"""Seconds below which a time is the median of `REPEATS`."""
REPEATS = 3


@dataclass(frozen=True)
class Case:
    """One search.

    Attributes:
        exits: most early exits.
        size: of the trace.
        levels: thresholds of an exit at most.
        seconds: after so long the search stops.
    """

    exits: int
    size: Size = field(default_factory=Size)
    levels: int = 20
    seconds: float = 300.0


@dataclass(frozen=True)
class Timed:
    """One search's outcome.

    Attributes:
        exits, images, heads, levels, alike: the case.
        configurations: designs of the space.
        seconds: from the trace to the front.
        repeats: of how many searches that is the median.
        front: designs on it.
        optimal: all was searched, or proven worse.
        gap: how much cheaper than the plan found another may be, as a share of its cost.
    """

    exits: int
    images: int
    heads: int
    levels: int
    alike: float
    configurations: int
    seconds: float
    repeats: int
    front: int
    optimal: bool
    gap: float


def main() -> None:
    """Time all cases of the parts asked for, draw, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments.add_argument("--most-heads", type=int, default=56, help="less: a quicker look")
    arguments.add_argument("--first-call", action="store_true", help="only time one small search")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    if told.first_call:
        print(_first_call())
        return
    results: dict[str, object] = {"shape": asdict(Size(heads=told.most_heads))}
    if told.parts == list(PARTS):
        results |= first_calls()
    _first_call()  # so that no time below holds what it takes to load the compiled code
    known: dict[Case, Timed] = {}
    timed = {part: _timed(part, PARTS[part](told.most_heads), known) for part in told.parts}
    results |= {part: [asdict(row) for row in rows] for part, rows in timed.items()}
    name = "_".join(["search", *(told.parts if told.parts != list(PARTS) else [])])
    told.out.mkdir(exist_ok=True)
    if set(PANELS) <= set(timed):
        write_text(told.out / f"{name}.svg", draw({panel: results[panel] for panel in PANELS}))
    save(told.out / f"{name}.json", results)


def goals(most: int) -> list[Case]:
    """Any one, two and three early exits, and all five within a minute."""
    size = Size(heads=most)
    return [*(Case(exits, size) for exits in (1, 2, 3)), Case(5, size, seconds=60)]


def alike(most: int) -> list[Case]:
    """Heads that are independent, and more and more alike."""
    return [Case(2, Size(heads=most, alike=share)) for share in (0.0, 0.3, 0.6, 0.9)]


def images(most: int) -> list[Case]:
    """More images."""
    sizes = [Size(images=images, heads=most) for images in (50, 100, 200, 400, 800, 1600)]
    return [Case(exits, size) for exits in (1, 2) for size in sizes]


def heads(most: int) -> list[Case]:
    """More heads at each position."""
    sizes = [Size(heads=heads) for heads in (7, 14, 28, 56) if heads <= most]
    return [Case(exits, size) for exits in (1, 2, 3) for size in sizes]


def levels(most: int) -> list[Case]:
    """More thresholds."""
    size = Size(heads=most)
    return [Case(exits, size, levels) for exits in (1, 2) for levels in (5, 10, 20, 40)]


def exits(most: int) -> list[Case]:
    """More exits, few heads, and how alike these are."""
    few = Size(heads=min(most, 14))
    sizes = [replace(few, alike=share) for share in (0.0, 0.6, 0.9)]
    return [Case(exits, size) for size in sizes for exits in (1, 2, 3)]


PANELS = ("images", "heads", "levels", "exits")
PARTS: dict[str, Callable[[int], list[Case]]] = {
    each.__name__: each for each in (goals, alike, images, heads, levels, exits)
}


def measure(case: Case) -> Timed:
    """Search, and time it."""
    trace, costs = _made_up(case.size)
    goal = Goal(min_miou=trace.exit_miou(len(trace.exits) - 1) - LOSS, early_exits=case.exits)
    spent: list[float] = []
    while not spent or (spent[0] < SHORT and len(spent) < REPEATS):
        start = time.perf_counter()
        space = build_space(trace, costs, goal, (SCORE,), case.levels)
        solved = solve(space, goal, most=case.exits, seconds=case.seconds, track=track)
        spent.append(time.perf_counter() - start)
    size = case.size
    return Timed(
        exits=case.exits,
        images=size.images,
        heads=size.heads,
        levels=case.levels,
        alike=size.alike,
        configurations=space.count(case.exits),
        seconds=median(spent),
        repeats=len(spent),
        front=len(solved.front),
        optimal=solved.complete,
        gap=_gap(solved, space, goal),
    )


def first_calls() -> dict[str, float]:
    """Time a small search in new processes: with nothing compiled, and with all of it on disk."""
    found = {}
    with TemporaryDirectory() as folder:
        for name in ("first_call_compiling_seconds", "first_call_compiled_seconds"):
            done = subprocess.run(
                [sys.executable, __file__, "--first-call"],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            found[name] = float(done.stdout)
            print(name, found[name])
    return found


def _timed(part: str, cases: Iterable[Case], known: dict[Case, Timed]) -> list[Timed]:
    """Time all cases of a part; those that another part has timed are not timed again."""
    rows = []
    for case in cases:
        if case not in known:
            known[case] = measure(case)
        row = known[case]
        rows.append(row)
        proven = "proven" if row.optimal else f"gap {row.gap:.3f}"
        print(
            f"{part:7} {row.exits} early exits, {row.images} images, {row.heads} heads, "
            f"{row.levels} levels, alike {row.alike}: {row.configurations:.3g} configurations, "
            f"{row.seconds:.2f} s, {proven}",
            flush=True,
        )
    return rows


def _gap(solved: Solved, space: Space, goal: Goal) -> float:
    """Bound how much cheaper than the cheapest found within the loss another may be."""
    least = goal.min_miou or 0.0
    chosen = next(sketch for sketch in solved.front if sketch.miou >= least)
    scale = space.images
    front = Front((), 0, {}, solved.open, solved.present, float(scale))
    design = space.design(chosen.deciders, chosen.levels)
    return front.gap(goal, (chosen.cost / scale, chosen.miou, design))


def _first_call() -> float:
    """Time a small search of three exits."""
    trace, costs = made_up(Size(images=20, classes=3, heads=2))
    start = time.perf_counter()
    goal = Goal(max_miou_loss=LOSS)
    solve(build_space(trace, costs, goal, (SCORE,)), goal, most=3)
    return time.perf_counter() - start


@lru_cache(maxsize=1)
def _made_up(size: Size) -> tuple[Trace, Costs]:
    return made_up(size)


if __name__ == "__main__":
    main()
