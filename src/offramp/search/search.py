"""Find the best plan of all, with the front of mIoU against cost beside it (MESS §5.1, eq. 4-6)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from offramp.core.costs import Costs
from offramp.core.errors import BadInput, Infeasible
from offramp.core.files import write_json
from offramp.core.plan import Division, Part, Plan
from offramp.core.progress import Track, silent
from offramp.guarantees import divide
from offramp.metrics.trace import Trace
from offramp.search.design import Design, plan_of, point_of
from offramp.search.expectation import expect, full_network
from offramp.search.front import Front, find_front
from offramp.search.goal import COSTS, CostName, Goal
from offramp.search.point import Point

Network = tuple[Trace, Costs]


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Attributes:
        plan: what was sought.
        frontier: designs that no other beats in both mIoU and cost, cheapest first.
        configurations: how many designs there are in the space, all judged or proven worse.
        seconds: how long that took.
        goal: what was asked.
        chosen: the plan as a design.
        full: the full network; of several, the first.
        optimal: no design of the space is better; else time ran out.
        gap: how much better than the plan a design may be that was not looked at, as a share of
            the plan's cost, or in mIoU where the most accurate is sought; 0 if none.
    """

    plan: Plan
    frontier: tuple[Point, ...]
    configurations: int
    seconds: float
    goal: Goal
    chosen: Point
    full: Point
    optimal: bool = False
    gap: float = 0.0

    @property
    def cost(self) -> CostName:
        """What the front's cost is."""
        return self.goal.cost

    def save(self, file: Path) -> None:
        """Write the plan, and the frontier beside it."""
        self.plan.save(file)
        write_json(file.with_suffix(".frontier.json"), [asdict(p) for p in self.frontier])


def search(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    track: Track = silent,
    *,
    held_out: float = 0.0,
    seconds: float | None = None,
    scores: Sequence[str] = (),
) -> Found:
    """Find the best design of the whole space: the optimum, proven.

    Ties go to the higher mIoU (where the cheapest is sought) or the lower cost (where the most
    accurate is), then to the design with fewer exits, then to the first in the order of the path.

    Args:
        trace: what was recorded.
        costs: what each piece costs.
        goal: what is sought.
        track: shows progress.
        held_out: share of the images (or of their groups) on which the plan is not fitted, but
            judged beside.
        seconds: stop after about so long, with what was found and how far it may be from the
            optimum.
        scores: names of those to decide by; none: all recorded ones that a threshold can decide by.

    Raises:
        Infeasible: no design keeps to the bounds.
        BadInput: trace and costs do not belong together, what is asked for was not measured, or
            the images cannot be divided.
        UnknownName: a score was not recorded.
    """
    return search_networks(
        {"": (trace, costs)}, goal, track, held_out=held_out, seconds=seconds, scores=scores
    )


def search_networks(
    networks: Mapping[str, Network],
    goal: Goal,
    track: Track = silent,
    *,
    held_out: float = 0.0,
    seconds: float | None = None,
    scores: Sequence[str] = (),
) -> Found:
    """Search several networks side by side as one space, such as one network at several sizes.

    Args:
        networks: by name, what was recorded of the same images, and costs. A loss of mIoU counts
            from the first's full network.
        goal, track, held_out, seconds, scores: as in `search`.

    Raises:
        As `search` does; BadInput also where networks were recorded on different images.
    """
    start = time.monotonic()
    _same_images(networks)
    for trace, costs in networks.values():
        check(trace, costs, goal)
    first, *_ = networks.values()
    fitted, others = divided(first[0], held_out)
    parts = {name: (trace.subset(fitted), costs) for name, (trace, costs) in networks.items()}
    trace, costs = next(iter(parts.values()))
    wanted = replace(goal, min_miou=_least(goal, trace, costs), max_miou_loss=None)
    fronts, able = _fronts(parts, wanted, start, seconds, track, scores)
    name, index = _best(able, wanted, parts)
    entry = able[name].entries[index]
    if goal.deadlines and entry[1] <= 0:
        raise Infeasible(_too_early(goal, parts))
    part, each = parts[name]
    plan = plan_of(*networks[name], goal.setting, entry[2])
    if others:
        plan = plan.model_copy(
            update={"division": judged_apart(plan, networks[name], fitted, others)}
        )
    gap = max(front.gap(wanted, entry) for front in able.values())
    points = _joint_front(fronts, networks, fitted, others, goal)
    full = _full(trace, costs)
    return Found(
        plan=plan,
        frontier=points,
        configurations=sum(front.configurations for front in fronts.values()),
        seconds=time.monotonic() - start,
        goal=goal,
        chosen=_with_held_out(
            point_of(part, each, goal.setting, entry[2], name), entry[2], networks[name],
            others, goal,
        ),
        full=full,
        optimal=gap <= 0,
        gap=gap,
    )  # fmt: skip


def check(trace: Trace, costs: Costs, goal: Goal) -> None:
    """Refuse a trace and costs that do not belong together, or do not say what the goal asks.

    Raises:
        BadInput: what is amiss.
    """
    if trace.size != costs.size:
        raise BadInput(
            "trace and costs belong to different input sizes",
            expected=str(trace.size),
            got=str(costs.size),
            repair="record again: offramp record RUN",
        )
    costs.of([trace.exits[-1]])
    for point, head in trace.exits:
        costs.of([(point, head)])
    if not trace.unions.any():
        raise BadInput("no recorded image has a labelled pixel", repair="record a split with masks")
    if goal.needs_time and not costs.engine:
        raise BadInput("latency was not measured", repair="record again: offramp record RUN")
    for kind in ("bytes", "memory"):
        if (goal.cost == kind or goal.most(kind) < float("inf")) and not costs.knows(kind):
            raise BadInput(f"{kind} were not measured", repair="record again: offramp record RUN")


def _same_images(networks: Mapping[str, Network]) -> None:
    first = next(iter(networks.values()))[0]
    for name, (trace, _) in networks.items():
        if trace.images != first.images or trace.names != first.names:
            raise BadInput(
                f"'{name}' was recorded on other images or classes than the first network",
                expected="the same images in the same order",
                repair="record both on the same split: offramp record RUN --split calib",
            )


def divided(trace: Trace, share: float) -> tuple[list[int], list[int]]:
    """Divide the images: fitted, and held out; groups are never divided."""
    everything = list(range(len(trace.images)))
    if share == 0:
        return everything, []
    groups = np.array(trace.groups) if len(set(trace.groups) - {""}) > 1 else None
    fitted, others = divide(len(everything), groups=groups, share=1 - share)
    if not trace.subset(fitted.tolist()).unions.any():
        raise BadInput("the images on which to fit have no labelled pixel")
    return fitted.tolist(), others.tolist()


def divisible(share: float, trace: Trace) -> float:
    """Give the share that can be held out: nothing where there is nothing to divide."""
    groups = set(trace.groups) - {""}
    return share if len(groups) > 1 or (not groups and len(trace.images) > 1) else 0.0


def _least(goal: Goal, trace: Trace, costs: Costs) -> float | None:
    return goal.least_miou(full_network(trace, costs)) if goal.bounds_accuracy else None


def _fronts(
    parts: Mapping[str, Network],
    goal: Goal,
    start: float,
    seconds: float | None,
    track: Track,
    scores: Sequence[str],
) -> tuple[dict[str, Front], dict[str, Front]]:
    """Find the fronts of all networks: the whole ones, and those of designs within the bounds.

    They differ only where another cost is bounded than the one that is sought.
    """
    others = {name for name in COSTS if goal.most(name) < float("inf")}
    if goal.setting != "anytime":
        others.discard(goal.cost)
    whole: dict[str, Front] = {}
    able: dict[str, Front] = {}
    for name, (trace, costs) in parts.items():
        for kept, each in ((whole, goal.without_bounds()), (able, goal)):
            if kept is able and not others:
                able[name] = whole[name]
                continue
            left = None if seconds is None else max(start + seconds - time.monotonic(), 0.0)
            kept[name] = find_front(trace, costs, each, track, seconds=left, scores=scores)
    return whole, able


def _most(goal: Goal) -> float:
    """Look up the bound on the cost that is sought; of an anytime plan, by its first answer."""
    return float("inf") if goal.setting == "anytime" else goal.most(goal.cost)


def _best(fronts: Mapping[str, Front], goal: Goal, parts: Mapping[str, Network]) -> tuple[str, int]:
    """Choose among the fronts of all networks.

    Raises:
        Infeasible: nothing keeps to the bounds.
    """
    able = [
        (name, index)
        for name, front in fronts.items()
        for index, (cost, miou, _) in enumerate(front.entries)
        if (not goal.bounds_accuracy or miou >= (goal.min_miou or -1.0)) and cost <= _most(goal)
    ]
    if not able:
        raise Infeasible(_refusal(fronts, goal, parts))

    def order(which: tuple[str, int]) -> tuple[float, float]:
        cost, miou, _ = fronts[which[0]].entries[which[1]]
        return (cost, -miou) if goal.bounds_accuracy else (-miou, cost)

    return min(able, key=order)


def _refusal(fronts: Mapping[str, Front], goal: Goal, parts: Mapping[str, Network]) -> str:
    """Say by how much nothing fits, and what would."""
    entries = [
        (name, entry)
        for name, front in fronts.items()
        for entry in front.entries
        if entry[0] <= _most(goal)
    ]
    trace, costs = next(iter(parts.values()))
    full = _full(trace, costs)
    known = f"the full network has {said(full)}"
    if entries:
        name, (_, _, design) = max(entries, key=lambda each: each[1][1])
        best = point_of(*parts[name], goal.setting, design, name)
        wanted = goal.min_miou or 0.0
        return (
            f"no {goal.setting} plan keeps to the bounds: within those on cost the best mIoU is "
            f"{best.miou:.4f}, {wanted - best.miou:.4f} less than the {wanted:.4f} asked for "
            f"({said(best)}: {', '.join(best.exits)}); {known}"
        )
    least = next(iter(fronts.values())).least
    told = "; ".join(
        f"the least {name} of any plan is {value:.4g}, the bound {goal.most(name):.4g}"
        for name, value in least.items()
        if goal.most(name) < float("inf")
    )
    exits = f" with {goal.early_exits} early exits" if goal.early_exits else ""
    return f"no {goal.setting} plan{exits} keeps to the bounds on cost: {told}; {known}"


def _too_early(goal: Goal, parts: Mapping[str, Network]) -> str:
    """Say when the first answer is there."""
    first = min(
        costs.of([pair]).latency_ms for trace, costs in parts.values() for pair in trace.exits
    )
    last = max(time for time, _ in goal.deadlines)
    return (
        f"no answer is there by the last deadline, {last:g} ms: the first exit answers after "
        f"{first:.2f} ms"
    )


def said(point: Point) -> str:
    """Write what a design does."""
    return f"mIoU {point.miou:.4f}, {point.macs / 1e6:.2f} MMAC, {point.latency_ms:.2f} ms"


def _full(trace: Trace, costs: Costs) -> Point:
    return point_of(trace, costs, "budgeted", Design((len(trace.exits) - 1,)))


def judged_apart(plan: Plan, network: Network, fitted: list[int], others: list[int]) -> Division:
    """Replay a plan on the images that it was fitted on, and on the others."""
    trace, costs = network
    parts = []
    for images in (fitted, others):
        there = expect(plan, trace.subset(images), costs)
        parts.append(Part(images=len(images), expected=there.expected, full=there.full))
    return Division(fitted=parts[0], held_out=parts[1])


def _joint_front(
    fronts: Mapping[str, Front],
    networks: Mapping[str, Network],
    fitted: list[int],
    others: list[int],
    goal: Goal,
) -> tuple[Point, ...]:
    """Put the fronts of all networks together, and keep what none beats."""
    every = [(name, entry) for name, front in fronts.items() for entry in front.entries]
    every.sort(key=lambda each: (each[1][0], -each[1][1]))
    points, highest = [], -np.inf
    held = {name: (trace.subset(others), costs) for name, (trace, costs) in networks.items()}
    kept = {name: (trace.subset(fitted), costs) for name, (trace, costs) in networks.items()}
    for name, (_, miou, design) in every:
        if miou <= highest:
            continue
        highest = miou
        point = point_of(*kept[name], goal.setting, design, name)
        if others:
            there = point_of(*held[name], goal.setting, design, name)
            point = replace(point, held_out=there.miou)
        points.append(replace(point, miou=miou))
    return tuple(points)


def _with_held_out(
    point: Point, design: Design, network: Network, others: list[int], goal: Goal
) -> Point:
    if not others:
        return point
    trace, costs = network
    there = point_of(trace.subset(others), costs, goal.setting, design)
    return replace(point, held_out=there.miou)
