"""Profiles add up, exits lie at equal shares of the work, and blocks are what one would say."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.core.model import ModelSpec
from offramp.models import zoo
from offramp.models.blocks import Block, Profile, cut_points, find_blocks, profile, usual_exits
from offramp.models.count import count_macs, count_parameters
from offramp.models.graph import trace

SAMPLE = torch.zeros(1, 3, 32, 32)


def conv(d_in: int, d_out: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(d_in, d_out, 3, stride, 1), nn.BatchNorm2d(d_out), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.one, self.two = conv(d, d), nn.Conv2d(d, d, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.two(self.one(x)))


class ResNet(nn.Module):
    """Two stages of two residual blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 4, 2)
        self.stage1 = nn.Sequential(Residual(4), Residual(4))
        self.stage2 = nn.Sequential(nn.Sequential(conv(4, 8, 2), Residual(8)), Residual(8))
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.stage2(self.stage1(self.stem(x))))


class Double(nn.Sequential):
    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__(conv(d_in, d_out), conv(d_out, d_out))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = Double(3, 4), Double(4, 4), Double(4, 4)
        self.up2, self.up1 = Double(8, 4), Double(8, 4)
        self.pool, self.last = nn.MaxPool2d(2), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(self.pool(one))
        y = self.enlarged(self.bottom(self.pool(two)), two)
        return self.last(self.up1(self.enlarged(self.up2(y), one)))

    @staticmethod
    def enlarged(x: Tensor, to: Tensor) -> Tensor:
        return torch.cat([nn.functional.interpolate(x, size=to.shape[-2:]), to], 1)


class Helped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.more = Double(3, 4), Double(4, 4)
        self.aux, self.last = Double(4, 2), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.body(x)
        return {"out": self.last(self.more(y)), "aux": self.aux(y)}


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.one(self.two(self.one(x))))


class Levelled(nn.Module):
    """Names its places itself."""

    levels = ("one",)

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = Double(3, 4), Double(4, 4), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.two(self.one(x)))


class ByHand(nn.Module):
    """Cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = Double(3, 4), Double(4, 4), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return self.last(self.two(y if y.mean() < 1e9 else -y))

    def segments(self) -> dict[str, nn.Module]:
        return {"one": self.one, "two": self.two, "end": self.last}


NETS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "residual": (ResNet, ["stem", "stage1.0", "stage1.1", "stage2.0", "stage2.1"]),
    "plain": (
        lambda: nn.Sequential(*(conv(3 if i == 0 else 4, 4) for i in range(4)), nn.Conv2d(4, 2, 1)),
        ["0", "1", "2", "3"],
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 2, 1)
        ),
        ["0", "2"],
    ),
    "nested": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Sequential(Double(3, 4))),
            nn.Sequential(nn.Sequential(Double(4, 4)), nn.ReLU()),
            nn.Conv2d(4, 2, 1),
        ),
        ["0", "1"],
    ),
    "u-shape": (UNet, ["down1", "down2", "bottom", "up2", "up1"]),
    "auxiliary": (Helped, ["body", "more"]),
    "levels": (Levelled, ["one"]),
    "by hand": (ByHand, ["one", "two"]),
}
"""Networks with the blocks that they are made of."""


@pytest.mark.parametrize(("make", "blocks"), NETS.values(), ids=NETS)
def test_blocks_are_what_one_would_say(make: Callable[[], nn.Module], blocks: list[str]) -> None:
    found = cut_points(make(), SAMPLE)
    if make is ResNet:  # whose stem is a single convolution: no group of two
        blocks = blocks[1:]
    assert found == blocks


@pytest.mark.parametrize("make", [make for make, _ in NETS.values()], ids=NETS)
def test_every_block_that_is_found_may_be_cut_after(make: Callable[[], nn.Module]) -> None:
    module = make()
    found = profile(module, (32, 32))
    assert [block.name for block in found.blocks] == [*cut_points(module, SAMPLE), "end"]
    assert all(block.macs > 0 for block in found.blocks)


def ours(name: str, **knobs: object) -> Callable[[], nn.Module]:
    return lambda: zoo.build(name, 3, **knobs)


WHOLE: dict[str, Callable[[], nn.Module]] = {
    **{name: make for name, (make, _) in NETS.items() if name != "auxiliary"},
    "tied": Tied,
    "fastscnn": ours("fastscnn", width=0.25, repetition=1),
    "fastscnn-plain": ours("fastscnn", width=0.25, repetition=1, pyramid=False),
    "lenet": ours("lenet"),
    "ddrnet": ours("ddrnet23_slim", width=0.25),
    "timm": ours("timm:test_resnet"),
}


@torch.no_grad()
@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_a_profile_adds_up_to_the_whole(make: Callable[[], nn.Module]) -> None:
    module = make().eval()
    size = (28, 28) if type(module).__name__ == "LeNet" else (64, 32)
    points = ["two"] if isinstance(module, Tied) else []
    found = profile(module, size, points)
    channels = 1 if type(module).__name__ == "LeNet" else 3
    image = torch.zeros(1, channels, *found.size)
    assert found.macs == sum(b.macs for b in found.blocks) == count_macs(lambda: module(image))
    assert found.parameters == count_parameters(module)
    running = 0
    for block in found.blocks:
        running += block.macs
        assert block.path_macs == running
        assert block.stride == round(found.size[0] / block.size[0])


def test_what_the_answer_does_not_need_is_not_profiled() -> None:
    module = Helped()
    found = profile(module, (32, 32))
    assert found.parameters == count_parameters(module) - count_parameters(module.aux)


@pytest.mark.parametrize("pyramid", [True, False])
def test_the_zoo_s_points_hold_whatever_the_knobs(pyramid: bool) -> None:
    module = zoo.build("fastscnn", 2, width=0.25, pyramid=pyramid)
    found = profile(module, (64, 96), zoo.entry("fastscnn").blocks)
    (block,) = (block for block in found.blocks if block.name == "pyramid")
    assert (block.macs > 0) == (block.parameters > 0) == pyramid
    assert not any(part._forward_hooks for part in module.modules())


@torch.no_grad()
def test_a_block_says_what_comes_out_of_it() -> None:
    module = ResNet().eval()
    found = {block.name: block for block in profile(module, (48, 64), ["stage1", "stem"]).blocks}
    assert list(found) == ["stem", "stage1", "end"]
    assert (found["stem"].channels, found["stem"].size, found["stem"].stride) == (4, (24, 32), 2)
    assert found["stem"].macs == 3 * 4 * 9 * 24 * 32
    assert found["stem"].parameters == count_parameters(module.stem)
    assert (found["end"].channels, found["end"].size, found["end"].stride) == (2, (12, 16), 4)


def test_profiling_changes_nothing() -> None:
    module = ResNet().train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert profile(module, (32, 32)) == profile(module, (32, 32))
    assert all(part.training for part in module.modules())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_what_cannot_be_profiled_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'stem'"):
        profile(ResNet(), (32, 32), ["stm"])
    with pytest.raises(BadInput, match="cannot be run on an image of 32x32"):
        profile(nn.Conv2d(7, 2, 1), (32, 32))


def test_a_network_of_one_convolution_has_no_blocks() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1))
    assert find_blocks(trace(module, SAMPLE)) == []
    assert [block.name for block in profile(module, (32, 32)).blocks] == ["end"]


# --------------------------------------------------------------------------------------- placement


def made(*macs: int) -> Profile:
    running = [sum(macs[: i + 1]) for i in range(len(macs))]
    blocks = (
        Block(str(number), value, 0, path, 1, (1, 1), 1)
        for number, (value, path) in enumerate(zip(macs, running, strict=True))
    )
    return Profile(tuple(blocks), (1, 1))


@pytest.mark.parametrize(
    ("macs", "exits", "names"),
    [
        ((10, 10, 10, 10), 4, "0123"),
        ((10, 10, 10, 10), 2, "13"),
        ((10, 10, 10, 10), 3, "123"),  # 13.3 and 26.7 are reached in the second and the third
        ((70, 10, 10, 10), 4, "013"),  # the first reaches half: exits 1 and 2 fall together
        ((1, 1, 1, 97), 3, "3"),
        ((10, 10), 1, "1"),
        ((0, 10, 0, 10), 2, "13"),
    ],
)
def test_exits_go_where_the_work_reaches_equal_shares(
    macs: tuple[int, ...], exits: int, names: str
) -> None:
    assert "".join(block.name for block in made(*macs).place(exits)) == names


def by_the_paper(macs: list[int], exits: int) -> list[int]:
    """Go along the blocks and set exit i where its share of the work is first reached (§4.1)."""
    total, chosen, spent, exit_ = sum(macs), [], 0, 1
    for index, work in enumerate(macs):
        spent += work
        reached = False
        while exit_ <= exits and Fraction(spent) >= Fraction(exit_, exits) * total:
            reached, exit_ = True, exit_ + 1
        chosen += [index] if reached else []
    return chosen


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40), st.integers(1, 12))
def test_placement_is_the_paper_s(macs: list[int], exits: int) -> None:
    placed = made(*macs).place(exits)
    assert [int(block.name) for block in placed] == by_the_paper(macs, exits)
    assert len(placed) <= exits
    assert placed[-1].path_macs == sum(macs)


@pytest.mark.parametrize("name", ["fastscnn", "lenet"])
def test_usual_exits_are_the_table_s(name: str) -> None:
    spec = ModelSpec(name=name, names=("a", "b"), size=(64, 96))
    assert usual_exits(spec) == zoo.entry(name).exits


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:resnet10t"])
def test_usual_exits_are_placed_where_the_table_has_none(name: str) -> None:
    spec = ModelSpec(name=name, names=("a", "b"), size=(64, 96))
    found = profile(zoo.build_spec(spec), spec.size)
    assert usual_exits(spec) == tuple(b.name for b in found.place(4) if b.name != "end")
    assert set(usual_exits(spec)) <= {"level1", "level2", "level3", "level4"}
