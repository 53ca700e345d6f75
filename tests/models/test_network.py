"""The multi-exit network: same answer at the end, the exits it claims, gradients everywhere."""

import pytest
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import FULL, LIGHT, HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.score import RECORDED
from offramp.models import zoo
from offramp.models.blocks import profile
from offramp.models.count import count, count_macs
from offramp.models.heads import build_head
from offramp.models.layers import cropped, joined, resized
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
    network = build_network(SPEC, dict.fromkeys(found.blocks, PLAIN)).eval()
    blocks = profile(zoo.build_spec(SPEC), SIZE, found.blocks).blocks
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
    with pytest.raises(UnknownName, match=r"block to cut after.*did you mean 'bottleneck2'"):
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


# --------------------------------------------------------------------- padding, cropping, and luma


class Up(nn.Module):
    """Takes sides that are multiples of 4 only; gives logits at `stride`."""

    def __init__(self, channels: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, 4, 3, 2, 1)
        self.two = nn.Conv2d(4, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2)
        self.last = nn.Conv2d(4, 2, 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        y = self.last(self.up(self.two(one)) + one)
        return y if self.stride == 2 else nn.functional.interpolate(y, scale_factor=2.0)


def own_spec(size: tuple[int, int], classes: int = 2) -> ModelSpec:
    return ModelSpec(name="own", names=tuple("abcdef"[:classes]), size=size)


@torch.no_grad()
@pytest.mark.parametrize("size", [(30, 33), (17, 46), (29, 64), (64, 18)])
def test_what_is_too_small_is_padded_with_the_mean_below_and_right(size: tuple[int, int]) -> None:
    module = Up().eval()
    network = attach(module, own_spec(size), {"one": PLAIN}).eval()
    images = frames(2, size)
    begun = network.begin(images).feature
    assert begun.shape[-2:] == network.intake.size == tuple(-(-s // 4) * 4 for s in size)
    x = (images.permute(0, 3, 1, 2).float() - network.mean) / network.std
    assert torch.equal(begun[..., : size[0], : size[1]], x)
    assert begun.sum() == pytest.approx(float(x.sum()), rel=1e-3, abs=1e-2)
    assert begun[..., size[0] :, :].abs().sum() == begun[..., size[1] :].abs().sum() == 0
    for logits in walk(network, images).values():
        assert logits.shape[-2:] == tuple(round(side / 2) for side in size)


@torch.no_grad()
def test_a_slice_is_the_network_s_own_answer() -> None:
    module = Up().eval()
    network = attach(module, own_spec((30, 34)), {"one": PLAIN}).eval()
    images = frames(1, (30, 34))
    begun = network.begin(images).feature
    assert torch.equal(walk(network, images)[END, "own"], module(begun)[..., :15, :17])


class Where(nn.Module):
    """Answers with the position: logits are the rows and columns of cells `stride` wide."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(stride)
        self.last = nn.Conv2d(3, 2, 1)
        self.stride = stride
        self.least = nn.ConvTranspose2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(x)
        rows = torch.ones_like(y[:, :1]).cumsum(2) * self.stride - self.stride / 2
        columns = torch.ones_like(y[:, :1]).cumsum(3) * self.stride - self.stride / 2
        return torch.cat([rows, columns], 1) + 0 * self.last(self.least(y))


@torch.no_grad()
@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("size", [(30, 33), (27, 41), (31, 61), (62, 18)])
def test_cropped_logits_lie_where_they_belong(stride: int, size: tuple[int, int]) -> None:
    whole = (64, 64)
    logits = Where(stride)(torch.zeros(1, 3, *whole))
    kept = cropped(logits, size, whole)
    for dim, (side, given) in enumerate(zip(size, kept[0], strict=True)):
        cells = given.shape[dim]
        assert cells == max(round(side / stride), 1)
        wanted = (torch.arange(cells) + 0.5) * side / cells  # pixel centres of the kept cells
        inside = (wanted >= stride / 2) & (wanted <= 64 - stride / 2)  # bilinear clamps without
        seen = given[:, 0] if dim == 0 else given[0]
        torch.testing.assert_close(seen[inside], wanted[inside], rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kept", [(7, 9), (8, 12), (16, 24), (5, 24), (1, 1)])
def test_cropping_agrees_with_grid_sampling(kept: tuple[int, int]) -> None:
    whole, x = (16, 24), torch.randn(2, 3, 8, 6, dtype=torch.float64)
    cells = [max(round(n * k / w), 1) for n, k, w in zip(x.shape[2:], kept, whole, strict=True)]
    rows, columns = (
        (torch.arange(n, dtype=torch.float64) + 0.5) * k / n / w * 2 - 1
        for n, k, w in zip(cells, kept, whole, strict=True)
    )
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1).expand(2, -1, -1, -1)
    wanted = nn.functional.grid_sample(x, grid, "bilinear", "border", align_corners=False)
    torch.testing.assert_close(cropped(x, kept, whole), wanted, rtol=0, atol=1e-6)


@torch.no_grad()
def test_cropping_slices_where_the_cut_falls_between_cells() -> None:
    x = torch.randn(1, 2, 8, 16)
    assert torch.equal(cropped(x, (24, 64), (32, 64)), x[:, :, :6])
    assert torch.equal(cropped(x, (32, 64), (32, 64)), x)
    assert torch.equal(cropped(x[..., :1, :1], (31, 61), (32, 64)), x[..., :1, :1])


@torch.no_grad()
def test_a_network_that_is_padded_to_its_size_refuses_others() -> None:
    network = attach(Up(), own_spec((30, 30)), {"one": PLAIN}).eval()
    with pytest.raises(BadInput, match="own was cut for one size; expected 30x30; got 32x40"):
        network.begin(frames(1, (40, 32)))


@torch.no_grad()
def test_a_network_of_one_size_refuses_others() -> None:
    class Fixed(Up):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.zeros(int(x.shape[2]) // 2, int(x.shape[3]) // 2)

    network = attach(Fixed(), own_spec((30, 34)), {"one": PLAIN}).eval()
    assert not network.intake.any_size
    assert walk(network, frames(3, (30, 34)))[END, "own"].shape == (3, 2, 15, 17)
    for size in [(32, 36), (34, 30), (64, 64)]:
        with pytest.raises(BadInput, match="own was cut for one size; expected 34x30; got"):
            network.begin(frames(1, size))


@torch.no_grad()
def test_luma_enters_where_a_network_takes_one_channel() -> None:
    module = Up(channels=1).eval()
    network = attach(module, own_spec((32, 32)), {"one": PLAIN}).eval()
    assert network.intake.channels == 1
    images = frames(2, (32, 32))
    begun = network.begin(images).feature
    assert begun.shape == (2, 1, 32, 32)
    share = torch.tensor([0.299, 0.587, 0.114])
    mean, std = (share @ torch.tensor(numbers) for numbers in (MEAN, STD))
    luma = (images.float() / 255 @ share - mean) / std
    torch.testing.assert_close(begun[:, 0], luma, rtol=0, atol=1e-5)
    assert torch.equal(walk(network, images)[END, "own"], module(begun))
    assert torch.all(network.begin(torch.full((1, 32, 32, 3), 128)).feature.std() < 1e-5)


@torch.no_grad()
def test_padding_luma_is_padding_with_its_mean() -> None:
    network = attach(Up(channels=1), own_spec((30, 30)), {"one": PLAIN}).eval()
    assert network.begin(frames(1, (30, 30))).feature[..., 30:, :].abs().sum() == 0


# ------------------------------------------------------------------------ maps that several make up


class Branches(nn.Module):
    """Stages that give a map per resolution, as HRNet's do."""

    class Stage(nn.Module):
        def __init__(self, d_in: int) -> None:
            super().__init__()
            self.fine = nn.Sequential(nn.Conv2d(d_in, 4, 3, 2, 1))
            self.coarse = nn.Sequential(nn.Conv2d(d_in, 8, 3, 4, 1))

        def forward(self, x: Tensor) -> list[Tensor]:
            return [self.fine(x), self.coarse(x)]

    def __init__(self) -> None:
        super().__init__()
        self.stage = self.Stage(3)
        self.more = nn.Conv2d(8, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine, coarse = self.stage(x)
        return self.last(fine + resized(self.more(coarse), fine.shape[-2:]))


def test_an_exit_after_a_stage_reads_all_its_maps() -> None:
    module = Branches()
    network = attach(module, own_spec((32, 48)), {"stage": LIGHT}).train()
    images = frames(2, (32, 48))
    state = network.advance(0, network.begin(images))
    assert state.feature.shape == (2, 12, 16, 24)
    fine, coarse = module.stage(network.begin(images).feature)
    assert torch.equal(state.feature, joined([fine, coarse]))
    assert torch.equal(state.feature[:, 4:], resized(coarse, (16, 24)))
    walk(network, images)["stage", "r1-b0-fcn"].square().sum().backward()
    assert all(p.grad is not None for p in module.stage.parameters())
    assert all(p.grad is None for p in module.more.parameters())


def test_joining_takes_the_largest_map_s_size() -> None:
    maps = [torch.randn(1, 2, 4, 4), torch.randn(1, 3, 8, 6), torch.randn(1, 1, 8, 6)]
    whole = joined(maps)
    assert whole.shape == (1, 6, 8, 6)
    assert torch.equal(whole[:, 2:5], maps[1])
    assert torch.equal(joined(maps[:1]), maps[0])


# --------------------------------------------------------------------------------- names and shares


@pytest.mark.parametrize("name", ["keys", "items", "pop", "update"])
def test_a_block_may_be_called_like_a_method(name: str) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, name, nn.Conv2d(3, 4, 1))
            self.last = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(getattr(self, name)(x))

    network = attach(Named(), own_spec((16, 16)), {name: PLAIN})
    assert network.head_names(name) == ("r1-b0-fcn",)
    more = network.with_heads({name: LIGHT})
    assert more.head(name, "r1-b0-fcn") is network.head(name, "r1-b0-fcn")


class Tied(nn.Module):
    """One convolution runs in two segments."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 3, 3, padding=1)
        self.two = nn.Conv2d(3, 3, 1)
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.one(self.two(self.one(x))))


def test_segments_may_share_a_parameter() -> None:
    module = Tied()
    network = attach(module, own_spec((16, 16)), {"two": PLAIN})
    assert len(list(network.segments.parameters())) == len(list(module.parameters()))
    costs = count(network)
    assert [segment.parameters for segment in costs.segments] == [84 + 12, 8]
    assert sum(s.macs for s in costs.segments) == count_macs(
        lambda: module(torch.zeros(1, 3, 16, 16))
    )
    walk(network.train(), frames(2, (16, 16)))[END, "own"].sum().backward()
    assert module.one.weight.grad is not None


def test_other_heads_keep_weights_and_the_end() -> None:
    plain = attach(Up(), own_spec((30, 30)), {"one": PLAIN, "two": PLAIN})
    more = plain.with_heads({"one": LIGHT})
    assert more.points == plain.points == ("one", "two", END)
    assert more.head_names("two") == ()
    assert more.intake == plain.intake
    old, new = (n.head("one", "r1-b0-fcn").state_dict() for n in (plain, more))
    assert all(torch.equal(old[key], new[key]) for key in old)


@torch.no_grad()
def test_lenet_s_exits_are_fully_connected() -> None:
    spec = ModelSpec(name="lenet", names=tuple("abc"), size=(28, 28))
    heads = [zoo.entry("lenet").head]
    network = build_network(spec, {"block1": heads, "block2": heads}).eval()
    assert network.intake.channels == 1
    read = walk(network, frames(2, (28, 28)))
    assert {key: tuple(logits.shape) for key, logits in read.items()} == dict.fromkeys(
        [("block1", "fc"), ("block2", "fc"), (END, "own")], (2, 3, 1, 1)
    )
    with pytest.raises(BadInput, match="cannot be run on an image of 32x32"):
        build_network(spec.model_copy(update={"size": (32, 32)}), {})


def test_the_answer_may_be_one_of_several() -> None:
    class Several(Up):
        def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return {"aux": x, "main": super().forward(x)}

    with pytest.raises(BadInput, match=r"dict of \['aux', 'main'\]; name it: attach"):
        attach(Several(), own_spec((32, 32)), {})
    assert attach(Several(), own_spec((32, 32)), {"one": PLAIN}, output="main").points[0] == "one"
