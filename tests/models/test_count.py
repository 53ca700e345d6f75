"""Counting: the pieces add up to the whole, and placement is MESS §4.1's."""

import pytest
import torch
from torch import nn

from offramp.core.head import LIGHT, HeadSpec
from offramp.core.model import ModelSpec
from offramp.models import zoo
from offramp.models.count import Block, count, count_macs, count_parameters, place, profile_blocks
from offramp.models.network import build_network

SPEC = ModelSpec(name="fastscnn", names=("a", "b"), size=(64, 96), knobs={"width": 0.25})
POINTS = zoo.entry("fastscnn").points


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


def test_a_profile_adds_up_block_by_block() -> None:
    module = zoo.build_spec(SPEC)
    blocks = profile_blocks(module, zoo.entry("fastscnn"), (64, 96))
    image = torch.zeros(1, 3, 64, 96)
    assert [block.name for block in blocks] == [*POINTS, "end"]
    assert sum(block.macs for block in blocks) == count_macs(lambda: module.eval()(image))
    assert sum(block.parameters for block in blocks) == count_parameters(module)
    running = 0
    for block in blocks:
        running += block.macs
        assert block.path_macs == running


def test_a_profile_leaves_out_a_pyramid_that_is_not_there() -> None:
    module = zoo.build("fastscnn", 2, width=0.25, pyramid=False)
    blocks = profile_blocks(module, zoo.entry("fastscnn"), (64, 96))
    assert "pyramid" not in [block.name for block in blocks]
    assert not module._modules["stem"]._forward_hooks


def blocks_of(*macs: int) -> list[Block]:
    running = [sum(macs[: i + 1]) for i in range(len(macs))]
    return [
        Block(name, value, 0, path, 1, 1)
        for name, value, path in zip("abcdefgh", macs, running, strict=False)
    ]


@pytest.mark.parametrize(
    ("macs", "exits", "names"),
    [
        ((10, 10, 10, 10), 4, "abcd"),
        ((10, 10, 10, 10), 2, "bd"),
        ((10, 10, 10, 10), 3, "bcd"),  # 13.3 and 26.7 are reached in b and c
        ((70, 10, 10, 10), 4, "abd"),  # a reaches half: exits 1 and 2 fall together
        ((1, 1, 1, 97), 3, "d"),
        ((10, 10), 1, "b"),
    ],
)
def test_exits_go_where_the_work_reaches_equal_shares(
    macs: tuple[int, ...], exits: int, names: str
) -> None:
    assert "".join(block.name for block in place(blocks_of(*macs), exits)) == names
