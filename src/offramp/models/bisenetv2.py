"""BiSeNetV2 (Yu et al. 2020) as it is deployed: without the heads that only help training.

    image ─┬─ stem 1/4 ─ stage3 1/8 ─ stage4 1/16 ─ stage5 1/32 ─ context ─┐
           └─ detail1 1/2 ─ detail2 1/4 ─ detail3 1/8 ─────────────── aggregation 1/8 ─ head

The semantic branch runs first: it is a twentieth of the work, and exits go along it. Where the
paper and the implementation that is in use (CoinCheung's) differ, this follows the latter,
except that both enlargements in the aggregation are bilinear, as in the paper.
"""

import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput
from offramp.models.layers import ConvBN, resized


class BiSeNetV2(nn.Module):
    """Map N×3×H×W to logits N×C×⌈H/8⌉×⌈W/8⌉.

    The published stages hold 2, 2 and 4 gather-and-expansion blocks, of which the first takes
    the stride; `repetition` cuts each stage down to so many.

    Args:
        classes: number of classes C.
        width: multiplier of all channel counts.
        expansion: expansion rate of the gather-and-expansion blocks.
        repetition: gather-and-expansion blocks that a stage has at most; 4 cuts none.
        channels: channels of the image, 3 (RGB) or 1 (luma).

    Raises:
        BadInput: a knob is out of range.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: float = 1.0,
        expansion: int = 6,
        repetition: int = 4,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if width < 0.125 or expansion < 1 or not 1 <= repetition <= 4 or channels not in (1, 3):
            raise BadInput(
                "bisenetv2 cannot be built like that",
                expected="width from 0.125, expansion from 1, repetition 1 to 4, channels 1 or 3",
                got=f"width={width}, expansion={expansion}, repetition={repetition}, "
                f"channels={channels}",
            )
        d16, d32, d64, d128, d1024 = (round(d * width) for d in (16, 32, 64, 128, 1024))
        self.stem = Stem(channels, d16)
        self.stage3 = _stage(d16, d32, expansion, min(2, repetition))
        self.stage4 = _stage(d32, d64, expansion, min(2, repetition))
        self.stage5 = _stage(d64, d128, expansion, min(4, repetition))
        self.context = ContextEmbedding(d128)
        self.detail1 = _detail(channels, d64, 2)
        self.detail2 = _detail(d64, d64, 3)
        self.detail3 = _detail(d64, d128, 3)
        self.aggregation = Aggregation(d128)
        self.head = nn.Sequential(
            ConvBN(d128, d1024, 3), nn.Dropout(0.1), nn.Conv2d(d1024, classes, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×3×H×W to N×C×H/8×W/8."""
        deep = self.stage5(self.stage4(self.stage3(self.stem(x))))  # N×128a×H/32×W/32
        deep = self.context(deep)
        high = self.detail3(self.detail2(self.detail1(x)))  # N×128a×H/8×W/8
        return self.head(self.aggregation(high, deep))


class Stem(nn.Module):
    """Shrink the image to a quarter, half by convolution and half by pooling."""

    def __init__(self, d_in: int, d: int) -> None:
        super().__init__()
        self.first = ConvBN(d_in, d, 3, 2)
        self.convolved = nn.Sequential(ConvBN(d, d // 2), ConvBN(d // 2, d, 3, 2))
        self.pooled = nn.MaxPool2d(3, 2, 1)
        self.merge = ConvBN(2 * d, d, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×3×H×W to N×D×H/4×W/4."""
        x = self.first(x)
        return self.merge(torch.cat([self.convolved(x), self.pooled(x)], dim=1))


class GatherExpansion(nn.Module):
    """Gather by 3×3, expand depthwise, project; the input is added, shrunk where needed."""

    def __init__(self, d_in: int, d_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = d_in * expansion
        expand: list[nn.Module] = [ConvBN(d_in, hidden, 3, groups=d_in)]
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            expand = [
                ConvBN(d_in, hidden, 3, stride, groups=d_in, relu=False),
                ConvBN(hidden, hidden, 3, groups=hidden),
            ]
            self.shortcut = nn.Sequential(
                ConvBN(d_in, d_in, 3, stride, groups=d_in, relu=False),
                ConvBN(d_in, d_out, relu=False),
            )
        self.layers = nn.Sequential(
            ConvBN(d_in, d_in, 3), *expand, ConvBN(hidden, d_out, relu=False)
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D'×H/stride×W/stride."""
        return self.relu(self.layers(x) + self.shortcut(x))


class ContextEmbedding(nn.Module):
    """Add to every pixel what the image holds on average.

    In training its batch norms see one value per image and channel, so N must exceed 1.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.average = nn.Sequential(nn.BatchNorm2d(d), ConvBN(d, d))
        self.merge = ConvBN(d, d, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D×H×W."""
        return self.merge(x + self.average(x.mean((2, 3), keepdim=True)))


class Aggregation(nn.Module):
    """Let each branch gate the other at both resolutions, and add the two."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.high = _separable(d)
        self.high_shrunk = nn.Sequential(ConvBN(d, d, 3, 2, relu=False), nn.AvgPool2d(3, 2, 1))
        self.deep = _separable(d)
        self.deep_enlarged = ConvBN(d, d, 3, relu=False)
        self.merge = ConvBN(d, d, 3)

    def forward(self, high: Tensor, deep: Tensor) -> Tensor:
        """Map N×D×H×W and N×D×H/4×W/4 to N×D×H×W."""
        size = high.shape[-2:]
        gate = torch.sigmoid(resized(self.deep_enlarged(deep), size))
        gated = self.high_shrunk(high) * torch.sigmoid(self.deep(deep))  # N×D×H/4×W/4
        return self.merge(self.high(high) * gate + resized(gated, size))


def _separable(d: int) -> nn.Sequential:
    """Stack a depthwise 3×3 with batch norm and a bare 1×1 convolution."""
    return nn.Sequential(ConvBN(d, d, 3, groups=d, relu=False), nn.Conv2d(d, d, 1, bias=False))


def _detail(d_in: int, d_out: int, layers: int) -> nn.Sequential:
    """Stack 3×3 convolutions, of which the first halves the sides."""
    rest = [ConvBN(d_out, d_out, 3) for _ in range(layers - 1)]
    return nn.Sequential(ConvBN(d_in, d_out, 3, 2), *rest)


def _stage(d_in: int, d_out: int, expansion: int, blocks: int) -> nn.Sequential:
    """Stack gather-and-expansion blocks, of which the first halves the sides."""
    rest = [GatherExpansion(d_out, d_out, 1, expansion) for _ in range(blocks - 1)]
    return nn.Sequential(GatherExpansion(d_in, d_out, 2, expansion), *rest)
