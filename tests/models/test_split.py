"""Cut anywhere sensible, the pieces together are the network; elsewhere they are refused."""

from collections.abc import Callable, Sequence
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models import zoo
from offramp.models.layers import joined
from offramp.models.split import IMAGE, Piece, Segmented, cut

POINTS = zoo.entry("fastscnn").blocks
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


def test_a_block_that_never_runs_is_refused() -> None:
    with pytest.raises(BadInput, match="'idle'; expected a block that runs once; got 0 runs"):
        cut(Odd(), ["idle"], SAMPLE)


def test_a_network_that_returns_several_maps_is_refused() -> None:
    with pytest.raises(BadInput, match=r"which of its outputs is the answer; .*attach.*output="):
        cut(Odd("tuple"), [], SAMPLE)


def test_one_of_several_outputs_is_the_answer() -> None:
    (piece,) = cut(Odd("dict"), [], SAMPLE).pieces
    assert {name for name, _ in piece.module.named_parameters()} == {
        "pair.one.weight",
        "pair.one.bias",
    }
    assert len(cut(Odd("tuple"), [], SAMPLE, 1).pieces) == 1


# --------------------------------------------------------------------------- blocks of several maps


@torch.no_grad()
def test_an_exit_after_several_maps_reads_them_joined() -> None:
    module = Odd()
    module.last = nn.Conv2d(2, 2, 1)
    first, second = cut(module.eval(), ["pair"], SAMPLE).pieces
    image = torch.randn(1, 3, 8, 8)
    given = first.module(image)
    assert torch.equal(given[0], torch.cat(module.pair(image), 1))
    assert torch.equal(second.module(*given[1:])[0], module(image))
    assert second.takes == first.gives[1:]


class Gather(nn.Module):
    """Adds a map to the list, and hands on those that are there."""

    def __init__(self, d_in: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(d_in, 4, 3, 2, 1))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [*maps, self.conv(maps[-1])]


class Gathered(nn.Module):
    """An encoder whose blocks collect features in a list, with the image in it or not."""

    def __init__(self, with_image: bool) -> None:
        super().__init__()
        self.with_image = with_image
        self.one, self.two, self.three = Gather(3), Gather(4), Gather(4)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.one([x])
        maps = self.three(self.two(maps if self.with_image else maps[1:]))
        size = maps[0].shape[-2:]
        enlarged = [nn.functional.interpolate(part, size=size) for part in maps]
        return self.last(sum(part[:, :1] for part in enlarged).expand(-1, 4, -1, -1))


@torch.no_grad()
@pytest.mark.parametrize("with_image", [False, True])
@pytest.mark.parametrize("points", [["two"], ["three"], ["two", "three"], ["one", "two", "three"]])
def test_blocks_may_hand_on_what_they_got(with_image: bool, points: list[str]) -> None:
    module = Gathered(with_image).eval()
    pieces = assert_same(module, points, torch.randn(1, 3, 32, 32))
    if points[-1] == "three":
        image = torch.randn(2, 3, 24, 40)
        maps = module.three(module.two(module.one([image])[0 if with_image else 1 :]))
        assert torch.equal(walk(pieces, image)[-2], joined(maps))


class Skipping(nn.Module):
    """A block that is left whole gives a tuple, of which one part is needed late."""

    class Whole(nn.Module):
        def __init__(self, nested: bool) -> None:
            super().__init__()
            self.nested = nested
            self.own = nn.Parameter(torch.ones(1))
            self.one = nn.Conv2d(3, 4, 3, padding=1)
            self.two = nn.Conv2d(3, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> object:
            one, two = self.one(x) * self.own, self.norm(self.two(x))
            return (one, {"skip": [two]}) if self.nested else (one, two)

    def __init__(self, nested: bool) -> None:
        super().__init__()
        self.nested = nested
        self.whole = self.Whole(nested)
        self.body = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(9)))
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.whole(x)
        return self.last(self.body(one) + (two["skip"][0] if self.nested else two))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("points", [["body"], ["whole", "body"], ["body.3"]])
def test_a_block_that_gives_a_tuple_runs_once(nested: bool, points: list[str]) -> None:
    module = Skipping(nested)
    runs: list[int] = []
    module.whole.norm.register_forward_hook(lambda *_: runs.append(1))
    pieces = assert_same(module, points, SAMPLE)
    runs.clear()
    walk(pieces, torch.randn(2, 3, 8, 8))
    assert len(runs) == 1
    owned = [p for piece in pieces for p in piece.module.parameters()]
    assert len(owned) == len(set(owned)) == len(list(module.parameters()))


# ------------------------------------------------------------------------------ what is overwritten


class Free(nn.Module):
    """Two blocks, and what a function does between them and the last."""

    def __init__(self, run: Callable[["Free", Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 2, 1)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        return self.last(self.run(self, one, self.two(one)))


RUNS: dict[str, Callable[[Free, Tensor, Tensor], Tensor]] = {
    "relu_": lambda _m, _one, two: nn.functional.relu(two, inplace=True),
    "add_": lambda _m, one, two: two.add_(one),
    "view": lambda _m, _one, two: two.flatten(1).relu_().view(two.shape),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_value_that_crosses_may_not_be_overwritten(
    run: Callable[[Free, Tensor, Tensor], Tensor],
) -> None:
    with pytest.raises(BadInput, match=r"overwrites the value 'x_two'.*x = x \+ y"):
        cut(Free(run), ["two"], SAMPLE)
    assert_same(Free(run), ["one"], SAMPLE)


def test_what_is_overwritten_for_its_effect_alone_is_noticed() -> None:
    def run(_m: Free, one: Tensor, two: Tensor) -> Tensor:
        two.add_(one)
        return two

    with pytest.raises(BadInput, match=r"answers otherwise.*segments\(\)"):
        cut(Free(run), ["one"], SAMPLE)


def test_augmented_assignment_is_no_overwriting_on_the_graph() -> None:
    def run(_m: Free, one: Tensor, two: Tensor) -> Tensor:
        one += two
        return one

    assert_same(Free(run), ["two"], SAMPLE)
    assert_same(Free(run), ["one"], SAMPLE)


@torch.no_grad()
def test_activations_in_place_are_made_safe() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
    pieces = assert_same(module, ["0"], torch.randn(1, 3, 8, 8))
    feature = pieces[0].module(torch.randn(1, 3, 8, 8))[0]
    before = feature.clone()
    pieces[1].module(feature)
    assert torch.equal(feature, before)
    assert feature.min() < 0


# ------------------------------------------------------------------------------- batches and places


@pytest.mark.parametrize(
    "run",
    [
        lambda m, one, two: torch.stack([two[i] for i in range(int(two.shape[0]))]),
        lambda m, one, two: two + torch.zeros(int(two.shape[0]), 1, 1, 1),
        lambda m, one, two: two.view(int(two.shape[0]), 4, *two.shape[2:]),
        lambda m, one, two: two if two.shape[0] == 2 else -two,
    ],
)
def test_a_batch_that_is_baked_in_is_refused(run: Callable[..., Tensor]) -> None:
    with pytest.raises(BadInput, match=r"one image when cut|answers otherwise"):
        cut(Free(run), ["one"], SAMPLE)


@pytest.mark.parametrize(
    "run",
    [
        lambda m, one, two: two.view(two.shape[0], 4, *two.shape[2:]),
        lambda m, one, two: two + two.new_zeros(two.shape[0], 1, 1, 1),
        lambda m, one, two: two.flatten(1).view(two.size(0), -1, *one.shape[2:]),
    ],
)
@torch.no_grad()
def test_a_batch_that_stays_open_is_any(run: Callable[..., Tensor]) -> None:
    module = Free(run)
    pieces = assert_same(module, ["one"], SAMPLE)
    image = torch.randn(5, 3, 9, 7)
    assert torch.equal(walk(pieces, image)[-1], module(image))


def test_blocks_that_end_alike_cannot_both_be_cut_after() -> None:
    for points in (["body", "body.1"], ["body.1.0", "body.1"]):
        with pytest.raises(BadInput, match=r"nothing runs between body\S* and body"):
            cut(Nested(), points, SAMPLE)


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 4, 4)
        self.mix = nn.Sequential(nn.Linear(4, 4))
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.embed(x)
        tokens = self.mix(y.flatten(2).transpose(1, 2))
        return self.last(tokens.transpose(1, 2).reshape(y.shape))


def test_tokens_are_no_maps() -> None:
    with pytest.raises(BadInput, match=r"after 'mix'; expected .*N×D×h×w; got \(2, 64, 4\)"):
        cut(Tokens(), ["mix"], SAMPLE)
    assert_same(Tokens(), ["embed"], SAMPLE)


class Helped(nn.Module):
    """Has an auxiliary head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, 2, 1)
        self.aux = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.body(x)
        return {"out": self.last(y), "aux": self.aux(y)}


def test_a_side_branch_is_no_place_to_cut() -> None:
    for point in ("aux", "aux.0"):
        with pytest.raises(BadInput, match=f"after '{point}'; got a side branch"):
            cut(Helped(), [point], SAMPLE)
    pieces = cut(Helped(), ["body"], SAMPLE).pieces
    assert not any("aux" in name for p in pieces for name, _ in p.module.named_parameters())


# ------------------------------------------------------------------------------------------ by hand


class ByHand(nn.Module):
    """Cannot be traced; the first part gives two values."""

    class Start(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, 2, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.conv(x)
            return (y, x) if y.mean() < 1e9 else (y, -x)

    class Middle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, 2, 1)

        def forward(self, y: Tensor, x: Tensor) -> list[Tensor]:
            return [self.conv(y), y, x]

    class End(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 2, 1)

        def forward(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
            return self.conv(nn.functional.interpolate(z, size=y.shape[-2:]) + y) + x.mean()

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong = wrong
        self.start, self.middle, self.end = self.Start(), self.Middle(), self.End()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(*self.middle(*self.start(x)))

    def segments(self) -> dict[str, nn.Module]:
        parts = {"start": self.start, "mid.dle": self.middle, "half": self.end}
        if self.wrong == "order":
            return dict(reversed(parts.items()))
        if self.wrong == "short":
            return {"start": self.start, "half": nn.Conv2d(4, 2, 1)}
        if self.wrong == "other":
            return {**parts, "half": self.End()}
        return {} if self.wrong == "none" else parts


@pytest.mark.parametrize("points", [[], ["start"], ["mid.dle"], ["mid.dle", "start"]])
def test_a_network_may_be_cut_by_hand(points: list[str]) -> None:
    module = ByHand()
    assert isinstance(module, Segmented)
    pieces = assert_same(module, points, torch.randn(1, 3, 16, 16))
    assert len(pieces) == len(points) + 1
    wanted = [count for name, count in (("start", 2), ("mid.dle", 3)) if name in points]
    assert [len(piece.gives) for piece in pieces] == [*wanted, 1]


def test_weights_are_called_alike_however_a_network_is_cut_by_hand() -> None:
    names = [
        sorted(n for piece in cut(ByHand(), points, SAMPLE).pieces
               for n, _ in piece.module.named_parameters())
        for points in ([], ["start"], ["start", "mid.dle"])
    ]  # fmt: skip
    assert names[0] == names[1] == names[2]
    assert len(set(names[0])) == len(names[0]) == 6


@pytest.mark.parametrize(
    ("wrong", "points", "message"),
    [
        ("order", ["mid.dle"], "fails on the way to 'mid.dle'"),
        ("short", ["start"], "fails on the way to 'half'"),
        ("other", ["start"], "answers otherwise"),
        ("none", [], r"has no segments\(\)"),
        ("", ["start", "start"], "given twice; got start, start"),
    ],
)
def test_segments_that_are_not_the_network_are_refused(
    wrong: str, points: list[str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        cut(ByHand(wrong), points, torch.randn(1, 3, 16, 16))


@pytest.mark.parametrize("point", ["half", "strat"])
def test_a_segment_that_is_none_is_refused(point: str) -> None:
    with pytest.raises(UnknownName, match="segment to cut after"):
        cut(ByHand(), [point], SAMPLE)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return y if y.mean() > 0 else -y


def test_a_network_that_cannot_be_traced_is_refused_with_the_repair() -> None:
    with pytest.raises(BadInput, match=r"Branching cannot be traced.*keep branches"):
        cut(Branching(), ["block"], SAMPLE)


def test_points_are_put_into_the_order_of_the_path() -> None:
    module = zoo.build("fastscnn", 2, width=0.25)
    assert cut(module, ["bottleneck1", "fusion", "stem"], SAMPLE).points == (
        "stem",
        "bottleneck1",
        "fusion",
    )


def test_a_point_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="stem, stem"):
        cut(zoo.build("fastscnn", 2, width=0.25), ["stem", "stem"], SAMPLE)


def test_an_unknown_point_is_offered_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="did you mean 'bottleneck1'"):
        cut(zoo.build("fastscnn", 2, width=0.25), ["botleneck1"], SAMPLE)


class HandsOn(nn.Module):
    """Two named maps that come out of one block, which a hook makes unfit to be looked into."""

    def __init__(self, hooked: bool) -> None:
        super().__init__()
        self.pair = nn.ModuleDict({"one": nn.Conv2d(3, 4, 1), "two": nn.Conv2d(4, 4, 1)})
        self.trunk = Trunk(self.pair)
        if hooked:
            self.trunk.register_forward_hook(lambda _module, _taken, given: given)
        self.level1, self.level2 = nn.Identity(), nn.Identity()
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.trunk(x)
        return self.last(self.level1(one) + self.level2(two))


class Trunk(nn.Module):
    def __init__(self, pair: nn.ModuleDict) -> None:
        super().__init__()
        self.pair = pair

    def forward(self, x: Tensor) -> list[Tensor]:
        one = self.pair["one"](x)
        return [one, self.pair["two"](one)]


def test_two_maps_of_one_block_are_no_two_exits_where_it_is_left_whole() -> None:
    assert len(cut(HandsOn(hooked=False), ["level1", "level2"], SAMPLE).pieces) == 3
    with pytest.raises(BadInput, match=r"nothing runs between level1 and level2.*out of 'trunk'"):
        cut(HandsOn(hooked=True), ["level1", "level2"], SAMPLE)
