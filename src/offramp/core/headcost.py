"""What a head costs, as arithmetic on its specification: the same as building and counting it."""

from typing import NamedTuple

from offramp.core.costs import Cost
from offramp.core.head import HeadSpec

ASPP = 256
"""Channels inside the DeepLabV3 head."""


class _Conv(NamedTuple):
    """A convolution with batch norm, or with a bias where it is the last."""

    d_in: int
    d_out: int
    kernel: int
    cells: int
    last: bool = False

    @property
    def cost(self) -> Cost:
        """Its multiply-accumulates and parameters."""
        weights = self.d_in * self.d_out * self.kernel**2
        return Cost(
            macs=weights * self.cells,
            parameters=weights + self.d_out * (1 if self.last else 2),
        )


def head_cost(spec: HeadSpec, feature: tuple[int, int, int], classes: int) -> Cost:
    """Count the multiply-accumulates and parameters of a head for one image.

    Biases, batch norm, pooling and resizing count no multiply-accumulates.

    Args:
        spec: the architecture.
        feature: channels D, height h and width w of what it reads.
        classes: number of classes C.
    """
    d_in, height, width = feature
    cells = height * width
    if spec.kind == "fc":
        return _Conv(d_in * cells, classes, 1, 1, last=True).cost
    d = spec.width(d_in)
    convs = [_Conv(d_in, d, 1, cells)] if spec.reduces(d_in) else []
    convs += [_Conv(d, d, 3, cells)] * spec.blocks
    convs += _fcn(d, cells, classes) if spec.kind == "fcn" else _deeplab(d, cells, classes)
    return sum((conv.cost for conv in convs), Cost())


def _fcn(d: int, cells: int, classes: int) -> list[_Conv]:
    """List the FCN head: 3×3 to a quarter of the channels, 1×1 to classes."""
    return [_Conv(d, d // 4, 3, cells), _Conv(d // 4, classes, 1, cells, last=True)]


def _deeplab(d: int, cells: int, classes: int) -> list[_Conv]:
    """List the DeepLabV3 head: five branches, of which one sees a single cell, and their merger."""
    branches = [_Conv(d, ASPP, 1, cells), *[_Conv(d, ASPP, 3, cells)] * 3, _Conv(d, ASPP, 1, 1)]
    return [
        *branches,
        _Conv(len(branches) * ASPP, ASPP, 1, cells),
        _Conv(ASPP, ASPP, 3, cells),
        _Conv(ASPP, classes, 1, cells, last=True),
    ]
