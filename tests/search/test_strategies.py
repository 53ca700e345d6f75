"""Strategies by name: what they propose, what they claim, and that a session does the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.costs import Costs
from offramp.core.errors import BadInput, UnknownName
from offramp.core.plan import Plan
from offramp.core.rule import AtLeast, Range
from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.data.sample import Sample
from offramp.evaluation import record
from offramp.export import export
from offramp.metrics.confusion import mean_iou
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork
from offramp.policies.ceiling import fft_ceiling
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.session import Session
from offramp.search.problem import Problem
from offramp.search.proposals import propose
from offramp.search.strategies import Fit, Strategy, cheapest, usual
from tests.search.simulated import COSTS, like_recorded

TRACE = like_recorded(0)
ROWS = (0, 1, 2, 3)
PROBLEM = Problem(TRACE, COSTS, ROWS)
EVERY = (
    *usual(TRACE),
    *(Strategy.parse(n) for n in ("threshold:fft", "range:entropy", "rl:entropy+fft")),
)
"""All that is usual on a trace with every score, and names that one may give besides."""


def plainly(plan: Plan, trace: Trace) -> tuple[float, float, list[float]]:
    """Follow a plan image by image, rule by rule; dataset mIoU, mean MACs, shares."""
    stopping = [planned.rule for planned in plan.exits[:-1]]
    frames = trace.frame_agreement
    taken, before = list[int](), 0
    for n in range(len(trace.images)):
        for e, rule in enumerate([*stopping, None]):
            said = []
            for name in plan.scores:
                if name == "exit-agreement":
                    assert trace.exit_agreement is not None
                    said.append(float(trace.exit_agreement[e, e - 1, n]) if e else 0.0)
                elif name == "frame-agreement":
                    assert frames is not None
                    said.append(float(frames[e, before, n]))
                else:
                    said.append(float(trace.scores[e, n, trace.score_names.index(name)]))
            if rule is None or rule.stops(said):
                taken.append(e)
                break
        before = taken[-1]
    inter = sum(trace.intersections[e, n] for n, e in enumerate(taken))
    union = sum(trace.unions[e, n] for n, e in enumerate(taken))
    macs = [(110, 320, 630, 1030)[e] for e in taken]
    shares = [taken.count(e) / len(taken) for e in range(4)]
    return float(mean_iou(np.array(inter), np.array(union))), float(np.mean(macs)), shares


@pytest.mark.parametrize("strategy", EVERY, ids=lambda s: s.name)
def test_a_plan_does_on_its_images_what_it_claims(strategy: Strategy) -> None:
    plans = strategy.plans(PROBLEM)
    assert {plan.policy for plan in plans} == {strategy.name}
    for plan in plans[:: max(len(plans) // 4, 1)]:
        miou, macs, shares = plainly(plan, TRACE)
        assert plan.expected.miou == pytest.approx(miou)
        assert plan.expected.macs == pytest.approx(macs)
        assert [planned.share for planned in plan.exits] == pytest.approx(shares)


@pytest.mark.parametrize("cost", ["macs", "latency"])
@pytest.mark.parametrize("strategy", EVERY, ids=lambda s: s.name)
def test_plans_are_a_frontier_from_stop_at_once_to_what_beats_never(
    strategy: Strategy, cost: str
) -> None:
    if strategy.kind == "rl" and cost == "latency":
        pytest.skip("the same episodes again: a millisecond is a MAC here")
    problem = replace(PROBLEM, cost=cost)
    plans = strategy.plans(problem)
    spent = [plan.expected.macs for plan in plans]  # a piece takes as many milliseconds
    miou = [plan.expected.miou for plan in plans]
    assert spent == sorted(set(spent))
    assert miou == sorted(set(miou))
    assert spent[0] == 110
    assert miou[0] >= TRACE.exit_miou(0) - 1e-9
    assert miou[-1] >= TRACE.exit_miou(3) - 1e-9


@pytest.mark.parametrize("strategy", EVERY, ids=lambda s: s.name)
def test_never_and_at_once_are_proposed(strategy: Strategy) -> None:
    names = strategy.scores(TRACE)
    proposals = propose(strategy.kind, names, PROBLEM)
    never, ever = next(proposals).rules, next(proposals).rules
    seen = TRACE.seen(ROWS, names)
    assert replay(RulePolicy(never), seen).tolist() == [3] * 60
    assert replay(RulePolicy(ever), seen).tolist() == [0] * 60


def test_one_exit_alone_may_be_left_out_by_a_threshold() -> None:
    blind = TRACE.scores.copy()
    blind[1] = np.linspace(0, 1, 60)[:, None]  # says nothing of its images
    wrong = TRACE.intersections.copy()
    wrong[1] = 0
    problem = Problem(replace(TRACE, scores=blind, intersections=wrong), COSTS, ROWS)
    shares = [
        [planned.share for planned in plan.exits]
        for plan in Strategy.parse("threshold:mean-top1").plans(problem)
    ]
    assert any(first and third and not second for first, second, third, _ in shares)


def test_thresholds_of_few_images_are_all_that_there_are() -> None:
    """Brute force over all pairs of thresholds: the frontier is the very same."""
    trace = TRACE.subset(range(20))
    score, found = trace.score(0, "mean-top1"), list[tuple[float, float]]()
    for low in [*score, 9.0]:
        for high in [*trace.score(1, "mean-top1"), 9.0]:
            second = trace.score(1, "mean-top1") >= high
            taken = np.where(score >= low, 0, np.where(second, 1, 3))
            spent = 110 * (taken == 0) + 320 * (taken == 1) + 1020 * (taken == 3)
            found.append((float(spent.mean()), trace.miou(taken)))
    frontier = list[tuple[float, float]]()
    for macs, miou in sorted(found, key=lambda pair: (pair[0], -pair[1])):
        if not frontier or miou > frontier[-1][1]:
            frontier.append((macs, miou))
    plans = Strategy.parse("threshold:mean-top1").plans(Problem(trace, COSTS, (0, 1, 3)))
    assert len(plans) > 10
    got = np.array([(plan.expected.macs, plan.expected.miou) for plan in plans])
    assert got == pytest.approx(np.array(frontier))


def test_tables_tell_the_weight_they_were_fitted_for() -> None:
    fits = Strategy.parse("table:entropy").fits(PROBLEM)
    weights = [fit.weight for fit in fits if fit.weight is not None]
    assert len(weights) > 1
    assert weights == sorted(weights, reverse=True)  # the cheapest had time weigh most
    assert all(fit.weight is None for fit in Strategy.parse("range:fft").fits(PROBLEM))


def test_the_cheapest_fit_that_is_good_enough_is_picked_or_the_most_accurate() -> None:
    fits = Strategy.parse("threshold:entropy").fits(PROBLEM)
    wanted = fits[len(fits) // 2].plan.expected.miou
    assert cheapest(fits, wanted) is fits[len(fits) // 2]
    assert cheapest(fits, wanted - 1e-9) is fits[len(fits) // 2]
    assert cheapest(fits, 0.0) is fits[0]
    assert cheapest(fits, 0.9999) is fits[-1]


def test_a_score_that_tells_nothing_still_has_never_and_at_once() -> None:
    flat = replace(TRACE, scores=np.full_like(TRACE.scores, 0.5))
    plans = Strategy.parse("threshold:mean-top1").plans(Problem(flat, COSTS, ROWS))
    assert [plan.expected.macs for plan in plans] == [110, 1030]
    assert all(isinstance(plan.exits[0].rule, AtLeast) for plan in plans)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("treshold:entropy", "did you mean 'threshold:entropy'"),
        ("threshold", "there is no exit strategy"),
        ("threshold:", "there is no exit strategy"),
        ("regresor", "did you mean 'regressor'"),
        ("per-class:entropy", "there is no exit strategy"),
        ("threshold:entropi", "did you mean 'entropy'"),
        ("threshold:entropy+fft", "there is no exit strategy"),
        ("classifier:entropy", "there is no exit strategy"),
    ],
)
def test_a_misspelt_strategy_is_refused(name: str, words: str) -> None:
    with pytest.raises(UnknownName, match=words):
        Strategy.parse(name)


def test_a_score_that_was_not_recorded_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match=r"coverage-top1@0\.7"):
        Strategy.parse("threshold:coverage-top1@0.7").plans(PROBLEM)
    alone = replace(TRACE, exit_agreement=None)
    with pytest.raises(UnknownName, match="exit-agreement"):
        Strategy.parse("threshold:exit-agreement").plans(Problem(alone, COSTS, ROWS))


def test_the_usual_strategies_are_those_that_the_scores_allow() -> None:
    few = replace(
        TRACE, score_names=("mean-top1",), scores=TRACE.scores[:, :, :1], exit_agreement=None,
        frame_agreement=np.zeros_like(TRACE.frame_agreement),
    )  # fmt: skip
    assert [strategy.name for strategy in usual(few)] == ["threshold:mean-top1"]
    names = [strategy.name for strategy in usual(TRACE)]
    assert len(set(names)) == len(names)
    assert {"range:fft", "per-class", "regressor", "rl:fft", "table:entropy+frame-agreement"} <= {
        *names
    }


LIVE = (
    "threshold:mean-top1",
    "threshold:entropy",
    "rl:entropy",
    "table:entropy",
    "range:fft",
    "per-class",
    "threshold:exit-agreement",
    "table:entropy+frame-agreement",
)
"""Strategies of every kind that need no auxiliary network."""


@dataclass(frozen=True)
class _Of:
    """Follows a plan on a bundle that gives more scores than it decides by."""

    plan: Plan
    given: tuple[str, ...]

    def stops(self, index: int, scores: Sequence[float]) -> bool:
        rule = self.plan.exits[index].rule
        return rule is not None and rule.stops(
            [scores[self.given.index(name)] for name in self.plan.scores]
        )


class _Film:
    """The calibration images as the frames of one clip."""

    def __init__(self, data: Dataset) -> None:
        self._data = data

    def samples(self, split: str) -> list[Sample]:
        return [replace(sample, clip="film") for sample in self._data.samples(split)]

    def read(self, sample: Sample) -> tuple[Array, Array]:
        return self._data.read(replace(sample, clip=""))


@pytest.fixture(scope="module")
def film(network: MultiExitNetwork, dataset: Dataset) -> Trace:
    return record(network, _Film(dataset), "calib")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def problem(film: Trace, costs: Costs) -> Problem:
    pairs = (("stem", "r1-b0-fcn"), ("bottleneck2", "r4-b1-fcn"), ("end", "own"))
    return Problem(film, costs, tuple(film.index(*pair) for pair in pairs))


@pytest.fixture(scope="module")
def talkative(
    network: MultiExitNetwork,
    problem: Problem,
    frames: list[Array],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """A bundle that gives all scores which any of the strategies decides by."""
    scores = {name for each in LIVE for name in Strategy.parse(each).scores(problem.trace)}
    plan = Strategy.parse(LIVE[0]).plans(problem)[0]
    silent = tuple(exit.model_copy(update={"rule": None}) for exit in plan.exits)
    asking = plan.model_copy(
        update={"setting": "anytime", "scores": tuple(sorted(scores)), "exits": silent}
    )
    return export(network, asking, frames[:2], tmp_path_factory.mktemp("live") / "b.offramp")


@pytest.mark.parametrize("name", LIVE)
def test_a_session_takes_the_exits_that_the_replay_took(
    name: str, talkative: Bundle, problem: Problem, frames: list[Array]
) -> None:
    plan = _liveliest(Strategy.parse(name).fits(problem))
    policy = _Of(plan, talkative.manifest.plan.scores)
    session = Session(talkative, threads=1, policy=policy)
    exits, before = list[int](), None
    for frame in frames:
        before = session.segment(frame, before)
        exits.append(before.exit)
    seen = problem.trace.seen(problem.rows, plan.scores)
    assert exits == replay(RulePolicy.of(plan), seen).tolist()
    assert len(set(exits)) > 1, "all images are treated alike: nothing is tested"


def _liveliest(fits: list[Fit]) -> Plan:
    """Take the plan whose images part most evenly."""
    return min((fit.plan for fit in fits), key=lambda plan: max(e.share for e in plan.exits))


def test_a_range_is_bounded_by_the_smallest_segment() -> None:
    trace = replace(TRACE, grids=((24, 40), (24, 40), (12, 20), (24, 40)), size=(192, 320))
    problem = Problem(trace, replaced_size(COSTS, (192, 320)), ROWS)
    fits = Strategy.parse("range:fft@64").fits(problem)
    bounds = [fft_ceiling(64, grid, 192 / grid[0]) for grid in trace.grids[:-1]]
    free = Strategy.parse("range:fft").fits(problem)
    assert any(high(fit)[0] > bounds[0] for fit in free)  # else the bound shows nothing
    for fit in fits:
        assert all(top <= bound for top, bound in zip(high(fit), bounds, strict=True))


def high(fit: Fit) -> list[float]:
    """List the upper ends of a fit's ranges; of one that is empty, minus infinity."""
    rules = [planned.rule for planned in fit.plan.exits[:-1]]
    return [r.high if isinstance(r, Range) and r.low <= r.high else -np.inf for r in rules]


def replaced_size(costs: Costs, size: tuple[int, int]) -> Costs:
    return costs.model_copy(update={"size": size})


def test_a_range_by_segments_needs_the_grids() -> None:
    with pytest.raises(BadInput, match="on which grid"):
        Strategy.parse("range:fft@24").fits(PROBLEM)
