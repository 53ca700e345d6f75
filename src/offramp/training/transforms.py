"""Augmentation as torchvision's transforms, which treat image and mask alike.

Everything random is drawn from torch's numbers of the moment, whose seed the caller sets.
"""

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from offramp.core.model import Size
from offramp.training.augment import Augment

GREY = 128
"""What is shown where there is no image."""


def transforms(augment: Augment, size: Size, ignore_index: int) -> v2.Transform:
    """Build what turns an image uint8 3×H×W and a mask int64 H×W into those of a step.

    Args:
        augment: what happens at random.
        size: height and width in pixels that come out.
        ignore_index: the label of what no image covers.
    """
    fill = {tv_tensors.Image: GREY, tv_tensors.Mask: ignore_index}
    colours = v2.ColorJitter(brightness=augment.brightness, contrast=augment.contrast)
    return v2.Compose(
        [
            *_moved(augment, fill),
            *_cropped(augment, size, fill),
            *([v2.RandomHorizontalFlip()] if augment.flip else []),
            _sometimes(colours, augment.colour_chance),
            _sometimes(RGBShift(augment.rgb_shift), augment.colour_chance),
        ]
    )


def _sometimes(transform: v2.Transform, chance: float) -> v2.Transform:
    """Apply `transform` to a share of the images."""
    return transform if chance == 1 else v2.RandomApply([transform], p=chance)


def _moved(augment: Augment, fill: dict[Any, int]) -> list[v2.Transform]:
    """Turn and shift image and mask; what comes into view is grey, and counts nowhere."""
    if not (augment.rotate or augment.shift):
        return []
    affine = v2.RandomAffine(
        degrees=augment.rotate,
        translate=(augment.shift, augment.shift),
        interpolation=v2.InterpolationMode.BILINEAR,
        fill=fill,
    )
    return [_sometimes(affine, augment.move_chance)]


def _cropped(augment: Augment, size: Size, fill: dict[Any, int]) -> list[v2.Transform]:
    """Bring image and mask to the size that comes out."""
    if augment.zoom is not None:
        return [Zoom(size, augment.zoom), v2.RandomCrop(size, pad_if_needed=True, fill=fill)]
    if augment.scale is None:
        return [v2.Resize(size, antialias=True)]
    ratio = size[1] / size[0]
    ratios = (ratio * 0.8, ratio * 1.25)
    return [v2.RandomResizedCrop(size, scale=augment.scale, ratio=ratios, antialias=True)]


class Zoom(v2.Transform):
    """Resize image and mask to the network's size times a random factor.

    The factor is relative to the frame as the network is fed it, so that 1 shows things as large
    as they are seen when the network runs.
    """

    def __init__(self, size: Size, factors: tuple[float, float]) -> None:
        super().__init__()
        self.size = size
        self.factors = factors

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the factor, evenly."""
        smallest, largest = self.factors
        factor = smallest + (largest - smallest) * float(torch.rand(()))
        return {"size": [max(1, round(side * factor)) for side in self.size]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize an image with antialiasing, a mask by the nearest neighbour."""
        return v2.functional.resize(inpt, params["size"], antialias=True)


class RGBShift(v2.Transform):
    """Add a random number to each colour channel of an image; masks pass."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one shift a channel."""
        return {"shift": (torch.rand(3, 1, 1) * 2 - 1) * self.limit}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Shift an image uint8 3×H×W."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        shifted = (inpt.as_subclass(Tensor).float() + params["shift"]).clamp(0, 255)
        return tv_tensors.Image(shifted.to(torch.uint8))
