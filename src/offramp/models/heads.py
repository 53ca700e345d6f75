"""Build a head from its specification (MESS eq. 1)."""

from torch import nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from offramp.core.head import HeadSpec
from offramp.models.layers import ConvBN


def build_head(spec: HeadSpec, feature: tuple[int, int, int], classes: int) -> nn.Module:
    """Build a head that maps features N×D×h×w to logits N×C×h×w, or N×C×1×1 if it is "fc".

    A 1×1 reduction, then 3×3 blocks of constant width, then the FCN head (3×3 to a quarter of
    the channels, 1×1 to classes) or the DeepLabV3 head. With rapid dilation the blocks dilate
    by 2, 4, 8: MESS's "doubles at each block", counted from the undilated features.

    Args:
        spec: the architecture.
        feature: channels D, height h and width w of the features.
        classes: number of classes C.
    """
    d_in, height, width = feature
    if spec.kind == "fc":
        linear = nn.Linear(d_in * height * width, classes)
        return nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, (classes, 1, 1)))
    d = spec.width(d_in)
    layers: list[nn.Module] = [ConvBN(d_in, d)] if spec.reduces(d_in) else []
    for block in range(spec.blocks):
        dilation = 2 ** (block + 1) if spec.rapid else 1
        layers.append(ConvBN(d, d, 3, dilation=dilation))
    end = FCNHead(d, classes) if spec.kind == "fcn" else DeepLabHead(d, classes, (12, 24, 36))
    return nn.Sequential(*layers, end)
