"""FCN and DeepLabV3 on dilated trunks: ResNet50 as torchvision has it, and MobileNetV2.

image ─ backbone 1/8 (later blocks dilate instead of striding) ─ classifier
"""

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from offramp.core.errors import BadInput

WIDTHS = (0.125, 4.0)
"""The least and the greatest width multiplier of MobileNetV2."""

_STRIDE = 8
_UNUSED = ("avgpool", "fc")  # what ResNet50 classifies with


class Dilated(nn.Module):
    """Map N×3×H×W to logits N×C×⌈H/8⌉×⌈W/8⌉.

    Args:
        backbone: maps N×3×H×W to features N×D×⌈H/8⌉×⌈W/8⌉; its children are the cut points.
        classifier: maps the features to logits.
    """

    def __init__(self, backbone: nn.Sequential, classifier: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Map N×3×H×W to N×C×H/8×W/8."""
        return self.classifier(self.backbone(x))


def fcn_resnet50(classes: int) -> Dilated:
    """Build torchvision's FCN on ResNet50, under torchvision's keys."""
    return Dilated(_resnet50(), FCNHead(2048, classes))


def deeplabv3_resnet50(classes: int) -> Dilated:
    """Build torchvision's DeepLabV3 on ResNet50, under torchvision's keys."""
    return Dilated(_resnet50(), DeepLabHead(2048, classes))


def fcn_mobilenetv2(classes: int, *, width: float = 1.0) -> Dilated:
    """Build an FCN on MobileNetV2.

    Args:
        classes: number of classes C.
        width: multiplier of all channel counts of the backbone.

    Raises:
        BadInput: the width is out of range.
    """
    backbone, d = _mobilenetv2(width)
    return Dilated(backbone, FCNHead(d, classes))


def deeplabv3_mobilenetv2(classes: int, *, width: float = 1.0) -> Dilated:
    """Build a DeepLabV3 on MobileNetV2.

    Args:
        classes: number of classes C.
        width: multiplier of all channel counts of the backbone; the head keeps its 256.

    Raises:
        BadInput: the width is out of range.
    """
    backbone, d = _mobilenetv2(width)
    return Dilated(backbone, DeepLabHead(d, classes))


def _resnet50() -> nn.Sequential:
    """Build ResNet50 up to `layer4`; `layer3` and `layer4` dilate by 2 and 4."""
    resnet = resnet50(weights=None, replace_stride_with_dilation=[False, True, True])
    kept = [(name, child) for name, child in resnet.named_children() if name not in _UNUSED]
    return nn.Sequential(OrderedDict(kept))


def _mobilenetv2(width: float) -> tuple[nn.Sequential, int]:
    """Build MobileNetV2's features without the last 1×1, and say how many channels come out.

    Each stride beyond 1/8 becomes 1 and doubles the dilation, from its own block on.
    """
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise BadInput(
            "mobilenetv2 cannot have that width",
            expected=f"width from {WIDTHS[0]} to {WIDTHS[1]}",
            got=str(width),
        )
    features = mobilenet_v2(weights=None, width_mult=width).features[:-1]
    stride = features[0][0].stride[0]
    dilation = 1
    for block in features[1:]:
        conv = _depthwise(block)
        if stride * conv.stride[0] > _STRIDE:
            dilation *= conv.stride[0]
            conv.stride = (1, 1)
        stride *= conv.stride[0]
        conv.dilation = conv.padding = (dilation, dilation)
    return features, features[-1].out_channels


def _depthwise(block: InvertedResidual) -> nn.Conv2d:
    """Find the 3×3 convolution of a block."""
    return next(m for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3))
