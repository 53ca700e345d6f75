"""Any backbone of timm with a light segmentation head.

image ─ backbone ─ level1, level2, … ─ head: a feature pyramid (Lin et al. 2017), summed

The levels are the feature maps that timm's `features_only` gives from stride 4 on, the finest
first; they are where early exits go.
"""

from collections.abc import Sequence

import timm
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models.fake import fake_run
from offramp.models.layers import ConvBN, resized

FINEST = 4
"""The least stride of a level; finer maps stay within the backbone."""

WIDTH = 64
"""Channels of the head."""


class Backbone(nn.Module):
    """Map N×3×H×W to logits N×C×h×w at the stride of the finest level that is at least 4.

    Args:
        classes: number of classes C.
        name: a model of timm that offers `features_only`.
        channels: 3 for RGB, 1 for luma.

    Raises:
        UnknownName: timm knows no such model.
        BadInput: the model gives no feature maps.
    """

    def __init__(self, classes: int, name: str, *, channels: int = 3) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise UnknownName("model of timm", name, timm.list_models())
        try:
            self.backbone = timm.create_model(
                name, pretrained=False, features_only=True, in_chans=channels
            )
        except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
            raise BadInput(
                f"timm's {name} cannot be a backbone",
                expected="a model that offers features_only",
                got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            ) from error
        info = self.backbone.feature_info
        self.last_is_channels = _last_is_channels(self.backbone, name, channels)
        self.finest = next((i for i, r in enumerate(info.reduction()) if r >= FINEST), 0)
        widths = info.channels()[self.finest :]
        self.levels = tuple(f"level{number}" for number in range(1, len(widths) + 1))
        for level in self.levels:
            self.add_module(level, nn.Identity())  # a name to cut after
        self.head = PyramidHead(widths, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×3×H×W to N×C×h×w."""
        maps = self.backbone(x)[self.finest :]
        if self.last_is_channels:
            maps = [part.permute(0, 3, 1, 2) for part in maps]  # N×D×h×w
        named = zip(self.levels, maps, strict=True)
        return self.head([self.get_submodule(level)(part) for level, part in named])


def _last_is_channels(backbone: nn.Module, name: str, channels: int) -> bool:
    """Tell by a trial whether a backbone gives maps N×h×w×D, as some transformers do."""
    config = timm.get_pretrained_cfg(name)
    side = config.input_size[-1] if config is not None else 224
    first = fake_run(backbone, torch.zeros(1, channels, side, side))[0]
    return first.shape[1] != backbone.feature_info.channels()[0] == first.shape[-1]


class PyramidHead(nn.Module):
    """Bring maps to one width, add them from coarse to fine, and classify the sum."""

    def __init__(self, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvBN(d, WIDTH) for d in channels)
        self.smooth = ConvBN(WIDTH, WIDTH, 3)
        self.classify = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map N×Dᵢ×hᵢ×wᵢ, the finest first, to N×C×h×w."""
        *finer, total = (lateral(x) for lateral, x in zip(self.lateral, maps, strict=True))
        for x in reversed(finer):
            total = x + resized(total, x.shape[-2:])
        return self.classify(self.smooth(total))
