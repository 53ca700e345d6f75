"""HRNet: the official figures, timm's keys, and a trunk without a dead layer."""

import pytest
import timm
import torch
from torch import fx

from offramp.core.errors import BadInput, UnknownName
from offramp.models.count import count_macs, count_parameters
from offramp.models.hrnet import VARIANTS, HRNet

SMALL = "hrnet_w18_small"


@pytest.mark.parametrize(
    ("variant", "parameters", "gmacs"),
    [("hrnet_w18", 9_641_119, 147.401), ("hrnet_w18_small_v2", 3_939_579, 76.857)],
)
def test_parameters_and_work(variant: str, parameters: int, gmacs: float) -> None:
    with torch.device("meta"):
        module = HRNet(19, variant=variant).eval()
        macs = count_macs(lambda: module(torch.zeros(1, 3, 1024, 2048)))
    assert count_parameters(module) == parameters
    assert macs == pytest.approx(gmacs * 1e9, rel=1e-5)


@torch.no_grad()
def test_the_trunk_is_timm_s_under_timm_s_keys() -> None:
    module = HRNet(3, variant=SMALL).eval()
    whole = timm.create_model(SMALL, pretrained=False).eval()
    unused = {"incre_modules", "downsamp_modules", "final_layer", "classifier"}
    given = {k: v for k, v in whole.state_dict().items() if k.split(".")[0] not in unused}
    module.backbone.load_state_dict(given, strict=True)
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    stem = whole.act2(whole.bn2(whole.conv2(whole.act1(whole.bn1(whole.conv1(x))))))
    maps = []
    module.backbone.stage4.register_forward_hook(lambda _m, _i, given: maps.extend(given))
    module(x)
    assert len(maps) == 4
    assert all(torch.equal(a, b) for a, b in zip(maps, whole.stages(stem), strict=True))
    assert not unused & {name for name, _ in module.backbone.named_children()}


@torch.no_grad()
def test_it_traces_and_answers_the_same() -> None:
    module = HRNet(3, variant=SMALL).eval()
    traced = fx.symbolic_trace(module)
    x = torch.randn(2, 3, 64, 96)
    assert torch.equal(traced(x), module(x))


@pytest.mark.parametrize("variant", ["hrnet_w18", "hrnet_w18_small", "hrnet_w48_ssld"])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 160), (61, 95)])
def test_logits_come_at_a_quarter_of_the_size(variant: str, height: int, width: int) -> None:
    with torch.device("meta"):
        logits = HRNet(5, variant=variant).eval()(torch.zeros(2, 3, height, width))
    assert logits.shape == (2, 5, -(-height // 4), -(-width // 4))


def test_every_parameter_gets_a_gradient() -> None:
    module = HRNet(2, variant=SMALL).train()
    module(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None] == []


def test_the_image_may_have_other_channels() -> None:
    with torch.device("meta"):
        assert HRNet(2, variant=SMALL, channels=1)(torch.zeros(2, 1, 64, 64)).shape[-1] == 16


def test_variants_are_timm_s() -> None:
    assert {"hrnet_w18", "hrnet_w18_small_v2", "hrnet_w48"} <= set(VARIANTS)


def test_what_is_no_hrnet_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'hrnet_w18'"):
        HRNet(2, variant="hrnet_w17")
    with pytest.raises(BadInput, match="expected channels from 1; got 0"):
        HRNet(2, channels=0)
