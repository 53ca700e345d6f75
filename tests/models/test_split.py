"""Cut anywhere sensible, the pieces together are the network; elsewhere they are refused."""

from collections.abc import Sequence
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models import zoo
from offramp.models.split import IMAGE, Piece, cut

POINTS = zoo.entry("fastscnn").points
SAMPLE = torch.zeros(1, 3, 32, 32)


def walk(pieces: Sequence[Piece], image: Tensor) -> list[Tensor]:
    """Run the pieces in order, each on what it takes; returns the first value of each."""
    values, features = {IMAGE: image}, []
    for piece in pieces:
        given = piece.module(*(values[name] for name in piece.takes))
        values.update(zip(piece.gives, given, strict=True))
        features.append(given[0])
    return features


@torch.no_grad()
def assert_same(module: nn.Module, points: list[str], image: Tensor) -> tuple[Piece, ...]:
    """Assert that the pieces answer as the uncut module does, bit for bit."""
    module.eval()
    pieces = cut(module, points, image).pieces
    assert torch.equal(walk(pieces, image)[-1], module(image))
    return pieces


@pytest.mark.parametrize("size", [(64, 96), (72, 104), (33, 47)])
@pytest.mark.parametrize(
    "knobs",
    [{"width": 0.25}, {"width": 0.25, "pyramid": False, "expansion": 2, "repetition": 1}],
)
def test_the_pieces_answer_as_the_network_bit_for_bit(
    size: tuple[int, int], knobs: dict[str, object]
) -> None:
    points = [p for p in POINTS if knobs.get("pyramid", True) or p != "pyramid"]
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    assert_same(zoo.build("fastscnn", 3, **knobs), points, image)


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_any_choice_of_points_will_do(length: int) -> None:
    module = zoo.build("fastscnn", 3, width=0.25, repetition=1, expansion=2)
    image = torch.randn(1, 3, 64, 64)
    for points in combinations(POINTS, length):
        assert len(assert_same(module, list(points), image)) == length + 1


@torch.no_grad()
def test_the_feature_at_a_cut_is_what_the_block_gives() -> None:
    module = zoo.build("fastscnn", 3, width=0.25, repetition=1).eval()
    seen: dict[str, Tensor] = {}
    for name in POINTS:
        hook = lambda _m, _i, output, name=name: seen.__setitem__(name, output)  # noqa: E731
        module.get_submodule(name).register_forward_hook(hook)
    image = torch.randn(1, 3, 64, 96)
    module(image)
    seen_uncut = dict(seen)
    for name, feature in zip(POINTS, walk(cut(module, POINTS, image).pieces, image), strict=False):
        assert torch.equal(feature, seen_uncut[name])


def test_each_parameter_belongs_to_one_piece() -> None:
    module = zoo.build("fastscnn", 3, width=0.25)
    owned = [p for piece in cut(module, POINTS, SAMPLE).pieces for p in piece.module.parameters()]
    assert len(owned) == len({id(p) for p in owned})
    assert {id(p) for p in owned} == {id(p) for p in module.parameters()}


def test_cutting_leaves_the_mode_and_the_statistics_alone() -> None:
    module = zoo.build("fastscnn", 3, width=0.25).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    cut(module, ["stem"], torch.randn(2, 3, 64, 64))
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


class Two(nn.Module):
    """The high-resolution map passes over the cut beside the feature."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, 2, 1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        high = self.first(x)
        deep = nn.functional.interpolate(self.third(self.second(high)), scale_factor=2.0)
        return self.last(high + deep)


def test_two_tensors_may_cross_a_cut() -> None:
    pieces = assert_same(Two(), ["second"], torch.randn(1, 3, 16, 16))
    assert len(pieces[0].gives) == len(pieces[1].takes) == 2


def test_a_value_may_pass_over_a_whole_piece() -> None:
    pieces = assert_same(Two(), ["first", "second", "third"], torch.randn(1, 3, 16, 16))
    assert pieces[0].gives[0] in pieces[3].takes
    assert pieces[0].gives[0] not in pieces[2].takes


class Shaped(nn.Module):
    """The size that the end enlarges to is asked of an early tensor, or of the image."""

    def __init__(self, of_image: bool) -> None:
        super().__init__()
        self.of_image = of_image
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.second = nn.Conv2d(4, 4, 3, 2, 1)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        early = self.first(x)
        size = (x if self.of_image else early).shape[-2:]
        deep = self.second(early)
        return nn.functional.interpolate(self.last(deep), size=size, mode="bilinear")


@pytest.mark.parametrize("of_image", [True, False])
@pytest.mark.parametrize("points", [["first"], ["second"], ["first", "second"]])
def test_a_shape_may_be_used_behind_a_cut(of_image: bool, points: list[str]) -> None:
    assert_same(Shaped(of_image), points, torch.randn(1, 3, 22, 18))


class ShapedTwice(nn.Module):
    """One size serves on both sides of a cut; the tensor it was asked of serves on one only."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.second = nn.Conv2d(4, 4, 3, 2, 1)
        self.third = nn.Conv2d(4, 4, 3, 2, 1)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        early = self.first(x)
        size = early.shape[-2:]
        middle = nn.functional.interpolate(self.second(early), size=size)
        return self.last(nn.functional.interpolate(self.third(middle), size=size))


@torch.no_grad()
@pytest.mark.parametrize("points", [["third"], ["first", "third"], ["second", "third"]])
def test_a_shape_may_be_used_on_both_sides_of_a_cut(points: list[str]) -> None:
    module = ShapedTwice()
    pieces = assert_same(module, points, torch.randn(1, 3, 22, 18))
    other = torch.randn(2, 3, 40, 26)
    assert torch.equal(walk(pieces, other)[-1], module(other))


@torch.no_grad()
def test_a_shape_is_asked_anew_of_each_image() -> None:
    module = Shaped(False).eval()
    pieces = cut(module, ["second"], torch.randn(1, 3, 16, 16)).pieces
    other = torch.randn(2, 3, 40, 24)
    assert torch.equal(walk(pieces, other)[-1], module(other))


class Nested(nn.Module):
    """Blocks have dotted names."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Sequential(nn.Conv2d(4, 4, 3))
        )
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


@pytest.mark.parametrize("point", ["body", "body.0", "body.0.0", "body.1"])
def test_blocks_within_blocks_may_be_cut_after(point: str) -> None:
    assert_same(Nested(), [point], torch.randn(1, 3, 16, 16))


class Tail(nn.Module):
    """What only the end needs hangs on the image, not on the block that is cut after."""

    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Conv2d(3, 2, 1)
        self.block = nn.Conv2d(3, 2, 1)
        self.last = nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        side = self.side(x)
        return side + self.last(self.block(x))


def test_what_only_the_end_needs_does_not_run_before_the_cut() -> None:
    first, second = assert_same(Tail(), ["block"], torch.randn(1, 3, 8, 8))
    assert not any("side" in name for name, _ in first.module.named_parameters())
    assert any("side" in name for name, _ in second.module.named_parameters())


class Twice(nn.Module):
    """One block runs twice: in a row, or with another between."""

    def __init__(self, in_a_row: bool, wrapped: bool) -> None:
        super().__init__()
        self.in_a_row = in_a_row
        conv = nn.Conv2d(3, 3, 3, padding=1)
        self.block = nn.Sequential(conv, nn.ReLU()) if wrapped else conv
        self.between = nn.Conv2d(3, 3, 1)
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return self.last(self.block(x if self.in_a_row else self.between(x)))


@pytest.mark.parametrize("in_a_row", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_block_that_runs_twice_is_refused(in_a_row: bool, wrapped: bool) -> None:
    with pytest.raises(BadInput, match="cannot cut after 'block'; expected a block that runs once"):
        cut(Twice(in_a_row, wrapped), ["block"], SAMPLE)


def test_elsewhere_a_module_with_a_shared_block_may_be_cut() -> None:
    assert_same(Twice(False, True), ["between"], torch.randn(1, 3, 8, 8))


def test_the_network_s_end_is_no_place_to_cut() -> None:
    with pytest.raises(BadInput, match="cannot cut after 'last'; got the network's end"):
        cut(Two(), ["last"], SAMPLE)


class Odd(nn.Module):
    """Has a block that never runs, one that gives a tuple, and whatever `ends` says."""

    def __init__(self, ends: str = "tensor") -> None:
        super().__init__()
        self.idle = nn.Conv2d(3, 3, 1)
        self.pair = Pair()
        self.ends = ends

    def forward(self, x: Tensor) -> object:
        a, b = self.pair(x)
        return {"tensor": a + b, "dict": {"out": a}, "tuple": (a, b)}[self.ends]


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 2, 1)
        self.two = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.one(x), self.two(x)


@pytest.mark.parametrize(("point", "got"), [("idle", "0 tensors"), ("pair", "2 tensors")])
def test_a_block_that_gives_not_one_tensor_is_refused(point: str, got: str) -> None:
    with pytest.raises(BadInput, match=f"cannot cut after '{point}'.*got {got}"):
        cut(Odd(), [point], SAMPLE)


@pytest.mark.parametrize("ends", ["dict", "tuple"])
def test_a_network_that_returns_not_one_tensor_is_refused(ends: str) -> None:
    with pytest.raises(BadInput, match=f"must return one tensor; got .*{ends}"):
        cut(Odd(ends), [], SAMPLE)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return y if y.mean() > 0 else -y


def test_a_network_that_cannot_be_traced_is_refused_with_the_repair() -> None:
    with pytest.raises(BadInput, match=r"Branching cannot be traced.*keep control flow"):
        cut(Branching(), ["block"], SAMPLE)


def test_points_out_of_order_are_refused() -> None:
    with pytest.raises(BadInput, match="order in which the blocks run; got bottleneck1, stem"):
        cut(zoo.build("fastscnn", 2, width=0.25), ["bottleneck1", "stem"], SAMPLE)


def test_a_point_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="stem, stem"):
        cut(zoo.build("fastscnn", 2, width=0.25), ["stem", "stem"], SAMPLE)


def test_an_unknown_point_is_offered_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="did you mean 'bottleneck1'"):
        cut(zoo.build("fastscnn", 2, width=0.25), ["botleneck1"], SAMPLE)
