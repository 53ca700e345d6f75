"""LeNet: its known work, and that of its early exit."""

import pytest
import torch
from torch import fx, nn

from offramp.core.errors import BadInput
from offramp.core.head import HeadSpec
from offramp.models.count import count_macs, count_parameters
from offramp.models.heads import build_head
from offramp.models.lenet import SIDE, LeNet


def digits(images: int = 1, channels: int = 1) -> torch.Tensor:
    return torch.randn(images, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_parameters_and_work() -> None:
    module = LeNet().eval()
    assert count_macs(lambda: module(digits())) == 281_640
    assert count_parameters(module) == 44_426


def test_work_to_the_early_exit() -> None:
    module = LeNet().eval()
    feature = module.block1(digits())
    assert feature.shape == (1, 6, 12, 12)
    head = build_head(HeadSpec(kind="fc"), (6, 12, 12), 10)
    assert count_macs(lambda: head(module.block1(digits()))) == 95_040
    assert head(feature).shape == (1, 10, 1, 1)


@pytest.mark.parametrize(("classes", "channels"), [(10, 1), (2, 3), (1, 1)])
def test_logits_are_one_cell(classes: int, channels: int) -> None:
    logits = LeNet(classes, channels=channels)(digits(2, channels))
    assert logits.shape == (2, classes, 1, 1)
    assert torch.isfinite(logits).all()


@torch.no_grad()
def test_it_traces_and_answers_the_same() -> None:
    module: nn.Module = LeNet().eval()
    assert torch.equal(fx.symbolic_trace(module)(digits(3)), module(digits(3)))


def test_every_parameter_gets_a_gradient() -> None:
    module = LeNet().train()
    module(digits(2)).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(("classes", "channels"), [(0, 1), (10, 0)])
def test_one_that_sees_or_says_nothing_is_refused(classes: int, channels: int) -> None:
    with pytest.raises(BadInput, match="lenet cannot be that small; expected classes and channels"):
        LeNet(classes, channels=channels)
