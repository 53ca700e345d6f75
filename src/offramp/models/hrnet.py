"""HRNet (Wang et al. 2020): timm's trunk with the segmentation head HRNetV2.

image ─ stem 1/4 ─ layer1 1/4 ─ stage2 1/4, 1/8 ─ stage3 1/4 to 1/16 ─ stage4 1/4 to 1/32
                                all four, enlarged to 1/4 and concatenated ─ classifier
"""

import timm
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models.layers import resized

VARIANTS: tuple[str, ...] = tuple(timm.list_models("hrnet_*"))
"""The trunks that timm knows."""


class HRNet(nn.Module):
    """Map N×D×H×W to logits N×C×H/4×W/4; H and W are multiples of 32.

    Between branches, timm's trunk enlarges by whole factors: hence the multiples.

    Args:
        classes: number of classes C.
        variant: name of the trunk in timm.
        channels: channels D of the image.

    Raises:
        UnknownName: timm has no such HRNet.
        BadInput: the image has no channels.
    """

    def __init__(self, classes: int, *, variant: str = "hrnet_w18", channels: int = 3) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise UnknownName("variant of hrnet", variant, VARIANTS)
        if channels < 1:
            raise BadInput("hrnet needs an image", expected="channels from 1", got=str(channels))
        self.backbone = _trunk(variant, channels)
        d = sum(self.backbone.stage4_cfg["num_channels"])
        self.classifier = nn.Sequential(
            nn.Conv2d(d, d, 1), nn.BatchNorm2d(d), nn.ReLU(), nn.Conv2d(d, classes, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×C×H/4×W/4."""
        trunk = self.backbone
        x = trunk.act1(trunk.bn1(trunk.conv1(x)))
        x = trunk.act2(trunk.bn2(trunk.conv2(x)))  # N×64×H/4×W/4
        finest, *coarser = trunk.stages(x)
        size = finest.shape[-2:]
        return self.classifier(torch.cat([finest, *(resized(y, size) for y in coarser)], dim=1))


def _trunk(variant: str, channels: int) -> nn.Module:
    """Build timm's HRNet without all that follows `stage4`."""
    trunk = timm.create_model(variant, pretrained=False, in_chans=channels, head="")
    del trunk.global_pool, trunk.head_drop, trunk.classifier
    return trunk
