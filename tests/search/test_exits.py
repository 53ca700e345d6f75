"""Which exits strategies share."""

import numpy as np
import pytest

from offramp.core.errors import BadInput, UnknownName
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import AtLeast
from offramp.metrics.trace import Trace
from offramp.search.exits import named_exits, planned_exits, usual_exits
from tests.tiny import SIZE, make_costs, make_trace

EXITS = [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("d", "x"), ("end", "own")]
COSTS = make_costs(
    [240, 10, 240, 250, 260],
    {"a": {"x": 10, "y": 500}, "b": {"x": 5}, "c": {"x": 5}, "d": {"x": 5}, "end": {"own": 0}},
)
NOTHING = Expectation(miou=0, miou_per_image=0, macs=1, latency_ms=0)


def traced(right: list[int]) -> Trace:
    inter = np.array(right)[:, None, None] * np.ones((1, 3, 1))
    return make_trace(np.zeros((6, 3, 1)), inter, np.full((6, 3, 1), 100), EXITS)


TRACE = traced([30, 60, 40, 50, 60, 90])


def plan(*pairs: tuple[str, str]) -> Plan:
    rules = [AtLeast(threshold=0.5)] * (len(pairs) - 1) + [None]
    exits = [PlannedExit(point=p, head=h, rule=r) for (p, h), r in zip(pairs, rules, strict=True)]
    return Plan(
        setting="input-dependent", scores=("mean-top1",), exits=tuple(exits), expected=NOTHING,
        full=NOTHING, size=SIZE, images=3,
    )  # fmt: skip


def test_exits_are_named_in_any_order() -> None:
    assert named_exits(TRACE, [" c/x", "a/y"]) == (1, 3, 5)
    assert named_exits(TRACE, ["end/own", "b/x"]) == (2, 5)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"], "expected point/head; got 'a'"),
        (["a/x", "a/y"], "two exits at one position"),
        (["a/x", "b/x", "c/x", "d/x"], "expected 1 to 3; got 4"),
        (["end/own"], "expected 1 to 3; got 0"),
    ],
)
def test_exits_that_cannot_be_compared_on_are_refused(names: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        named_exits(TRACE, names)


def test_an_exit_that_was_not_recorded_is_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'a/x'"):
        named_exits(TRACE, ["a/xx"])


def test_a_plan_gives_its_exits_and_the_end() -> None:
    assert planned_exits(TRACE, plan(("a", "y"), ("end", "own"))) == (1, 5)
    assert planned_exits(TRACE, plan(("a", "y"), ("c", "x"))) == (1, 3, 5)
    four = plan(("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"))
    assert planned_exits(TRACE, four) == (0, 2, 3, 5)


def test_by_default_the_positions_are_those_nearest_to_equal_shares_of_the_work() -> None:
    """Paths reach 24, 25, 49 and 74 % of the work."""
    assert usual_exits(TRACE, COSTS) == (2, 3, 4, 5)
    heads = {p: {h: c.macs for h, c in table.items()} for p, table in COSTS.heads.items()}
    others = make_costs([240, 260, 250, 10, 240], heads)  # 24, 50, 75, 76 %
    assert usual_exits(TRACE, others) == (0, 2, 3, 5)


def test_by_default_a_head_is_worth_its_miou_less_its_share_of_the_work() -> None:
    """At a: x is worth 0.30 − 0.01, y 0.60 less 500, or 200, of 1000."""
    heads = {"a": {"x": 10, "y": 500}, "end": {"own": 0}}
    trace = make_trace(
        np.zeros((3, 1, 1)), np.array([[[30]], [[60]], [[90]]]), np.full((3, 1, 1), 100),
        [("a", "x"), ("a", "y"), ("end", "own")],
    )  # fmt: skip
    assert usual_exits(trace, make_costs([500, 500], heads)) == (0, 2)
    heads["a"]["y"] = 200
    assert usual_exits(trace, make_costs([500, 500], heads)) == (1, 2)
