"""Dilated networks: torchvision's own where it has them, and the figures of MobileNetV2."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, segmentation

from offramp.core.errors import BadInput
from offramp.models.count import count_macs, count_parameters
from offramp.models.dilated import (
    Dilated,
    deeplabv3_mobilenetv2,
    deeplabv3_resnet50,
    fcn_mobilenetv2,
    fcn_resnet50,
)
from offramp.models.layers import resized

BUILDERS = [fcn_resnet50, deeplabv3_resnet50, fcn_mobilenetv2, deeplabv3_mobilenetv2]
TWINS = [
    (fcn_resnet50, segmentation.fcn_resnet50),
    (deeplabv3_resnet50, segmentation.deeplabv3_resnet50),
]
Builder = Callable[..., Dilated]


@pytest.mark.parametrize(
    ("build", "parameters", "gmacs"),
    [
        (fcn_resnet50, 32_957_013, 138.37),
        (deeplabv3_resnet50, 39_638_869, 163.58),
        (fcn_mobilenetv2, 2_043_973, 8.62),
    ],
)
def test_parameters_and_work_at_512(build: Builder, parameters: int, gmacs: float) -> None:
    with torch.device("meta"):
        module = build(21).eval()
        macs = count_macs(lambda: module(torch.zeros(1, 3, 512, 512)))
    assert count_parameters(module) == parameters
    assert macs == pytest.approx(gmacs * 1e9, rel=1e-3)


@torch.no_grad()
@pytest.mark.parametrize(("build", "torchvisions"), TWINS)
def test_the_enlarged_answer_is_torchvision_s_bit_for_bit(
    build: Builder, torchvisions: Callable[..., nn.Module]
) -> None:
    twin = torchvisions(weights=None, weights_backbone=None, num_classes=5, aux_loss=None).eval()
    module = build(5).eval()
    module.load_state_dict(twin.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 72, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resized(module(x), (64, 72)), twin(x)["out"])


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_mobilenetv2_loads_torchvision_s_features(width: float) -> None:
    with torch.device("meta"):
        backbone = fcn_mobilenetv2(21, width=width).backbone
        features = mobilenet_v2(weights=None, width_mult=width).features
    given = {k: v for k, v in features.state_dict().items() if not k.startswith("18.")}
    assert {k: v.shape for k, v in backbone.state_dict().items()} == {
        k: v.shape for k, v in given.items()
    }


def test_mobilenetv2_dilates_instead_of_striding() -> None:
    with torch.device("meta"):
        backbone = fcn_mobilenetv2(21).backbone
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert [conv.dilation[0] for conv in convs] == [1] * 6 + [2] * 7 + [4] * 4
    assert [conv.stride[0] for conv in convs] == [1, 2, 1, 2] + [1] * 13
    assert all(conv.padding == conv.dilation for conv in convs)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("size", [(64, 96), (67, 101)])
def test_logits_come_at_an_eighth_of_the_size(build: Builder, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        logits = build(5).eval()(torch.zeros(2, 3, *size))
    assert logits.shape == (2, 5, -(-size[0] // 8), -(-size[1] // 8))


@pytest.mark.parametrize("build", BUILDERS)
def test_every_parameter_gets_a_gradient(build: Builder) -> None:
    module = build(2).train()
    module(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None] == []


def test_the_width_narrows_the_backbone() -> None:
    with torch.device("meta"):
        wide, narrow = (fcn_mobilenetv2(21, width=width) for width in (1.0, 0.5))
    assert narrow.backbone[17].out_channels == 160
    assert count_parameters(narrow) < count_parameters(wide) / 3


@pytest.mark.parametrize("build", [fcn_mobilenetv2, deeplabv3_mobilenetv2])
@pytest.mark.parametrize("width", [0.0, 0.1, -1.0, 4.5, float("nan")])
def test_a_width_out_of_range_is_refused(build: Builder, width: float) -> None:
    with pytest.raises(BadInput, match=r"width; expected width from 0\.125 to 4\.0; got"):
        build(21, width=width)
