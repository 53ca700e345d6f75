"""FastSCNN (Poudel et al. 2019) as IOT builds it, with its four knobs.

    image ─ stem 1/8 ─┬─ bottleneck1 1/16 ─ bottleneck2 1/32 ─ bottleneck3 ─ pyramid ─┐
                      └───────────────────────────────────────────────── fusion 1/8 ──┴─ classifier

The context path is where early exits go: its blocks have the names above.
"""

import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput
from offramp.models.layers import (
    AdaptivePool,
    ConvBN,
    DepthwiseSeparable,
    InvertedBottleneck,
    resized,
)


class FastSCNN(nn.Module):
    """Map N×3×H×W to logits N×C×⌈H/8⌉×⌈W/8⌉.

    Args:
        classes: number of classes C.
        width: multiplier `a` of all channel counts.
        expansion: expansion rate `t` of the inverted bottlenecks.
        repetition: repeats `r` of each bottleneck.
        pyramid: pool over 1, 2, 4 and 8 cells a side before fusion.
        channels: 3 for RGB, 1 for luma.

    Raises:
        BadInput: a knob leaves a layer without channels.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: float = 1.0,
        expansion: int = 6,
        repetition: int = 3,
        pyramid: bool = True,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if round(32 * width) < 4 or expansion < 1 or repetition < 1:
            raise BadInput(
                "fastscnn cannot be that small",
                expected="width from 0.125, expansion and repetition from 1",
                got=f"width={width}, expansion={expansion}, repetition={repetition}",
            )
        d32, d48, d64, d96, d128 = (round(d * width) for d in (32, 48, 64, 96, 128))
        self.stem = nn.Sequential(
            ConvBN(channels, d32, 3, 2),
            DepthwiseSeparable(d32, d48, 2),
            DepthwiseSeparable(d48, d64, 2),
        )
        self.bottleneck1 = _bottlenecks(d64, d64, 2, expansion, repetition)
        self.bottleneck2 = _bottlenecks(d64, d96, 2, expansion, repetition)
        self.bottleneck3 = _bottlenecks(d96, d128, 1, expansion, repetition)
        self.pyramid = Pyramid(d128, d32) if pyramid else nn.Identity()
        self.fusion = Fusion(d64, d128)
        self.classifier = nn.Sequential(
            DepthwiseSeparable(d128, d128),
            DepthwiseSeparable(d128, d128),
            nn.Conv2d(d128, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×3×H×W to N×C×H/8×W/8."""
        high = self.stem(x)  # N×64a×H/8×W/8
        deep = self.bottleneck3(self.bottleneck2(self.bottleneck1(high)))  # N×128a×H/32×W/32
        return self.classifier(self.fusion(high, self.pyramid(deep)))


class Pyramid(nn.Module):
    """Concatenate a map with its averages over 1, 2, 4 and 8 cells a side; back to D channels.

    One 1×1 convolution without batch norm is shared by the four averages.
    """

    def __init__(self, d: int, d_pooled: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(AdaptivePool(bins) for bins in (1, 2, 4, 8))
        self.shared = nn.Conv2d(d, d_pooled, 1, bias=False)
        self.merge = ConvBN(d + 4 * d_pooled, d)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D×H×W."""
        size = x.shape[-2:]
        pooled = [resized(self.shared(pool(x)), size) for pool in self.pools]
        return self.merge(torch.cat([x, *pooled], dim=1))


class Fusion(nn.Module):
    """Add the deep path, enlarged, to the high-resolution one."""

    def __init__(self, d_high: int, d: int) -> None:
        super().__init__()
        self.depthwise = ConvBN(d, d, 3, groups=d)
        self.deep = nn.Conv2d(d, d, 1)
        self.high = nn.Conv2d(d_high, d, 1)
        self.relu = nn.ReLU()

    def forward(self, high: Tensor, deep: Tensor) -> Tensor:
        """Map N×64a×H×W and N×128a×H/4×W/4 to N×128a×H×W."""
        deep = self.depthwise(resized(deep, high.shape[-2:]))
        return self.relu(self.deep(deep) + self.high(high))


def _bottlenecks(d_in: int, d_out: int, stride: int, expansion: int, repeat: int) -> nn.Sequential:
    """Stack inverted bottlenecks, of which the first changes stride and channels."""
    first = InvertedBottleneck(d_in, d_out, stride, expansion)
    rest = [InvertedBottleneck(d_out, d_out, 1, expansion) for _ in range(repeat - 1)]
    return nn.Sequential(first, *rest)
