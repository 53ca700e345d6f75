"""Certified plans: what they promise is kept, and what cannot be promised is refused."""

import dataclasses

import numpy as np
import pytest

from offramp.core.errors import BadInput
from offramp.core.plan import Plan
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.search import Goal, Infeasible
from offramp.search.certified import Terms, agreeing, search_certified
from offramp.search.policy import frontier_plans
from tests.search.drawn import COSTS, draw

LIMIT = 0.05
GOAL = Goal(max_miou_loss=LIMIT)
TERMS = Terms(LIMIT, 0.9)
CHAIN = ("a/x", "b/x")


def mean_loss(plan: Plan, trace: Trace) -> float:
    """Follow a plan, and average what each image loses of its own mIoU; both classes are there."""
    rows = np.array([trace.exits.index((planned.point, planned.head)) for planned in plan.exits])
    taken = rows[replay(RulePolicy.of(plan), trace.seen(rows.tolist(), plan.scores))]
    ratio = (trace.intersections / trace.unions).mean(axis=2)  # E×N
    return float((ratio[-1] - ratio[taken, np.arange(len(taken))]).mean())


@pytest.fixture(scope="module")
def world() -> Trace:
    """Five thousand images stand for all there are; one early exit, one score."""
    drawn = draw(np.random.default_rng(0), 5000).only([1, 3])
    return dataclasses.replace(drawn, scores=drawn.scores[:, :, 1:], score_names=("entropy",))


@pytest.mark.parametrize("policy", ["threshold", "table:entropy"])
def test_promises_are_broken_no_more_often_than_promised(world: Trace, policy: str) -> None:
    """Draw recorded images, search, certify, and look at all there are; δ is 0.1."""
    rng = np.random.default_rng(1)
    repeats, made, broken, naive = 150, 0, 0, 0
    for _ in range(repeats):
        drawn = world.subset(rng.choice(5000, 240, replace=False).tolist())
        fits = [p for p in frontier_plans(drawn, COSTS, GOAL, policy, ("b/x",))
                if mean_loss(p, drawn) <= LIMIT]  # fmt: skip
        naive += mean_loss(fits[0], world) > LIMIT  # the cheapest that seems to keep it
        try:
            plan = search_certified(drawn, COSTS, GOAL, TERMS, policy, ("b/x",)).plan
        except Infeasible:
            continue
        made += 1
        broken += mean_loss(plan, world) > LIMIT
    assert made > repeats / 2
    assert broken / repeats <= 0.1
    assert naive / repeats > 0.1  # the world is one in which a certificate matters


def test_the_certificate_tells_what_was_done() -> None:
    trace = draw(np.random.default_rng(4), 600)
    found = search_certified(trace, COSTS, GOAL, TERMS)
    promise = found.plan.certificate
    assert promise is not None
    assert (promise.quantity, promise.limit, promise.confidence) == ("miou", LIMIT, 0.9)
    assert (promise.searched, promise.n, promise.units) == (300, 300, "images")
    assert promise.index is not None
    assert 0 <= promise.index < promise.designs == len(found.frontier)
    assert all(p <= 0.1 for p in promise.p_values[: promise.index + 1])
    assert promise.loss < promise.bound <= LIMIT
    assert promise.average.n == 300
    assert not found.optimal
    assert found.plan.images == 600
    assert found.plan.expected.macs < found.plan.full.macs
    macs = [point.macs for point in found.frontier]  # of all images, cheapest first
    assert macs.index(found.plan.expected.macs) == promise.designs - 1 - promise.index


def test_the_loss_that_is_told_is_that_of_the_other_half() -> None:
    from offramp.guarantees import divide

    trace = draw(np.random.default_rng(4), 600)
    plan = search_certified(trace, COSTS, GOAL, TERMS).plan
    _, second = divide(600)
    assert plan.certificate is not None
    told = plan.certificate.loss
    assert told == pytest.approx(mean_loss(plan, trace.subset(second.tolist())), abs=1e-12)


def test_the_images_of_the_test_have_no_part_in_the_search() -> None:
    """Spoil the second half: the same plans are tested, in the same order."""
    from offramp.guarantees import divide

    trace = draw(np.random.default_rng(4), 600)
    _, second = divide(600)
    spoilt = trace.intersections.copy()
    spoilt[:-1, second] = spoilt[:-1, second] * 99 // 100
    scores = trace.scores.copy()
    scores[:, second] = scores[:, second[::-1]]
    other = dataclasses.replace(trace, intersections=spoilt, scores=scores)
    for policy, exits in (("threshold", ()), ("table:entropy", CHAIN)):
        one = search_certified(trace, COSTS, GOAL, TERMS, policy, exits)
        two = search_certified(other, COSTS, GOAL, TERMS, policy, exits)
        assert one.plan.certificate is not None
        assert two.plan.certificate is not None
        assert [p.exits for p in one.frontier] == [p.exits for p in two.frontier]
        assert one.plan.certificate.designs == two.plan.certificate.designs


def test_a_policy_is_certified_too() -> None:
    trace = draw(np.random.default_rng(4), 600)
    plan = search_certified(trace, COSTS, GOAL, TERMS, "rl:entropy", CHAIN).plan
    assert plan.policy == "rl:entropy"
    assert plan.certificate is not None
    assert all(planned.rule is not None for planned in plan.exits[:-1])


def test_one_exit_for_all_images_is_certified_too() -> None:
    trace = draw(np.random.default_rng(4), 600)
    goal = Goal(setting="budgeted", max_miou_loss=0.2)
    plan = search_certified(trace, COSTS, goal, Terms(0.2)).plan
    assert len(plan.exits) == 1
    assert plan.certificate is not None
    assert plan.exits[0].rule is None


def test_too_few_images_tell_how_many_would_do() -> None:
    few = draw(np.random.default_rng(5), 60)
    with pytest.raises(Infeasible) as refused:
        search_certified(few, COSTS, GOAL, TERMS)
    message = str(refused.value)
    assert "mean loss of per-image mIoU against the full network at most 0.05" in message
    assert "on the 30 images held out for the test, which proves that it is at most 0." in message
    needed = int(message.split("about ")[1].split()[0])
    assert f"{2 * needed} recorded" in message
    many = draw(np.random.default_rng(5), 4 * needed)
    assert search_certified(many, COSTS, GOAL, TERMS).plan.certificate is not None


def with_groups(images: int, count: int) -> Trace:
    trace = draw(np.random.default_rng(4), images)
    groups = tuple(f"camera {n % count}" for n in range(images))
    return dataclasses.replace(trace, groups=groups)


def test_groups_count_once_where_they_are_named() -> None:
    with pytest.raises(Infeasible, match="on the 4 groups held out"):
        search_certified(with_groups(600, 8), COSTS, GOAL, TERMS)
    plan = search_certified(with_groups(2400, 600), COSTS, GOAL, TERMS).plan
    assert plan.certificate is not None
    assert (plan.certificate.units, plan.certificate.n) == ("clips", 300)
    assert plan.certificate.searched == 1200


def test_images_count_within_fixed_groups_if_asked() -> None:
    terms = dataclasses.replace(TERMS, by_group=False)
    plan = search_certified(with_groups(600, 8), COSTS, GOAL, terms).plan
    assert plan.certificate is not None
    assert (plan.certificate.units, plan.certificate.n) == ("images", 300)


def with_disagreement(images: int, rng: np.random.Generator) -> Trace:
    trace = draw(rng, images)
    return dataclasses.replace(
        trace, disagreement=1 - trace.intersections[:, :, 0] / trace.intersections[-1:, :, 0].max()
    )


def test_agreement_stands_in_for_miou() -> None:
    trace = with_disagreement(50, np.random.default_rng(6))
    said = agreeing(trace)
    assert trace.disagreement is not None
    taken = np.random.default_rng(7).integers(0, 4, 50)
    wanted = 1 - trace.disagreement[taken, np.arange(50)]
    np.testing.assert_allclose(said.miou_per_image(taken), wanted, atol=1e-9)
    assert said.miou(taken) == pytest.approx(wanted.mean(), abs=1e-9)


@pytest.mark.parametrize("policy", ["threshold", "table:entropy"])
def test_disagreement_is_promised_without_labels(policy: str) -> None:
    """Labels of the test half may be missing altogether."""
    rng = np.random.default_rng(8)
    trace = draw(rng, 600)
    share = np.clip(rng.beta(1, 30, (4, 600)) * np.array([3, 2, 1.5, 0])[:, None], 0, 1)
    trace = dataclasses.replace(trace, disagreement=share)
    blank = np.zeros_like(trace.unions)
    blank[:, :3] = trace.unions[:, :3]
    unlabelled = dataclasses.replace(trace, intersections=np.minimum(trace.intersections, blank),
                                     unions=blank)  # fmt: skip
    terms = Terms(0.08, 0.9, "disagreement")
    goal = Goal(max_miou_loss=0.08)
    plans = [
        search_certified(t, COSTS, goal, terms, policy, CHAIN).plan for t in (trace, unlabelled)
    ]
    promises = [plan.certificate for plan in plans]
    assert promises[0] == promises[1]
    assert [e.rule for e in plans[0].exits] == [e.rule for e in plans[1].exits]
    assert promises[0] is not None
    assert promises[0].quantity == "disagreement"


@pytest.mark.parametrize(
    ("limit", "confidence"), [(0.0, 0.95), (1.0, 0.95), (0.01, 0.0), (0.01, 1.0), (0.01, -1)]
)
def test_terms_out_of_range_are_refused(limit: float, confidence: float) -> None:
    with pytest.raises(BadInput, match="of a promise; expected above 0, below 1"):
        Terms(limit, confidence)


def test_what_cannot_be_promised_is_refused() -> None:
    trace = draw(np.random.default_rng(4), 60)
    with pytest.raises(BadInput, match="anytime"):
        search_certified(trace, COSTS, Goal(setting="anytime", max_miou_loss=LIMIT), TERMS)
    with pytest.raises(BadInput, match="least mIoU cannot be promised"):
        search_certified(trace, COSTS, Goal(min_miou=0.5), TERMS)
    with pytest.raises(BadInput, match="does not tell how answers differ"):
        search_certified(trace, COSTS, GOAL, Terms(LIMIT, 0.9, "disagreement"))
    with pytest.raises(BadInput, match="cannot be divided one by one"):
        search_certified(trace, COSTS, GOAL, TERMS, "threshold:frame-agreement", CHAIN)
    with pytest.raises(Infeasible, match="bounds on cost"):
        search_certified(trace, COSTS, Goal(max_miou_loss=LIMIT, max_macs=50.0), TERMS)


def test_bounds_on_cost_are_kept_by_what_is_certified() -> None:
    trace = draw(np.random.default_rng(4), 600)
    goal = Goal(max_miou_loss=0.3, max_macs=400.0)
    found = search_certified(trace, COSTS, goal, Terms(0.3))
    assert found.plan.expected.macs < 420  # bounded on the half that was searched


def test_a_certificate_survives_the_plan_s_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = search_certified(draw(np.random.default_rng(4), 600), COSTS, GOAL, TERMS)
    found.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == found.plan
