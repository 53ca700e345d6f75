"""DDRNet-23-slim is the published one: parameters and work equal those of the authors' code."""

import pytest
import torch
from torch import fx, nn

from offramp.core.errors import BadInput
from offramp.models.count import count_macs, count_parameters
from offramp.models.ddrnet import DDRNet23Slim

STAGES = ("layer1.0", "layer2.0", "low3", "high3", "low4", "high4")
POINTS = (
    "stem",
    "layer1",
    "layer2",
    "low3",
    "high3",
    "up3",
    "down3",
    "low4",
    "high4",
    "up4",
    "down4",
    "low5",
    "dappm",
    "high5",
)

IDLE = {"stem.0.bias", "stem.3.bias"}
"""Published, but batch norm subtracts it again: in training its gradient is nought."""


def on_meta(**knobs: float) -> nn.Module:
    """Build it for 19 classes without memory, which is all that counting needs."""
    with torch.device("meta"):
        return DDRNet23Slim(19, **knobs).eval()


def macs(module: nn.Module, height: int, width: int, channels: int = 3) -> int:
    image = torch.empty(1, channels, height, width, device="meta")
    return count_macs(lambda: module(image))


def test_parameters_and_work_are_the_published_ones() -> None:
    module = on_meta()
    assert count_parameters(module) == 5_695_987
    assert macs(module, 1024, 2048) == pytest.approx(36.281e9, rel=1e-3)


def test_the_default_knobs_are_those_of_the_paper() -> None:
    default, spelled = on_meta(), on_meta(width=1.0, repetition=2, channels=3)
    shapes = [{n: p.shape for n, p in m.named_parameters()} for m in (default, spelled)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("repetition", [1, 2, 3])
def test_repetition_is_the_number_of_blocks_of_a_stage(repetition: int) -> None:
    module = on_meta(repetition=repetition)
    assert [len(module.get_submodule(stage)) for stage in STAGES] == [repetition] * len(STAGES)


@pytest.mark.parametrize(
    ("knob", "values"),
    [("width", (1.0, 0.75, 0.5, 0.25, 0.125)), ("repetition", (3, 2, 1)), ("channels", (3, 1))],
)
def test_each_knob_shrinks_parameters_and_work(knob: str, values: tuple[float, ...]) -> None:
    modules = [on_meta(**{knob: value}) for value in values]
    parameters = [count_parameters(module) for module in modules]
    channels = [int(value) if knob == "channels" else 3 for value in values]
    work = [macs(m, 128, 128, d) for m, d in zip(modules, channels, strict=True)]
    for sizes in (parameters, work):
        assert sizes == sorted(sizes, reverse=True)
        assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize("knobs", [{"width": 0.1}, {"repetition": 0}, {"channels": 4}])
def test_knobs_out_of_range_are_refused(knobs: dict[str, float]) -> None:
    (named,) = (f"{knob}={value}" for knob, value in knobs.items())
    with pytest.raises(BadInput, match=f"cannot be built like that.*got.*{named}"):
        DDRNet23Slim(2, **knobs)


@pytest.mark.parametrize("size", [(64, 96), (72, 104), (101, 67)])
@pytest.mark.parametrize("channels", [3, 1])
@torch.no_grad()
def test_logits_come_at_an_eighth_of_the_size(size: tuple[int, int], channels: int) -> None:
    module = DDRNet23Slim(5, width=0.25, channels=channels).eval()
    logits = module(torch.randn(2, channels, *size))
    assert logits.shape == (2, 5, -(-size[0] // 8), -(-size[1] // 8))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("knobs", [{}, {"repetition": 1, "channels": 1}])
def test_the_gradient_reaches_every_parameter(knobs: dict[str, int]) -> None:
    torch.manual_seed(0)
    module = DDRNet23Slim(3, width=0.25, **knobs).train()
    module(torch.randn(2, knobs.get("channels", 3), 128, 192)).square().sum().backward()
    parameters = dict(module.named_parameters())
    assert [name for name, p in parameters.items() if p.grad is None] == []
    assert {name for name, p in parameters.items() if not p.grad.any()} <= IDLE


@torch.no_grad()
def test_each_block_runs_once_in_the_order_of_the_path() -> None:
    module, ran = DDRNet23Slim(3, width=0.25).eval(), []
    for name, block in module.named_children():
        block.register_forward_hook(lambda _m, _i, _o, name=name: ran.append(name))
    module(torch.zeros(1, 3, 64, 64))
    assert tuple(ran) == (*POINTS, "head")


@torch.no_grad()
def test_it_can_be_traced_and_takes_other_sizes_then() -> None:
    module = DDRNet23Slim(3, width=0.25).eval()
    traced = fx.symbolic_trace(module)
    for size in ((64, 96), (75, 101)):
        image = torch.randn(1, 3, *size)
        assert torch.equal(traced(image), module(image))
