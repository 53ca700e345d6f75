"""DDRNet-23-slim (Hong et al. 2021) as it is deployed: without the head that only helps training.

    image ─ stem ─ layer1 ─ layer2 ─┬─ low3 ──┬─ down3 ─ low4 ──┬─ down4 ─ low5 ─ dappm ─┐
                                    └─ high3 ─┴─ up3 ─── high4 ─┴─ up4 ─── high5 ────────┴─ head

The stem and layer1 run at 1/4 of the sides, layer2 and the high branch at 1/8, the stages of the
low branch at 1/16, 1/32 and 1/64. Twice the branches exchange what they know: `up` adds the low
one to the high one, `down` the reverse. The head that is missing sits at `up3`.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput
from offramp.models.layers import ConvBN, resized


class DDRNet23Slim(nn.Module):
    """Map N×3×H×W to logits N×C×⌈H/8⌉×⌈W/8⌉.

    Args:
        classes: number of classes C.
        width: multiplier of all channel counts.
        repetition: residual blocks in each of layer1, layer2, low3, high3, low4 and high4.
        channels: channels of the image, 3 (RGB) or 1 (luma).

    Raises:
        BadInput: a knob is out of range.
    """

    def __init__(
        self, classes: int, *, width: float = 1.0, repetition: int = 2, channels: int = 3
    ) -> None:
        super().__init__()
        if width < 0.125 or repetition < 1 or channels not in (1, 3):
            raise BadInput(
                "ddrnet cannot be built like that",
                expected="width from 0.125, repetition from 1, channels 1 or 3",
                got=f"width={width}, repetition={repetition}, channels={channels}",
            )
        d = round(32 * width)
        self.stem = nn.Sequential(*_strided(channels, d), *_strided(d, d))
        self.layer1 = nn.Sequential(_stage(d, d, 1, repetition), nn.ReLU())
        self.layer2 = nn.Sequential(_stage(d, 2 * d, 2, repetition), nn.ReLU())
        self.low3 = _stage(2 * d, 4 * d, 2, repetition)
        self.high3 = _stage(2 * d, 2 * d, 1, repetition)
        self.up3 = Up(4 * d, 2 * d)
        self.down3 = Down(2 * d, 4 * d)
        self.low4 = _stage(4 * d, 8 * d, 2, repetition)
        self.high4 = _stage(2 * d, 2 * d, 1, repetition)
        self.up4 = Up(8 * d, 2 * d)
        self.down4 = Down(2 * d, 4 * d, 8 * d)
        self.low5 = Bottleneck(8 * d, 16 * d, 2)
        self.dappm = PyramidPooling(16 * d, 4 * d)
        self.high5 = Bottleneck(2 * d, 4 * d, 1)
        self.head = nn.Sequential(
            *_activated(4 * d, 2 * d, 3),
            nn.BatchNorm2d(2 * d),
            nn.ReLU(),
            nn.Conv2d(2 * d, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×3×H×W to N×C×H/8×W/8."""
        x = self.layer2(self.layer1(self.stem(x)))  # N×64a×H/8×W/8
        low, high = self.low3(x), self.high3(x)
        high, low = self.up3(high, low), self.down3(low, high)
        low, high = self.low4(low), self.high4(high)
        high, low = self.up4(high, low), self.down4(low, high)
        low = self.dappm(self.low5(low))  # N×128a×H/64×W/64
        high = self.high5(high)  # N×128a×H/8×W/8
        return self.head(high + resized(low, high.shape[-2:]))


class Residual(nn.Module):
    """Two 3×3 convolutions around which the input is added; ReLU after, unless `relu` is off."""

    def __init__(self, d_in: int, d_out: int, stride: int, *, relu: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ConvBN(d_in, d_out, 3, stride), ConvBN(d_out, d_out, 3, relu=False)
        )
        self.shortcut = _shortcut(d_in, d_out, stride)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D'×H/stride×W/stride."""
        return self.relu(self.layers(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 3×3 convolution at half the channels, around which the input is added; no ReLU after."""

    def __init__(self, d_in: int, d_out: int, stride: int) -> None:
        super().__init__()
        d = d_out // 2
        self.layers = nn.Sequential(
            ConvBN(d_in, d), ConvBN(d, d, 3, stride), ConvBN(d, d_out, relu=False)
        )
        self.shortcut = _shortcut(d_in, d_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D'×H/stride×W/stride."""
        return self.layers(x) + self.shortcut(x)


class Up(nn.Module):
    """Add the low-resolution branch, enlarged, to the high-resolution one."""

    def __init__(self, d_low: int, d_high: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.layers = ConvBN(d_low, d_high, relu=False)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Map N×D×H×W and N×D'×h×w to N×D×H×W."""
        return self.relu(high + resized(self.layers(self.relu(low)), high.shape[-2:]))


class Down(nn.Module):
    """Add the high-resolution branch to the low-resolution one; each step halves its sides."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        *inner, last = pairwise(widths)
        self.layers = nn.Sequential(
            *(ConvBN(*step, 3, 2) for step in inner), ConvBN(*last, 3, 2, relu=False)
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Map N×D×h×w and N×D'×H×W to N×D×h×w."""
        return self.relu(low + self.layers(self.relu(high)))


class PyramidPooling(nn.Module):
    """Deep aggregation pyramid: averages over growing windows, each refined with the one before.

    In training the batch norm of the widest sees one value per image and channel, so N must
    exceed 1.
    """

    def __init__(self, d_in: int, d: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(
            nn.AvgPool2d(2 * stride + 1, stride, stride) for stride in (2, 4, 8)
        )
        self.scales = nn.ModuleList(nn.Sequential(*_activated(d_in, d, 1)) for _ in range(5))
        self.refine = nn.ModuleList(nn.Sequential(*_activated(d, d, 3)) for _ in range(4))
        self.merge = nn.Sequential(*_activated(5 * d, d, 1))
        self.shortcut = nn.Sequential(*_activated(d_in, d, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D'×H×W."""
        size = x.shape[-2:]
        pooled = [*(pool(x) for pool in self.pools), x.mean((2, 3), keepdim=True)]
        levels = [self.scales[0](x)]
        for scale, refine, level in zip(self.scales[1:], self.refine, pooled, strict=True):
            levels.append(refine(resized(scale(level), size) + levels[-1]))
        return self.merge(torch.cat(levels, dim=1)) + self.shortcut(x)


def _strided(d_in: int, d_out: int) -> tuple[nn.Module, ...]:
    """Halve the sides by a 3×3 convolution; its bias is idle before batch norm, but published."""
    return nn.Conv2d(d_in, d_out, 3, 2, 1), nn.BatchNorm2d(d_out), nn.ReLU()


def _activated(d_in: int, d_out: int, kernel: int) -> tuple[nn.Module, ...]:
    """Batch norm and ReLU first, then a convolution without bias."""
    convolution = nn.Conv2d(d_in, d_out, kernel, padding=kernel // 2, bias=False)
    return nn.BatchNorm2d(d_in), nn.ReLU(), convolution


def _shortcut(d_in: int, d_out: int, stride: int) -> nn.Module:
    """Pass the input on, through a 1×1 convolution where the shape changes."""
    same = stride == 1 and d_in == d_out
    return nn.Identity() if same else ConvBN(d_in, d_out, 1, stride, relu=False)


def _stage(d_in: int, d_out: int, stride: int, blocks: int) -> nn.Sequential:
    """Stack residual blocks; the first changes the shape, and none but the last lacks its ReLU."""
    shapes = [(d_in, d_out, stride)] + [(d_out, d_out, 1)] * (blocks - 1)
    last = blocks - 1
    return nn.Sequential(*(Residual(*shape, relu=i < last) for i, shape in enumerate(shapes)))
