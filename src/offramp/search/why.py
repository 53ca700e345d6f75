"""From a goal, the chosen design and the front to sentences that say why it is this one."""

from collections.abc import Sequence

from offramp.core.score import ScoreSpec
from offramp.search.axes import Axis, axis_of
from offramp.search.goal import Goal
from offramp.search.neighbours import (
    Step,
    cheap_bargain,
    forbidden,
    good_bargain,
    knee,
    next_better,
    next_cheaper,
    same_design,
)
from offramp.search.point import Point
from offramp.search.slack import Slack, slacks


def why(
    goal: Goal, chosen: Point, full: Point, frontier: Sequence[Point], cost: str
) -> tuple[str, ...]:
    """Say why this design was chosen, and what others would bring.

    In this order: the design and how far it is from the full network; which bound binds, and
    what the others leave; the next cheaper and the next better design of the front; its knee; a
    design that is much better for little, with the bound that would give it.

    Args:
        goal: the bounds.
        chosen: the design.
        full: the full network.
        frontier: the front of mIoU against `cost`.
        cost: what the front's cost is, see `AXES`.

    Returns:
        Sentences, plain text.

    Raises:
        UnknownName: there is no such cost.
        BadInput: it is not known of one of the designs.
    """
    axis = axis_of(cost, [chosen, full, *frontier])
    said = [_opening(chosen, full, axis), *_held_out(chosen)]
    said += _bounds(goal, chosen, full, frontier, axis)
    said += _neighbours(chosen, frontier, axis)
    said += _knee(chosen, frontier, axis)
    said += _bargains(goal, chosen, full, frontier, axis)
    return tuple(said)


def design_words(point: Point) -> str:
    """Write a design as its exits in order, each with its rule and the images that it stops."""
    parts = []
    for index, name in enumerate(point.exits):
        notes = []
        if index < len(point.thresholds):
            notes.append(rule_words(point.scores[index], point.thresholds[index]))
        if len(point.exits) > 1 and index < len(point.shares):
            notes.append(f"{100 * point.shares[index]:.0f} % stop")
        parts.append(f"{name} ({', '.join(notes)})" if notes else name)
    path = " → ".join(parts)
    return f"{point.network}: {path}" if point.network else path


def rule_words(score: str, threshold: float) -> str:
    """Write when an image stops, such as "mean-top1 ≥ 0.8312"."""
    sign = "≥" if ScoreSpec.parse(score).more_is_surer else "≤"
    return f"{score} {sign} {threshold:.4g}"


def _opening(chosen: Point, full: Point, axis: Axis) -> str:
    lost = full.miou - chosen.miou
    change = f"{100 * abs(lost):.2f} points {'less' if lost > 0 else 'more'} than"
    if abs(lost) < 5e-5:
        change = "as much as"
    here, there = axis.of(chosen), axis.of(full)
    less = f"{there / here:.2f} times less" if here <= there else f"{here / there:.2f} times more"
    return (
        f"Chosen: {design_words(chosen)}. It has {_miou(chosen)}, {change} the full network, at "
        f"{axis.said(here)}, {less} than its {axis.said(there)} ({axis.what})."
    )


def _held_out(chosen: Point) -> list[str]:
    if chosen.held_out is None:
        return []
    change = 100 * (chosen.held_out - chosen.miou)
    return [
        f"On images that were held out it has {100 * chosen.held_out:.2f} % mIoU, "
        f"{abs(change):.2f} points {'more' if change >= 0 else 'less'} than on those it was "
        "chosen on."
    ]


def _bounds(
    goal: Goal, chosen: Point, full: Point, frontier: Sequence[Point], axis: Axis
) -> list[str]:
    """Say which bound binds: the one that forbids what would have been chosen instead."""
    kept = slacks(goal, chosen, full)
    if goal.deadlines:  # worth at deadlines is not on the front, so no bound is known to bind
        times = ", ".join(f"{time:g} ms (weight {weight:g})" for time, weight in goal.deadlines)
        return [f"Its answers are worth most at the deadlines: {times}.", *_listed("Bounds", kept)]
    if not kept:
        return ["Its bounds are held against its first answer."]
    toward = "cheaper" if goal.bounds_accuracy else "better"
    beaten = rival = forbidden(chosen, frontier, axis)
    if rival is None:
        seek = next_cheaper if goal.bounds_accuracy else next_better
        rival = seek(chosen, frontier, axis)
    if rival is None:
        return [f"No bound binds: nothing on the front is {toward}.", *_listed("Bounds", kept)]
    broken = [slack for slack in slacks(goal, rival.point, full) if slack.broken]
    binding = [slack for slack in kept if slack.name in {other.name for other in broken}]
    if not binding:
        tightest = min(kept, key=lambda slack: slack.share)
        said = f"No bound forbids its neighbour on the front; the tightest is {tightest.option}."
        return [said, *_listed("Bounds", kept)]
    mine = "; ".join(slack.said() for slack in binding)
    needs = " and ".join(slack.just_enough() for slack in broken)
    what = f"the next {toward} design" if beaten is None else _beaten(beaten.point, axis)
    said = f"What binds is {mine}. It forbids {what}, which needs {needs}."
    return [said, *_listed("Other bounds", [slack for slack in kept if slack not in binding])]


def _listed(what: str, bounds: Sequence[Slack]) -> list[str]:
    return [f"{what}: {'; '.join(slack.said() for slack in bounds)}."] if bounds else []


def _beaten(rival: Point, axis: Axis) -> str:
    """Write a design that beats the chosen one in mIoU and cost."""
    return f"{design_words(rival)} with {_miou(rival)} at {axis.said(axis.of(rival))}"


def _neighbours(chosen: Point, frontier: Sequence[Point], axis: Axis) -> list[str]:
    cheaper, better = next_cheaper(chosen, frontier, axis), next_better(chosen, frontier, axis)
    said = []
    for step, word in ((cheaper, "cheaper"), (better, "better")):
        if step is not None:
            said.append(f"Next {word}: {_trade(step, axis)}.")
        elif forbidden(chosen, frontier, axis) is None:
            said.append(f"No design of the front is {word}.")
    return said


def _trade(step: Step, axis: Axis) -> str:
    verb = "saves" if step.cost < 0 else "costs"
    end = "" if step.cost < 0 else " more"
    change = f"{'loses' if step.miou < 0 else 'gains'} {100 * abs(step.miou):.2f} points of mIoU"
    money = f"{verb} {100 * abs(step.cost):.1f} %{end}, {axis.said(axis.of(step.point))}"
    return f"{design_words(step.point)} {money}, and {change}"


def _knee(chosen: Point, frontier: Sequence[Point], axis: Axis) -> list[str]:
    bend = knee(frontier, axis)
    if bend is None:
        return []
    here, there = axis.of(chosen), axis.of(bend)
    where = "there" if same_design(chosen, bend) else "before it" if here < there else "after it"
    return [
        f"The knee of the front, after which mIoU gets dear, is at {axis.said(there)} and "
        f"{_miou(bend)}: {design_words(bend)}. The chosen design is {where}."
    ]


def _bargains(
    goal: Goal, chosen: Point, full: Point, frontier: Sequence[Point], axis: Axis
) -> list[str]:
    said = []
    for step in (cheap_bargain(chosen, frontier, axis), good_bargain(chosen, frontier, axis)):
        if step is not None:
            advice = _advice(goal, step, full)
            said.append(f"Worth a look: {_trade(step, axis)}{advice}.")
    return said


def _advice(goal: Goal, step: Step, full: Point) -> str:
    """Say which bounds would give this design; nothing where none can be named."""
    found = slacks(goal, step.point, full)
    needed = [slack for slack in found if slack.broken]
    if needed:
        return "; to get it, allow " + " and ".join(slack.just_enough() for slack in needed)
    if step.miou > 0 and goal.bounds_accuracy:
        by_loss = goal.min_miou is None and step.point.miou < full.miou
        wanted = found[0] if by_loss else Slack("min_miou", 0, step.point.miou)
        return "; to get it, ask for " + wanted.just_enough()
    return ""


def _miou(point: Point) -> str:
    return f"{100 * point.miou:.2f} % mIoU"
