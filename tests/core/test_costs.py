"""The cost formulas of MESS table 1, on numbers worked out by hand."""

from fractions import Fraction

import numpy as np
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


def test_costs_add_by_kind_and_memory_takes_the_larger_peak() -> None:
    one = Cost(macs=1, parameters=2, latency_ms=0.5, bytes=7, memory=90)
    other = Cost(macs=10, parameters=20, latency_ms=1, bytes=70, memory=40)
    total = Cost(macs=11, parameters=22, latency_ms=1.5, bytes=77, memory=90)
    assert one + other == other + one == total


def test_nothing_visited_is_refused(costs: Costs) -> None:
    with pytest.raises(BadInput, match="at least one exit"):
        costs.of([])


@pytest.mark.parametrize("pair", [("c", "x"), ("b", "y"), ("end", "x")])
def test_a_pair_without_a_cost_is_refused_with_those_that_have(
    costs: Costs, pair: tuple[str, str]
) -> None:
    with pytest.raises(BadInput, match=r"a/x.*b/x"):
        costs.of([pair])


# Odd numbers: no sum of some is the sum of others.
SEGMENTS = (
    Cost(macs=104_729, parameters=7_919, latency_ms=1.25, bytes=40_009, memory=6_007),
    Cost(macs=224_737, parameters=17_389, latency_ms=2.0625, bytes=80_021, memory=9_001),
    Cost(macs=350_377, parameters=27_449, latency_ms=3.5, bytes=120_011, memory=3_001),
)
X = Cost(macs=1_299_709, parameters=541, latency_ms=0.375, bytes=2_003, memory=9_973)
Y = Cost(macs=1_301, parameters=1_223, latency_ms=0.75, bytes=5_003, memory=5_009)
OWN = Cost(macs=11, parameters=13, latency_ms=0.125, bytes=101, memory=17)
DECODE = Cost(latency_ms=0.5, bytes=356, memory=8_999)


@pytest.fixture
def odd() -> Costs:
    heads = {"a": {"x": X, "y": Y}, "b": {"y": Y}, "end": {"own": OWN}}
    return Costs(points=tuple(heads), segments=SEGMENTS, heads=heads, decode=DECODE, size=(9, 9))


def test_input_dependent_is_the_sum_of_table_1_to_the_last_digit(odd: Costs) -> None:
    stops = np.array([37, 19, 8])  # images that stop at each exit
    path = [("a", "x"), ("b", "y"), ("end", "own")]
    read = (X, Y, OWN)
    going_past = [Fraction(int(stops[n:].sum()), int(stops.sum())) for n in range(3)]  # p of n-1
    for kind in ("macs", "parameters", "latency_ms"):
        table_1 = sum(
            p * (Fraction(getattr(b, kind)) + Fraction(getattr(head, kind)))
            for p, b, head in zip(going_past, SEGMENTS, read, strict=True)
        ) + Fraction(getattr(DECODE, kind))
        per_image = [Fraction(getattr(odd.of(path[: n + 1]), kind)) for n in range(3)]
        mean = sum(int(count) * cost for count, cost in zip(stops, per_image, strict=True))
        assert mean / int(stops.sum()) == table_1, kind


def test_budgeted_and_anytime_to_the_last_digit(odd: Costs) -> None:
    assert odd.of([("b", "y")]) == Cost(
        macs=330_767, parameters=26_531, latency_ms=4.5625, bytes=125_389, memory=9_001
    )
    assert odd.of([("a", "x"), ("b", "y"), ("end", "own")]) == Cost(
        macs=1_980_864, parameters=54_534, latency_ms=8.5625, bytes=247_504, memory=9_973
    )


def test_peak_memory_is_weights_and_the_largest_peak_of_what_runs(odd: Costs) -> None:
    assert odd.memory_of([("a", "y")]) == 4 * (7_919 + 1_223) + 8_999  # the decoder's
    assert odd.memory_of([("b", "y")]) == 4 * 26_531 + 9_001  # the second segment's
    assert odd.memory_of([("a", "x"), ("b", "y")]) == 4 * 27_072 + 9_973  # a head's


def test_a_bundle_weighs_the_whole_path_and_the_own_head_once(odd: Costs) -> None:
    network = 40_009 + 80_021 + 120_011 + 101 + 356
    assert odd.bundle_bytes([]) == network
    assert odd.bundle_bytes([("a", "x")]) == network + 2_003
    assert odd.bundle_bytes([("a", "x"), ("b", "y"), ("end", "own")]) == network + 2_003 + 5_003
    with pytest.raises(BadInput, match="no cost is known"):
        odd.bundle_bytes([("b", "x")])


def test_files_of_old_are_read_and_do_not_pass_for_free() -> None:
    content = {
        "points": ["end"],
        "segments": [{"macs": 5, "parameters": 3, "latency_ms": 1.0}],
        "heads": {"end": {"own": {}}},
        "size": [9, 9],
    }
    costs = Costs.parse(content, "costs.json")
    assert costs.segments[0] == Cost(macs=5, parameters=3, latency_ms=1.0, bytes=0, memory=0)
    assert not costs.knows("bytes")
    assert not costs.knows("memory")
    with pytest.raises(BadInput, match="does not know memory"):
        costs.memory_of([("end", "own")])
    with pytest.raises(BadInput, match="does not know bytes"):
        costs.bundle_bytes([])


@pytest.mark.parametrize("kind", ["macs", "parameters", "latency_ms", "bytes", "memory"])
def test_negative_costs_are_refused(kind: str) -> None:
    with pytest.raises(BadInput, match=kind):
        Cost.parse({kind: -1}, "costs.json")
