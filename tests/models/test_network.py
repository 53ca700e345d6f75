"""The multi-exit network: same answer at the end, the exits it claims, gradients everywhere."""

import pytest
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import FULL, LIGHT, HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.score import RECORDED
from offramp.models import zoo
from offramp.models.count import profile_blocks
from offramp.models.heads import build_head
from offramp.models.network import END, MEAN, STD, MultiExitNetwork, attach, build_network

SIZE = (64, 96)
SPEC = ModelSpec(
    name="fastscnn",
    names=("a", "b", "c"),
    size=SIZE,
    knobs={"width": 0.25, "expansion": 2, "repetition": 1},
)
PLAIN = [HeadSpec()]


def frames(images: int = 1, size: tuple[int, int] = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, *size, 3), dtype=torch.uint8, generator=generator)


def walk(network: MultiExitNetwork, images: Tensor) -> dict[tuple[str, str], Tensor]:
    """Read every head; logits by position and name."""
    state, read = network.begin(images), {}
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        for name in network.head_names(point):
            read[point, name] = network.read(index, state, name).logits
    return read


@torch.no_grad()
def test_the_end_answers_as_the_original_bit_for_bit() -> None:
    module = zoo.build_spec(SPEC).eval()
    network = attach(module, SPEC, dict.fromkeys(("stem", "bottleneck2"), PLAIN)).eval()
    images = frames(2)
    x = (images.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(
        STD
    ).view(3, 1, 1)
    begun = network.begin(images).feature
    torch.testing.assert_close(begun, x)
    assert torch.equal(walk(network, images)[END, "own"], module(begun))


@torch.no_grad()
def test_features_have_the_channels_and_strides_that_the_profile_claims() -> None:
    found = zoo.entry("fastscnn")
    network = build_network(SPEC, dict.fromkeys(found.points, PLAIN)).eval()
    blocks = profile_blocks(zoo.build_spec(SPEC), found, SIZE)
    state = network.begin(frames())
    assert tuple(block.name for block in blocks) == network.points
    for index, block in enumerate(blocks):
        state = network.advance(index, state)
        height, width = (int(side / block.stride) for side in SIZE)
        assert state.feature.shape == (1, block.channels, height, width)
    assert [block.stride for block in blocks] == [8, 16, 32, 32, 32, 8, 8]


@torch.no_grad()
def test_heads_answer_at_their_feature_s_size_with_a_channel_a_class() -> None:
    network = build_network(SPEC, {"stem": LIGHT, "bottleneck2": LIGHT}).eval()
    for (point, _), logits in walk(network, frames()).items():
        side = {"stem": (8, 12), "bottleneck2": (2, 3), END: (8, 12)}[point]
        assert logits.shape == (1, 3, *side)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("spec", FULL, ids=lambda spec: spec.name)
def test_every_head_of_the_space_keeps_the_size_and_gets_gradients(spec: HeadSpec) -> None:
    head = build_head(spec, (16, 4, 6), 3)
    logits = head(torch.randn(2, 16, 4, 6))
    assert logits.shape == (2, 3, 4, 6)
    logits.square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize(("rapid", "dilations"), [(False, [1, 1, 1]), (True, [2, 4, 8])])
def test_rapid_doubles_the_dilation_at_each_block(rapid: bool, dilations: list[int]) -> None:
    head = build_head(HeadSpec(2, 3, rapid), (32, 4, 6), 3)
    convs = [m for m in head.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.dilation[0] for conv in convs[1:4]] == dilations


def test_reduction_divides_the_channels() -> None:
    for reduction in (1, 2, 4, 8):
        first = next(m for m in build_head(HeadSpec(reduction), (64, 4, 6), 3).modules()
                     if isinstance(m, nn.Conv2d))  # fmt: skip
        assert first.out_channels == (64 // 4 if reduction == 1 else 64 // reduction)


def test_the_fully_connected_head_answers_with_one_cell() -> None:
    head = build_head(HeadSpec(kind="fc"), (16, 4, 6), 3)
    x = torch.randn(2, 16, 4, 6)
    logits = head(x)
    assert logits.shape == (2, 3, 1, 1)
    (linear,) = (m for m in head.modules() if isinstance(m, nn.Linear))
    torch.testing.assert_close(logits.flatten(1), linear(x.flatten(1)))
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_the_fully_connected_head_fits_the_feature_at_its_position() -> None:
    heads = [HeadSpec(kind="fc")]
    network = build_network(SPEC, dict.fromkeys(("stem", "bottleneck1"), heads))
    read = walk(network.eval(), frames())
    assert [read[point, "fc"].shape for point in ("stem", "bottleneck1")] == [(1, 3, 1, 1)] * 2


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize("reduction", [1, 8])
def test_a_narrow_feature_still_gets_a_head(channels: int, reduction: int) -> None:
    head = build_head(HeadSpec(reduction, 1), (channels, 4, 6), 3)
    assert head(torch.randn(2, channels, 4, 6)).shape == (2, 3, 4, 6)


def test_every_parameter_gets_a_gradient_from_all_heads_together() -> None:
    network = build_network(SPEC, dict.fromkeys(("stem", "bottleneck1"), LIGHT)).train()
    sum(logits.square().sum() for logits in walk(network, frames(2)).values()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []


def test_an_early_head_sends_no_gradient_behind_its_cut() -> None:
    network = build_network(SPEC, {"stem": PLAIN}).train()
    walk(network, frames(2))["stem", "r1-b0-fcn"].square().sum().backward()
    assert all(p.grad is not None for p in network.segments[0].parameters())
    assert all(p.grad is None for p in network.segments[1].parameters())


@torch.no_grad()
def test_advance_keeps_only_what_later_segments_take() -> None:
    network = build_network(SPEC, dict.fromkeys(("stem", "bottleneck1"), PLAIN)).eval()
    state = network.begin(frames())
    for index in range(3):
        state = network.advance(index, state)
        later = {name for s in list(network.segments)[index + 1 :] for name in s.takes}
        assert set(state.values) == later & set(state.values)
    assert dict(state.values) == {}


@torch.no_grad()
def test_a_state_may_be_advanced_again() -> None:
    network = build_network(SPEC, {"stem": PLAIN}).eval()
    state = network.advance(0, network.begin(frames()))
    once, again = (network.advance(1, state).feature for _ in range(2))
    assert torch.equal(once, again)


@torch.no_grad()
def test_reading_gives_the_scores_that_are_asked_for() -> None:
    network = build_network(SPEC, {"stem": PLAIN}).eval()
    reading = network.read(0, network.advance(0, network.begin(frames(2))), "r1-b0-fcn", RECORDED)
    assert list(reading.scores) == [spec.name for spec in RECORDED]
    assert all(value.shape == (2,) for value in reading.scores.values())


def test_decoding_takes_the_best_class_at_the_size_asked_for() -> None:
    network = build_network(SPEC, {})
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, :, 0], logits[0, 2, :, 1] = 5, 5
    labels = network.decode(logits, (4, 6))
    assert labels.dtype == torch.uint8
    assert labels[0].tolist() == [[1, 1, 1, 2, 2, 2]] * 4


@torch.no_grad()
def test_an_answer_does_not_depend_on_the_batch() -> None:
    network = build_network(SPEC, {"stem": LIGHT}).eval()
    together = walk(network, frames(3))
    alone = walk(network, frames(3)[1:2])
    for key, logits in alone.items():
        torch.testing.assert_close(together[key][1:2], logits, rtol=0, atol=1e-5)


def test_exits_are_put_into_the_order_of_the_path() -> None:
    network = build_network(SPEC, {"bottleneck2": PLAIN, "stem": PLAIN})
    assert network.points == ("stem", "bottleneck2", END)


def test_other_heads_share_segments_and_keep_the_heads_that_stay() -> None:
    plain = build_network(SPEC, {"stem": PLAIN})
    more = plain.with_heads({"stem": LIGHT})
    assert more.segments[0].body is plain.segments[0].body
    assert more.head("stem", "r1-b0-fcn") is plain.head("stem", "r1-b0-fcn")
    assert more.head_names("stem") == tuple(spec.name for spec in LIGHT)
    assert more.head_names(END) == ("own",)


def test_an_unknown_exit_is_offered_its_neighbour() -> None:
    with pytest.raises(UnknownName, match=r"cut point of fastscnn.*did you mean 'bottleneck2'"):
        build_network(SPEC, {"bottelneck2": PLAIN})


def test_unknown_heads_and_points_are_offered_their_neighbours() -> None:
    network = build_network(SPEC, {"stem": PLAIN})
    with pytest.raises(UnknownName, match="did you mean 'stem'"):
        network.head("sten", "r1-b0-fcn")
    with pytest.raises(UnknownName, match="did you mean 'r1-b0-fcn'"):
        network.head("stem", "r1-b0-fc")


class Own(nn.Module):
    """A user's own network, with dotted block names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
        self.last = nn.Conv2d(8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


@torch.no_grad()
def test_a_module_of_the_user_gets_exits_too() -> None:
    spec = ModelSpec(name="own", names=("a", "b"), size=(32, 32))
    module = Own(2).eval()
    network = attach(module, spec, {"body.0": LIGHT}).eval()
    images = frames(1, (32, 32))
    read = walk(network, images)
    assert torch.equal(read[END, "own"], module(network.begin(images).feature))
    assert read["body.0", "r4-b0-fcn"].shape == (1, 2, 16, 16)
    assert (
        network.state_dict().keys() == attach(Own(2), spec, {"body.0": LIGHT}).state_dict().keys()
    )


def test_a_module_with_other_channels_than_classes_is_refused() -> None:
    spec = ModelSpec(name="own", names=("a", "b", "c"), size=(32, 32))
    with pytest.raises(BadInput, match="one channel a class; expected 3 channels; got 2"):
        attach(Own(2), spec, {"body": PLAIN})
