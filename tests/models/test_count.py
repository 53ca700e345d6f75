"""Counting: the pieces add up to the whole."""

import torch
from torch import Tensor, nn

from offramp.core.head import LIGHT, HeadSpec
from offramp.core.model import ModelSpec
from offramp.models import zoo
from offramp.models.count import count, count_macs, count_parameters
from offramp.models.network import MultiExitNetwork, attach, build_network

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


def lenet() -> MultiExitNetwork:
    spec = ModelSpec(name="lenet", names=tuple("0123456789"), size=(28, 28))
    return build_network(spec, {"block1": [HeadSpec(kind="fc")]})


def test_lenet_costs_what_the_thesis_says() -> None:
    costs = count(lenet())
    assert costs.of([("end", "own")]).macs == 281_640
    assert costs.of([("block1", "fc")]).macs == 95_040
    assert costs.of([("block1", "fc"), ("end", "own")]).macs == 281_640 + 8_640


def test_lenet_s_memory_by_hand() -> None:
    costs = count(lenet())
    block1, rest = costs.segments
    assert block1.memory == 4 * 2 * 6 * 24 * 24  # the first convolution's map and its ReLU's
    assert rest.memory == 4 * 2 * 16 * 8 * 8
    # Kept for the next segment: 6×12×12. The logits stay; softmax has two maps as large at once.
    assert costs.heads["block1"]["fc"].memory == 4 * (6 * 12 * 12 + 3 * 10)
    # Enlarged logits, and the best class as int64, in which torch and ONNX count.
    assert costs.decode.memory == 28 * 28 * (10 * 4 + 8)
    larger = count(lenet(), (56, 84))
    assert larger.decode.memory == 56 * 84 * (10 * 4 + 8)


class Kept(nn.Module):
    """A stem, a chain, and an end that reads the stem again: it crosses the cut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.middle = nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.last(x + self.middle(x))


def test_what_crosses_a_cut_is_kept() -> None:
    pixels = 6 * 8
    spec = ModelSpec(name="kept", names=("a", "b"), size=(6, 8))
    network = attach(Kept(), spec, {"stem": [], "middle": []})
    stem, middle, end = count(network).segments
    assert stem.memory == 4 * pixels * (3 + 4)  # the image and the stem, larger than normalising
    assert middle.memory == 4 * pixels * (4 + 8 + 8)  # the stem waits beside the ReLU
    assert end.memory == 4 * pixels * (4 + 4 + 4)  # both summands and the sum


def test_the_frame_counts_until_it_is_normalised() -> None:
    network = attach(
        nn.Sequential(nn.Conv2d(3, 1, 1)), ModelSpec(name="thin", names=("a",), size=(6, 8)), {}
    )
    # Normalising holds two float images at once; the bytes of the frame are gone by then.
    assert count(network).segments[0].memory == 6 * 8 * 2 * 3 * 4
