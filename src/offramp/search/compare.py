"""All exit strategies on the same exits and images, judged on images that they were not fitted on.

VIDEO §4.2.7 compares strategies on one network (tables 4.2 and 4.3). Here each is fitted for the
same wanted accuracy on some images, and then followed on others. Beside them stand what needs no
decision (always one exit) and what no strategy can do (the best exit in hindsight).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Costs
from offramp.core.errors import BadInput
from offramp.core.progress import Track, silent
from offramp.guarantees.division import divide
from offramp.metrics.trace import Trace
from offramp.policies import oracle
from offramp.policies.tabular import WEIGHTS
from offramp.search.goal import Goal
from offramp.search.hindsight import choose, known
from offramp.search.problem import Problem, counted
from offramp.search.strategies import Fit, Strategy, cheapest
from offramp.search.tally import Tally, follow, tally

FULL = "full network"
TOLERANT = "oracle: no image loses more"
PER_IMAGE = "oracle: most mIoU per image"
DATASET = "oracle: most mIoU"
Kind = Literal["strategy", "fixed", "bound"]
Choice = Callable[[Problem, float], NDArray[np.intp]]


@dataclass(frozen=True)
class Row:
    """One way to run the network.

    Attributes:
        policy: a strategy's name, or what it is.
        kind: a strategy; "fixed": always the same exit; "bound": knows the truth, not deployable.
        points: positions of the exits that `shares` counts.
        fitted: on the images that strategies were fitted on.
        held_out: on the others.
        met: whether it reaches the wanted mIoU on the fitted images.
        kept: whether it reaches the wanted mIoU on the held-out images.
        fit: of a strategy, its rules.
        frontier: of a strategy all fits, and of the best choice all weights, held out.
    """

    policy: str
    kind: Kind
    points: tuple[str, ...]
    fitted: Tally
    held_out: Tally
    met: bool
    kept: bool
    fit: Fit | None = None
    frontier: tuple[Tally, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        fitting: exits, costs, and the images that strategies were fitted on.
        held_out: the same exits on the images that they were not.
        wanted: least mIoU on the fitted, and on the held-out images.
        rows: the full network first, then always one exit, strategies as given, and bounds.
    """

    fitting: Problem
    held_out: Problem
    wanted: tuple[float, float]
    rows: tuple[Row, ...]

    @property
    def strategies(self) -> tuple[Row, ...]:
        """The rows of strategies."""
        return tuple(row for row in self.rows if row.kind == "strategy")


def halves(trace: Trace, seed: int = 0) -> tuple[Trace, Trace]:
    """Divide a trace by chance into images to fit on and others; clips stay whole.

    Raises:
        BadInput: there are too few images or clips.
    """
    groups = trace.groups if any(trace.groups) else None
    first, second = divide(len(trace.images), groups=groups, seed=seed)
    return trace.subset(first.tolist()), trace.subset(second.tolist())


def beside(trace: Trace, other: Trace) -> tuple[Trace, Trace]:
    """Check that another trace of the same network can hold strategies of this one to account.

    Raises:
        BadInput: it is of another network, or of the same images.
    """
    for name in ("exits", "names", "size"):
        mine, theirs = getattr(trace, name), getattr(other, name)
        if mine != theirs:
            raise BadInput(f"traces of different {name}", expected=str(mine), got=str(theirs))
    common = set(trace.images) & set(other.images)
    if common:
        raise BadInput(
            "images on which strategies are fitted cannot be held out",
            got=f"{len(common)} in both traces, such as {min(common)}",
        )
    return trace, other


def compare(
    traces: tuple[Trace, Trace],
    costs: Costs,
    rows: tuple[int, ...],
    strategies: Sequence[Strategy],
    goal: Goal,
    track: Track = silent,
) -> Comparison:
    """Fit every strategy on the first trace, pick by the goal, and follow it on the second.

    Args:
        traces: of the images to fit on, and of those held out: `halves` or `beside`.
        costs: what each piece costs.
        rows: the exits: rows of the traces, in the order of the path.
        strategies: what to compare.
        goal: its bounds on accuracy, and what cheapest counts. Of each strategy the cheapest fit
            that keeps the bounds is picked; if none does, the most accurate.
        track: shows progress.

    Raises:
        UnknownName: a trace lacks a score.
        BadInput: no image has a labelled pixel, sizes differ, or latency was not measured.
    """
    _check(traces, costs, goal)
    fitting, held_out = (Problem(trace, costs, rows, counted(goal)) for trace in traces)
    for strategy in strategies:
        for problem in (fitting, held_out):
            problem.trace.seen(rows, strategy.scores(problem.trace))
    judge = _Judge(fitting, held_out, goal)
    found = [judge.always(row) for row in (rows[-1], *rows[:-1])]
    waiting = track(strategies, len(strategies), "fitting strategies")
    found.extend(judge.followed(strategy) for strategy in waiting)
    bounds = (
        judge.tolerant(),
        judge.best(PER_IMAGE, _most_per_image, mean=True),
        judge.best(DATASET, choose, mean=False),
    )
    return Comparison(fitting, held_out, judge.wanted, (*found, *bounds))


class _Judge:
    """Fills the rows of one comparison."""

    def __init__(self, fitting: Problem, held_out: Problem, goal: Goal) -> None:
        self.fitting, self.held_out, self.goal = fitting, held_out, goal
        self.problems = (fitting, held_out)
        self.wanted = goal.least_miou(fitting.full), goal.least_miou(held_out.full)
        self.points = tuple(fitting.trace.exits[row][0] for row in fitting.rows)

    def always(self, row: int) -> Row:
        """Judge the network that answers at one exit and reads no other."""
        tallies = []
        for problem in self.problems:
            alone = Problem(problem.trace, problem.costs, (row,), problem.cost)
            tallies.append(tally(alone, np.zeros(len(problem.trace.images), dtype=np.intp)))
        point, head = self.fitting.trace.exits[row]
        name = FULL if row == self.fitting.rows[-1] else f"always {point}/{head}"
        return self._row(name, "fixed", (point,), tallies[0], tallies[1])

    def followed(self, strategy: Strategy) -> Row:
        """Judge a strategy by the fit that the goal picks, with all others as its frontier."""
        fits = strategy.fits(self.fitting)
        fit = cheapest(fits, self.wanted[0])
        here = tally(self.fitting, follow(self.fitting, fit))
        frontier = tuple(tally(self.held_out, follow(self.held_out, one)) for one in fits)
        there = frontier[fits.index(fit)]
        return self._row(strategy.name, "strategy", self.points, here, there, fit, frontier)

    def tolerant(self) -> Row:
        """Judge the cheapest exit of each image that loses it no more than the goal allows."""
        tallies = []
        for problem, wanted in zip(self.problems, self.wanted, strict=True):
            loss = max(problem.full.miou - wanted, 0.0)
            tallies.append(tally(problem, oracle.within_tolerance(known(problem), loss)))
        return self._row(TOLERANT, "bound", self.points, tallies[0], tallies[1])

    def best(self, policy: str, choice: Choice, mean: bool) -> Row:
        """Judge choices of most reward, by the cheapest weight of time that keeps the goal.

        Args:
            policy: its name.
            choice: gives each image its exit, for a weight.
            mean: whether it is per-image mIoU that must keep the goal.
        """
        picked, frontier = list[Tally](), list[Tally]()
        for problem, wanted in zip(self.problems, self.wanted, strict=True):
            frontier = [tally(problem, choice(problem, weight)) for weight in WEIGHTS]
            lost = problem.full.miou_per_image - problem.full.miou if mean else 0.0
            got = [one.miou_per_image - lost if mean else one.miou for one in frontier]
            able = [one for one, miou in zip(frontier, got, strict=True) if miou >= wanted]
            best = frontier[int(np.argmax(got))]
            picked.append(min(able, key=self._spent, default=best))
        return self._row(
            policy, "bound", self.points, picked[0], picked[1], frontier=tuple(frontier)
        )

    def _spent(self, one: Tally) -> float:
        return one.macs if self.goal.cost == "macs" else one.latency_ms

    def _row(
        self,
        policy: str,
        kind: Kind,
        points: tuple[str, ...],
        fitted: Tally,
        held_out: Tally,
        fit: Fit | None = None,
        frontier: tuple[Tally, ...] = (),
    ) -> Row:
        met, kept = fitted.miou >= self.wanted[0], held_out.miou >= self.wanted[1]
        return Row(policy, kind, points, fitted, held_out, met, kept, fit, frontier)


def _most_per_image(problem: Problem, weight: float) -> NDArray[np.intp]:
    return oracle.most_reward(known(problem), weight)


def _check(traces: tuple[Trace, Trace], costs: Costs, goal: Goal) -> None:
    for trace, images in zip(traces, ("to fit on", "held out"), strict=True):
        if trace.size != costs.size:
            raise BadInput(
                "trace and costs belong to different input sizes",
                expected=str(costs.size),
                got=str(trace.size),
                repair="record again: offramp record RUN",
            )
        if not trace.unions.any():
            raise BadInput(f"no image {images} has a labelled pixel")
    if goal.cost == "latency" and not costs.engine:
        raise BadInput("latency was not measured", repair="record again: offramp record RUN")
