"""BiSeNetV2 is the published one: parameters and work equal those of the code in use."""

import pytest
import torch
from torch import fx, nn

from offramp.core.errors import BadInput
from offramp.models.bisenetv2 import BiSeNetV2
from offramp.models.count import count_macs, count_parameters

POINTS = (
    "stem",
    "stage3",
    "stage4",
    "stage5",
    "context",
    "detail1",
    "detail2",
    "detail3",
    "aggregation",
)

IDLE = {"context.average.0.bias"}
"""Published, but batch norm subtracts it again: in training its gradient is nought."""


def on_meta(**knobs: float) -> nn.Module:
    """Build it for 19 classes without memory, which is all that counting needs."""
    with torch.device("meta"):
        return BiSeNetV2(19, **knobs).eval()


def macs(module: nn.Module, height: int, width: int, channels: int = 3) -> int:
    image = torch.empty(1, channels, height, width, device="meta")
    return count_macs(lambda: module(image))


def test_parameters_and_work_are_the_published_ones() -> None:
    module = on_meta()
    assert count_parameters(module) == 3_358_627
    assert macs(module, 1024, 2048) == pytest.approx(98.413e9, rel=1e-3)
    assert macs(module, 512, 1024) == pytest.approx(24.603e9, rel=1e-3)


def test_the_default_knobs_are_those_of_the_paper() -> None:
    default = on_meta()
    spelled = on_meta(width=1.0, expansion=6, repetition=4, channels=3)
    shapes = [{n: p.shape for n, p in m.named_parameters()} for m in (default, spelled)]
    assert shapes[0] == shapes[1]
    assert [len(default.get_submodule(s)) for s in ("stage3", "stage4", "stage5")] == [2, 2, 4]


@pytest.mark.parametrize(("repetition", "blocks"), [(3, [2, 2, 3]), (2, [2, 2, 2]), (1, [1, 1, 1])])
def test_repetition_bounds_the_blocks_of_a_stage(repetition: int, blocks: list[int]) -> None:
    module = on_meta(repetition=repetition)
    assert [len(module.get_submodule(s)) for s in ("stage3", "stage4", "stage5")] == blocks


@pytest.mark.parametrize(
    ("knob", "values"),
    [
        ("width", (1.0, 0.75, 0.5, 0.25, 0.125)),
        ("expansion", (6, 4, 2, 1)),
        ("repetition", (4, 3, 2, 1)),
        ("channels", (3, 1)),
    ],
)
def test_each_knob_shrinks_parameters_and_work(knob: str, values: tuple[float, ...]) -> None:
    modules = [on_meta(**{knob: value}) for value in values]
    parameters = [count_parameters(module) for module in modules]
    channels = [int(value) if knob == "channels" else 3 for value in values]
    work = [macs(m, 128, 128, d) for m, d in zip(modules, channels, strict=True)]
    for sizes in (parameters, work):
        assert sizes == sorted(sizes, reverse=True)
        assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize(
    "knobs",
    [
        {"width": 0.1},
        {"expansion": 0},
        {"repetition": 0},
        {"repetition": 5},
        {"channels": 2},
    ],
)
def test_knobs_out_of_range_are_refused(knobs: dict[str, float]) -> None:
    (named,) = (f"{knob}={value}" for knob, value in knobs.items())
    with pytest.raises(BadInput, match=f"cannot be built like that.*got.*{named}"):
        BiSeNetV2(2, **knobs)


@pytest.mark.parametrize("size", [(64, 96), (72, 104), (101, 67)])
@pytest.mark.parametrize("channels", [3, 1])
@torch.no_grad()
def test_logits_come_at_an_eighth_of_the_size(size: tuple[int, int], channels: int) -> None:
    module = BiSeNetV2(5, width=0.25, channels=channels).eval()
    logits = module(torch.randn(2, channels, *size))
    assert logits.shape == (2, 5, -(-size[0] // 8), -(-size[1] // 8))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("knobs", [{}, {"expansion": 1, "repetition": 1, "channels": 1}])
def test_the_gradient_reaches_every_parameter(knobs: dict[str, int]) -> None:
    torch.manual_seed(0)
    module = BiSeNetV2(3, width=0.25, **knobs).train()
    module(torch.randn(2, knobs.get("channels", 3), 96, 128)).square().sum().backward()
    parameters = dict(module.named_parameters())
    assert [name for name, p in parameters.items() if p.grad is None] == []
    assert {name for name, p in parameters.items() if not p.grad.any()} <= IDLE


@torch.no_grad()
def test_each_block_runs_once_in_the_order_of_the_path() -> None:
    module, ran = BiSeNetV2(3, width=0.25).eval(), []
    for name, block in module.named_children():
        block.register_forward_hook(lambda _m, _i, _o, name=name: ran.append(name))
    module(torch.zeros(1, 3, 64, 64))
    assert tuple(ran) == (*POINTS, "head")


@torch.no_grad()
def test_it_can_be_traced_and_takes_other_sizes_then() -> None:
    module = BiSeNetV2(3, width=0.25).eval()
    traced = fx.symbolic_trace(module)
    for size in ((64, 96), (75, 101)):
        image = torch.randn(1, 3, *size)
        assert torch.equal(traced(image), module(image))
