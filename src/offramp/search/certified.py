"""The cheapest plan whose loss is promised: found on some images, certified on others.

    trace ─► divide ─► one half: the frontier of plans, ordered from the safest to the riskiest
                  └──► the other: tested in that order; the last one certified is the plan

Pareto testing (Laufer-Goldshtein et al. 2022, arXiv 2210.07913) on Learn then Test. The promise
is about a mean over images: each image's mIoU by the full network minus that by the plan, or the
share of its pixels that the two label differently. Dataset mIoU is no mean over images, and
nothing is promised about it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray

from offramp.core.certificate import Certificate, Promise, Quantity
from offramp.core.costs import Costs
from offramp.core.errors import BadInput, Infeasible
from offramp.core.plan import Plan
from offramp.core.progress import Track, silent
from offramp.core.score import ScoreSpec
from offramp.guarantees import certify, control_mean, divide, miou_losses, pareto_order
from offramp.guarantees.clips import units
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.search.design import Design, point_of
from offramp.search.expectation import expect
from offramp.search.goal import Goal
from offramp.search.policy import THRESHOLD, frontier_plans, point_of_plan
from offramp.search.search import Found, check

WHOLE = 10**9
"""How fine disagreement is counted, so that it can stand in for intersections and unions."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Terms:
    """What shall be promised.

    Attributes:
        limit: the mean loss that must not be exceeded, within (0, 1).
        confidence: with which probability, within (0, 1).
        quantity: which loss, see `Promise`.
        by_group: scenes, cities or sequences count once where the trace names them; otherwise
            images do, and the promise is for new images of these very groups.

    Raises:
        BadInput: limit or confidence are out of their ranges.
    """

    limit: float
    confidence: float = 0.95
    quantity: Quantity = "miou"
    by_group: bool = True

    def __post_init__(self) -> None:
        for name in ("limit", "confidence"):
            value = getattr(self, name)
            if not 0 < value < 1:
                what = f"the {name} of a promise"
                raise BadInput(what, expected="above 0, below 1", got=str(value))

    @property
    def loss(self) -> str:
        """The loss, in words."""
        if self.quantity == "miou":
            return "mean loss of per-image mIoU against the full network"
        return "mean share of pixels labelled unlike the full network"


def search_certified(
    trace: Trace,
    costs: Costs,
    goal: Goal,
    terms: Terms,
    policy: str = THRESHOLD,
    exits: Sequence[str] = (),
    track: Track = silent,
) -> Found:
    """Find the cheapest plan whose loss is certified.

    Args:
        trace: what was recorded; half of it is searched, the other half tested.
        costs: what each piece costs.
        goal: bounds on cost, setting, and what cheapest counts. A bound on accuracy only chooses
            the exits of a policy for which none are named.
        terms: what shall be promised.
        policy: as for `search_policy`.
        exits: as for `search_policy`.
        track: shows progress.

    Returns:
        The plan with its certificate. Its expectation, and the frontier (of the plans that were
        to be tested), are of all recorded images.

    Raises:
        Infeasible: nothing can be certified; the message tells the bound that was reached, and
            how many images would do.
        UnknownName: as `search_policy` does.
        BadInput: as `search_policy` does, or the promise does not suit the goal or trace.
    """
    start = time.monotonic()
    check(trace, costs, goal)
    _check_terms(goal, terms, policy, trace)
    judged = trace if terms.quantity == "miou" else agreeing(trace)
    groups = _groups(trace, terms)
    first, second = divide(len(trace.images), groups=groups)
    found = frontier_plans(judged.subset(first.tolist()), costs, goal, policy, exits, track)
    plans = _ordered(_affordable(found, goal), judged, first, groups, goal, terms)
    losses = _losses(plans, judged.subset(second.tolist()))
    tested = None if groups is None else groups[second]
    made = certify(losses, terms.limit, confidence=terms.confidence, groups=tested)
    if made.index is None:
        raise Infeasible(_refusal(made, terms, len(plans)))
    average = control_mean(losses, terms.limit, groups=tested)
    promise = Promise(
        **made.model_dump(),
        quantity=terms.quantity,
        searched=len(first),
        designs=len(plans),
        average=average,
    )
    whole = [expect(plan, trace, costs) for plan in plans]
    plan = whole[made.index].model_copy(
        update={"certificate": promise, "images": len(trace.images)}
    )
    points = tuple(point_of_plan(each, trace, costs) for each in reversed(whole))
    return Found(
        plan=plan,
        frontier=points,
        configurations=len(found),
        seconds=time.monotonic() - start,
        goal=goal,
        chosen=point_of_plan(plan, trace, costs),
        full=point_of(trace, costs, "budgeted", Design((len(trace.exits) - 1,))),
    )


def agreeing(trace: Trace) -> Trace:
    """Let agreement with the full network stand in for mIoU: one class, of which it is the IoU.

    Raises:
        BadInput: the trace does not hold it.
    """
    if trace.disagreement is None:
        raise BadInput(
            "the trace does not tell how answers differ", repair="record again: offramp record RUN"
        )
    unions = np.zeros_like(trace.unions)
    unions[:, :, 0] = WHOLE
    intersections = np.zeros_like(unions)
    intersections[:, :, 0] = np.rint((1 - trace.disagreement) * WHOLE)
    return replace(trace, intersections=intersections, unions=unions)


def _check_terms(goal: Goal, terms: Terms, policy: str, trace: Trace) -> None:
    if goal.setting == "anytime":
        raise BadInput(
            "a promise about an anytime plan: whoever stops it decides what it loses",
            expected="the setting input-dependent or budgeted",
        )
    if goal.min_miou is not None:
        raise BadInput(
            "a least mIoU cannot be promised", expected="max-miou-loss or max-disagreement"
        )
    by_frame = any(ScoreSpec.parse(name).needs == "frame" for name in _scores(policy))
    if by_frame and _groups(trace, terms) is None:
        raise BadInput(
            "images that are compared with the one before cannot be divided one by one",
            expected="a trace whose images have groups, such as clips, that count once",
        )


def _scores(policy: str) -> list[str]:
    _, _, names = policy.partition(":")
    return names.split("+") if names else []


def _groups(trace: Trace, terms: Terms) -> NDArray[np.str_] | None:
    """Name the group of each image, if groups are to count."""
    return np.array(trace.groups) if terms.by_group and any(trace.groups) else None


def _affordable(plans: Sequence[Plan], goal: Goal) -> list[Plan]:
    """Keep what costs less than the full network, and no more than the bounds allow."""
    kept = [
        plan
        for plan in plans
        if _cost(plan, goal) < (plan.full.macs if goal.cost == "macs" else plan.full.latency_ms)
        and (goal.max_macs is None or plan.expected.macs <= goal.max_macs)
        and (goal.max_latency_ms is None or plan.expected.latency_ms <= goal.max_latency_ms)
    ]
    if not kept:
        raise Infeasible("no plan keeps to the bounds on cost and costs less than the full network")
    return kept


def _ordered(
    plans: Sequence[Plan],
    judged: Trace,
    first: NDArray[np.intp],
    groups: NDArray[np.str_] | None,
    goal: Goal,
    terms: Terms,
) -> list[Plan]:
    """Put the plans worth a test in order, by the half on which they were found.

    The risk is the mean loss plus √(2 ln(1/δ) / n) standard deviations: a plan whose losses vary
    more needs more images. It only chooses an order, and proves nothing.
    """
    losses = _losses(plans, judged.subset(first.tolist()))
    counted = units(losses, None if groups is None else groups[first]).losses  # L×U
    width = np.sqrt(2 * log(1 / (1 - terms.confidence)) / counted.shape[1])
    risk = counted.mean(axis=1) + width * counted.std(axis=1)
    cost = np.array([_cost(plan, goal) for plan in plans])
    return [plans[i] for i in pareto_order(risk, cost)]


def _losses(plans: Sequence[Plan], trace: Trace) -> Floats:
    """Follow plans on a trace: what each image loses by each; L×N."""
    taken = []
    for plan in plans:
        rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
        exits = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
        taken.append(np.array(rows)[exits])
    return miou_losses(trace, np.array(taken))


def _cost(plan: Plan, goal: Goal) -> float:
    return plan.expected.macs if goal.cost == "macs" else plan.expected.latency_ms


def _refusal(made: Certificate, terms: Terms, plans: int) -> str:
    """Say what could not be promised, how near it came, and what would help."""
    counted = "groups" if made.units == "clips" else "images"
    enough = f"no number of such {counted} up to a million would do"
    if made.needed is not None:
        enough = (
            f"about {made.needed} such {counted} to test would do, "
            f"that is {2 * made.needed} recorded"
        )
    return (
        f"no plan is certified: {terms.loss} at most {terms.limit:g} with confidence "
        f"{terms.confidence:g}; the safest of {plans} plans has a mean of {made.loss:.4f} on the "
        f"{made.n} {counted} held out for the test, which proves that it is at most "
        f"{made.bound:.4f}; {enough}; the full network loses nothing"
    )
