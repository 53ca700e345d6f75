"""A head's cost by arithmetic is its cost by building and running it."""

import pytest
import torch

from offramp.core.head import FULL, HeadSpec
from offramp.core.headcost import head_cost
from offramp.models.count import count_macs, count_parameters
from offramp.models.heads import build_head

FC = HeadSpec(kind="fc")
FEATURES = [(1, 5, 7), (3, 4, 4), (5, 1, 1), (18, 7, 13), (64, 12, 9), (256, 8, 8)]


@pytest.mark.parametrize("spec", [*FULL, FC], ids=lambda spec: spec.name)
def test_arithmetic_equals_counting(spec: HeadSpec) -> None:
    for classes, feature in enumerate(FEATURES, start=1):
        with torch.device("meta"):
            head = build_head(spec, feature, classes).eval()
            x = torch.zeros(1, *feature)
            macs = count_macs(lambda head=head, x=x: head(x))
        cost = head_cost(spec, feature, classes)
        assert (cost.macs, cost.parameters) == (macs, count_parameters(head)), feature
        assert cost.latency_ms == 0


def test_a_cost_worked_out_by_hand() -> None:
    cost = head_cost(HeadSpec(2, 1), (16, 3, 5), 2)
    weights = 16 * 8 + 8 * 8 * 9 + 8 * 2 * 9 + 2 * 2
    assert cost.macs == 15 * weights
    assert cost.parameters == weights + 2 * (8 + 8 + 2) + 2
    assert head_cost(FC, (6, 12, 12), 10).macs == 8640
