"""FastSCNN is IOT's: parameters and work equal the thesis's figures."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models import zoo
from offramp.models.count import count_macs, count_parameters
from offramp.models.layers import AdaptivePool, InvertedBottleneck


def macs_at_512(module: nn.Module) -> int:
    image = torch.zeros(1, 3, 512, 512)
    return count_macs(lambda: module.eval()(image))


def test_parameters_and_work_of_the_plain_network() -> None:
    module = zoo.build("fastscnn", 1)
    assert count_parameters(module) == 1_122_673
    assert macs_at_512(module) == 829_591_552


@pytest.mark.parametrize("a", [0.125, 0.25, 0.5, 0.75, 1.0, 1.5])
def test_parameters_are_the_polynomial_of_the_width(a: float) -> None:
    module = zoo.build("fastscnn", 1, width=a)
    assert count_parameters(module) == 1_051_136 * a**2 + 71_536 * a + 1


@pytest.mark.parametrize(("repetition", "parameters"), [(2, 743_281), (1, 363_889)])
def test_parameters_by_repetition(repetition: int, parameters: int) -> None:
    assert count_parameters(zoo.build("fastscnn", 1, repetition=repetition)) == parameters


def test_work_without_repetition() -> None:
    assert macs_at_512(zoo.build("fastscnn", 1, repetition=1)) == 558_370_816


def test_parameters_and_work_of_the_narrowest() -> None:
    module = zoo.build("fastscnn", 1, width=0.125, expansion=2)
    assert count_parameters(module) == 10_247
    assert macs_at_512(module) == 17_263_936


def test_without_pyramid_its_parameters_are_gone() -> None:
    with_it, without = (zoo.build("fastscnn", 1, pyramid=p) for p in (True, False))
    pyramid = count_parameters(with_it.get_submodule("pyramid"))
    assert count_parameters(with_it) - count_parameters(without) == pyramid > 0


@pytest.mark.parametrize("size", [(64, 96), (72, 104), (100, 60)])
def test_logits_come_at_an_eighth_of_the_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        logits = zoo.build("fastscnn", 5, width=0.25).eval()(torch.randn(2, 3, *size))
    assert logits.shape == (2, 5, -(-size[0] // 8), -(-size[1] // 8))
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("bins", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(16, 24), (10, 6), (13, 7), (8, 8), (2, 3), (1, 1)])
def test_pooling_is_that_of_torch_at_any_size(bins: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(AdaptivePool(bins)(x), F.adaptive_avg_pool2d(x, bins))


@pytest.mark.parametrize("size", [(16, 24), (13, 7)])
def test_pooling_passes_the_gradient_of_torch(size: tuple[int, int]) -> None:
    x = torch.randn(1, 2, *size, requires_grad=True)
    (ours,) = torch.autograd.grad(AdaptivePool(4)(x).square().sum(), x)
    (torchs,) = torch.autograd.grad(F.adaptive_avg_pool2d(x, 4).square().sum(), x)
    torch.testing.assert_close(ours, torchs)


def test_the_identity_is_added_where_shapes_allow() -> None:
    assert InvertedBottleneck(8, 8, 1, 2).residual
    assert not InvertedBottleneck(8, 8, 2, 2).residual
    assert not InvertedBottleneck(8, 12, 1, 2).residual
    block = InvertedBottleneck(8, 8, 1, 2).eval()
    nn.init.zeros_(block.layers[2][0].weight)
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("knobs", [{"width": 0.1}, {"expansion": 0}, {"repetition": 0}])
def test_a_network_without_channels_is_refused(knobs: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="cannot be that small"):
        zoo.build("fastscnn", 2, **knobs)


def test_unknown_networks_and_knobs_are_offered_their_neighbours() -> None:
    with pytest.raises(UnknownName, match="did you mean 'fastscnn'"):
        zoo.build("fastscn", 2)
    with pytest.raises(UnknownName, match="did you mean 'width'"):
        zoo.build("fastscnn", 2, widht=1.0)


@pytest.mark.parametrize("knobs", [{"width": "wide"}, {"repetition": 1.5}, {"pyramid": 1}])
def test_a_knob_of_the_wrong_kind_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(
        BadInput, match=f"knob '{next(iter(knobs))}' of fastscnn; expected (a|true) "
    ):
        zoo.build("fastscnn", 2, **knobs)
