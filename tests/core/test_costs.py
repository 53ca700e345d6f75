"""The cost formulas of MESS table 1, on numbers worked out by hand."""

import pytest

from offramp.core.costs import Cost, Costs
from offramp.core.errors import BadInput
from tests.tiny import make_costs


@pytest.fixture
def costs() -> Costs:
    """Segments of 100, 200 and 400; heads of 1 and 2, 10, and 0; decoding takes 7 ms."""
    heads = {"a": {"x": 1, "y": 2}, "b": {"x": 10}, "end": {"own": 0}}
    return make_costs([100, 200, 400], heads, decode=7)


def test_budgeted_counts_one_head(costs: Costs) -> None:
    assert costs.of([("b", "x")]).macs == 100 + 200 + 10


def test_anytime_counts_the_whole_backbone_and_every_head(costs: Costs) -> None:
    assert costs.of([("a", "y"), ("b", "x"), ("end", "own")]).macs == 700 + 2 + 10


def test_heads_that_are_not_read_count_nothing(costs: Costs) -> None:
    assert costs.of([("a", "x"), ("end", "own")]).macs == 700 + 1


def test_a_head_that_was_read_in_vain_counts(costs: Costs) -> None:
    stopped_at_b = costs.of([("a", "x"), ("b", "x")]).macs
    assert stopped_at_b == costs.of([("b", "x")]).macs + 1


def test_segments_behind_the_exit_count_nothing(costs: Costs) -> None:
    assert costs.of([("a", "x")]).macs == 101
    assert costs.segment_path("b").macs == 300


def test_decoding_counts_once_and_in_time_alone(costs: Costs) -> None:
    cost = costs.of([("a", "x"), ("b", "x")])
    assert cost.latency_ms == 300 + 11 + 7
    assert cost.macs == cost.parameters == 311


def test_costs_add_by_kind() -> None:
    total = Cost(macs=1, parameters=2, latency_ms=0.5) + Cost(macs=10, parameters=20, latency_ms=1)
    assert total == Cost(macs=11, parameters=22, latency_ms=1.5)


def test_nothing_visited_is_refused(costs: Costs) -> None:
    with pytest.raises(BadInput, match="at least one exit"):
        costs.of([])


@pytest.mark.parametrize("pair", [("c", "x"), ("b", "y"), ("end", "x")])
def test_a_pair_without_a_cost_is_refused_with_those_that_have(
    costs: Costs, pair: tuple[str, str]
) -> None:
    with pytest.raises(BadInput, match=r"a/x.*b/x"):
        costs.of([pair])
