"""Policies on tables written by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import AtLeast, AtMost, Levels, Range, Rule, Table
from offramp.metrics.seen import Seen
from offramp.policies.policy import RulePolicy, replay

NOTHING = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)

HALF = AtLeast(threshold=0.5)


def followed(rules: Sequence[Rule | None], scores: np.ndarray) -> list[int]:
    """Replay rules on one score an exit, E×N."""
    return replay(RulePolicy(rules), Seen.of(scores)).tolist()


def test_an_image_takes_the_first_exit_that_is_sure() -> None:
    scores = np.array([[0.9, 0.1, 0.1, 0.9], [0.1, 0.8, 0.1, 0.9], [0.0, 0.0, 0.0, 0.0]])
    assert followed((HALF, HALF, None), scores) == [0, 1, 2, 0]


def test_a_score_at_the_threshold_stops() -> None:
    assert HALF.stops([0.5])
    assert AtMost(threshold=0.5).stops([0.5])
    assert not HALF.stops([np.nextafter(0.5, 0)])
    assert not AtMost(threshold=0.5).stops([np.nextafter(0.5, 1)])


def test_a_range_holds_its_ends_and_nothing_beyond() -> None:
    rule = Range(low=0.25, high=0.5)
    assert [rule.stops([x]) for x in (0.2, 0.25, 0.4, 0.5, 0.6)] == [False, True, True, True, False]
    assert not Range(low=1, high=0).stops([0.5])


def test_levels_want_every_score_up_to_its_own() -> None:
    rule = Levels(thresholds=(0.5, 0.9))
    assert rule.stops([0.5, 0.9])
    assert not rule.stops([1.0, 0.8])
    assert not rule.stops([0.4, 1.0])


RULES = [
    HALF,
    AtMost(threshold=0.5),
    Range(low=-9, high=9),
    Levels(thresholds=(0.0,)),
    Table(edges=((0.5,),), stop=(True, True)),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_a_score_that_is_no_number_goes_on(rule: Rule) -> None:
    assert not rule.stops([float("nan")])
    assert followed((rule, None), np.array([[np.nan], [0.0]])) == [1]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_a_rule_survives_a_plan_s_file(tmp_path: Path, rule: Rule) -> None:
    plan = make_plan("input-dependent", [rule, None])
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json").exits[0].rule == rule


def make_plan(setting: str, rules: list[Rule | None]) -> Plan:
    exits = tuple(PlannedExit(point=f"p{i}", head="own", rule=rule) for i, rule in enumerate(rules))
    return Plan(
        setting=setting,  # type: ignore[arg-type]
        scores=("mean-top1",),
        exits=exits,
        expected=NOTHING,
        full=NOTHING,
        size=(64, 96),
        images=1,
    )


def test_the_last_exit_takes_all_that_come_whatever_its_score() -> None:
    assert followed((HALF, None), np.array([[0.0, 0.0], [np.nan, -1.0]])) == [1, 1]


@pytest.mark.parametrize(("setting", "exits"), [("budgeted", 1), ("anytime", 3)])
def test_plans_without_rules_run_to_their_last_exit(setting: str, exits: int) -> None:
    policy = RulePolicy.of(make_plan(setting, [None] * exits))
    assert replay(policy, Seen.of(np.ones((exits, 2)))).tolist() == [exits - 1] * 2


def test_an_exit_without_a_rule_stops_nothing() -> None:
    policy = RulePolicy.of(make_plan("input-dependent", [None, HALF, None]))
    assert replay(policy, Seen.of(np.ones((3, 2)))).tolist() == [1, 1]


def test_agreement_is_with_the_answer_that_was_given_to_the_frame_before() -> None:
    frames = np.zeros((2, 2, 4), dtype=np.float32)
    frames[0, 1] = (0, 0.9, 0.2, 0.2)  # of exit 0, if exit 1 answered before
    frames[0, 0] = (0, 0.1, 0.9, 0.1)  # if exit 0 did
    seen = Seen(np.zeros((2, 4, 1)), column=0, frames=frames)
    assert replay(RulePolicy((HALF, None)), seen).tolist() == [1, 0, 0, 1]


def test_no_images_take_no_exits() -> None:
    assert followed((HALF, None), np.zeros((2, 0))) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 0.5))
def test_a_higher_threshold_stops_no_more_images(
    scores: list[float], threshold: float, more: float
) -> None:
    table = np.array([scores, scores])
    low = followed((AtLeast(threshold=threshold), None), table)
    high = followed((AtLeast(threshold=threshold + more), None), table)
    assert all(h >= lo for h, lo in zip(high, low, strict=True))


@given(st.integers(0, 2**32 - 1))
def test_all_images_at_once_are_answered_as_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=(6, 30, 2)), 1)  # rounded: some lie on thresholds and edges
    scores[rng.random(scores.shape) < 0.05] = np.nan
    one, two = scores[:, :, :1], scores
    pairs: list[tuple[Rule, np.ndarray]] = [
        (AtLeast(threshold=0.3), one),
        (AtMost(threshold=-0.2), one),
        (Range(low=-0.5, high=0.5), one),
        (Levels(thresholds=(0.0, -1.0)), two),
        (Table(edges=((-0.5, 0.1), (0.0,)), stop=tuple(rng.random(6) < 0.5)), two),
    ]
    for rule, told in pairs:
        stops = [[rule.stops(row) for row in exit.tolist()] for exit in told]
        rules = [rule] * 5 + [None]
        expected = [next((e for e in range(5) if stops[e][n]), 5) for n in range(30)]
        assert replay(RulePolicy(rules), Seen(told)).tolist() == expected
