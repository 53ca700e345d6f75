"""The building blocks that FastSCNN and its like share."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBN(nn.Sequential):
    """Convolution without bias, batch norm, and ReLU unless `relu` is off."""

    def __init__(
        self,
        d_in: int,
        d_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        dilation: int = 1,
        relu: bool = True,
    ) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(d_in, d_out, kernel, stride, padding, dilation, groups, bias=False),
            nn.BatchNorm2d(d_out),
            *([nn.ReLU()] if relu else []),
        )


class DepthwiseSeparable(nn.Sequential):
    """Depthwise 3×3 and pointwise 1×1 convolution, batch norm and ReLU after both."""

    def __init__(self, d_in: int, d_out: int, stride: int = 1) -> None:
        super().__init__(ConvBN(d_in, d_in, 3, stride, groups=d_in), ConvBN(d_in, d_out))


class InvertedBottleneck(nn.Module):
    """Expand, depthwise 3×3, project; with the identity added where shapes allow."""

    def __init__(self, d_in: int, d_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = d_in * expansion
        self.residual = stride == 1 and d_in == d_out
        self.layers = nn.Sequential(
            ConvBN(d_in, hidden),
            ConvBN(hidden, hidden, 3, stride, groups=hidden),
            ConvBN(hidden, d_out, relu=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D'×H/stride×W/stride."""
        y = self.layers(x)
        return x + y if self.residual else y


class AdaptivePool(nn.Module):
    """Average an N×D×H×W map into bins×bins cells, as `F.adaptive_avg_pool2d` does.

    Where the bins divide both sides this is a plain average pool. Elsewhere it is two
    products with constant matrices, since ONNX has no adaptive pooling and exporters answer
    with gathers that are slow (or, for free sizes, wrong): training and export run the same.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×H×W to N×D×bins×bins."""
        height, width = int(x.shape[-2]), int(x.shape[-1])
        if height % self.bins == 0 and width % self.bins == 0:
            return F.avg_pool2d(x, (height // self.bins, width // self.bins))
        rows = _bin_weights(self.bins, height).to(x)  # bins×H
        columns = _bin_weights(self.bins, width).to(x)  # bins×W
        return torch.matmul(torch.matmul(rows, x), columns.t())  # N×D×bins×bins


def _bin_weights(bins: int, side: int) -> Tensor:
    """Build the bins×side matrix whose row i averages cells ⌊i·side/bins⌋ to ⌈(i+1)·side/bins⌉."""
    weights = torch.zeros(bins, side)
    for row in range(bins):
        first, end = row * side // bins, -(-(row + 1) * side // bins)
        weights[row, first:end] = 1.0 / (end - first)
    return weights


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize N×D×H×W bilinearly to height and width `size`, pixel centres aligned."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def joined(maps: Sequence[Tensor]) -> Tensor:
    """Resize maps N×Dᵢ×hᵢ×wᵢ to the largest and concatenate them: N×ΣDᵢ×h×w (HRNetV2)."""
    size = max((tuple(part.shape[-2:]) for part in maps), key=math.prod)
    same = [part if part.shape[-2:] == size else resized(part, size) for part in maps]
    return torch.cat(same, dim=1)


def cropped(x: Tensor, kept: tuple[int, int], whole: tuple[int, int]) -> Tensor:
    """Keep the top left of a map N×D×h×w that covers `whole` pixels: the part over `kept` pixels.

    Where the cut falls between cells this is a slice. Elsewhere the kept part is resampled
    bilinearly to as many cells as come nearest to the old density.

    Args:
        x: the map.
        kept: height and width in pixels that shall be covered.
        whole: height and width in pixels that are covered.
    """
    for dim, (pixels, all_pixels) in zip((2, 3), zip(kept, whole, strict=True), strict=True):
        cells = int(x.shape[dim])
        fewer = max(round(cells * pixels / all_pixels), 1)
        if fewer * all_pixels == cells * pixels:
            x = x.narrow(dim, 0, fewer)
        else:
            weights = _crop_weights(fewer, cells, pixels / all_pixels).to(x)  # fewer×cells
            x = weights @ x if dim == 2 else x @ weights.t()
    return x


def _crop_weights(fewer: int, cells: int, share: float) -> Tensor:
    """Build the fewer×cells matrix that samples the first `share` of the cells bilinearly."""
    centres = (torch.arange(fewer) + 0.5) * share * cells / fewer - 0.5
    distance = (centres.clamp(0, cells - 1)[:, None] - torch.arange(cells)).abs()
    return (1 - distance).clamp(min=0)
