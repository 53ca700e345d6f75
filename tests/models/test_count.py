"""Counting: the pieces add up to the whole."""

import torch
from torch import nn

from offramp.core.head import LIGHT, HeadSpec
from offramp.core.model import ModelSpec
from offramp.models import zoo
from offramp.models.count import count, count_macs, count_parameters
from offramp.models.network import build_network

SPEC = ModelSpec(name="fastscnn", names=("a", "b"), size=(64, 96), knobs={"width": 0.25})
POINTS = zoo.entry("fastscnn").blocks


def test_a_convolution_counts_what_it_multiplies() -> None:
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    image = torch.zeros(1, 3, 16, 24)
    assert count_macs(lambda: conv(image)) == 3 * 8 * 9 * 8 * 12
    assert count_parameters(conv) == 3 * 8 * 9 + 8


def test_segments_add_up_to_the_whole_network() -> None:
    module = zoo.build_spec(SPEC).eval()
    image = torch.zeros(1, 3, 64, 96)
    costs = count(build_network(SPEC, dict.fromkeys(POINTS, LIGHT)))
    whole = costs.of([("end", "own")])
    assert whole.macs == count_macs(lambda: module(image))
    assert whole.parameters == count_parameters(module)


def test_segments_and_heads_add_up_to_everything_there_is() -> None:
    network = build_network(SPEC, dict.fromkeys(("stem", "bottleneck2"), LIGHT))
    costs = count(network)
    pieces = [*costs.segments, *(cost for table in costs.heads.values() for cost in table.values())]
    assert sum(piece.parameters for piece in pieces) == count_parameters(network)

    def everything() -> None:
        state = network.begin(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
        for index, point in enumerate(network.points):
            state = network.advance(index, state)
            for name in network.head_names(point):
                network.read(index, state, name)

    assert sum(piece.macs for piece in pieces) == count_macs(everything)


def test_the_own_head_costs_nothing_more() -> None:
    costs = count(build_network(SPEC, {}))
    assert costs.heads["end"]["own"].macs == costs.heads["end"]["own"].parameters == 0


def test_a_plain_head_costs_what_its_two_convolutions_do() -> None:
    costs = count(build_network(SPEC, {"stem": [HeadSpec()]}))
    head = costs.heads["stem"]["r1-b0-fcn"]
    assert head.macs == (16 * 4 * 9 + 4 * 2) * 8 * 12
    assert head.parameters == 16 * 4 * 9 + 2 * 4 + 4 * 2 + 2


def test_counting_twice_counts_the_same_and_changes_no_statistics() -> None:
    network = build_network(SPEC, {"stem": LIGHT})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert count(network) == count(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
