"""Augmentation: what is done at random to image and mask together, as keys or by a name.

The named sets are those of the papers. Each says what a paper tells and where it is silent.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from offramp.core.errors import UnknownName
from offramp.core.spec import Spec

Share = Annotated[float, Field(gt=0, le=1)]
Factor = Annotated[float, Field(ge=0.1, le=10)]
Chance = Annotated[float, Field(ge=0, le=1)]


class Augment(Spec):
    """What is done to image and mask together, at random.

    Attributes:
        scale: smallest and largest share of the image's area that a crop covers; the crop is
            then resized to the network's size. None where `zoom` is given; with neither, the
            whole image is resized.
        zoom: smallest and largest factor by which both sides of the frame, as the network is
            fed it, grow before a crop of the network's size is taken. What a smaller frame
            leaves free is grey, and counts nowhere.
        flip: mirror left and right, every other time.
        rotate: largest turn to either side, in degrees.
        shift: largest shift along each side, as its share.
        move_chance: share of the images that are turned and shifted.
        brightness: largest relative change of brightness.
        contrast: largest relative change of contrast.
        rgb_shift: largest shift of each colour channel, from 0 to 255.
        colour_chance: share of the images whose brightness and contrast change, and, drawn
            again, of those whose channels shift.
    """

    scale: tuple[Share, Share] | None = (0.4, 1.0)
    zoom: tuple[Factor, Factor] | None = None
    flip: bool = True
    rotate: float = Field(default=0.0, ge=0, le=180)
    shift: float = Field(default=0.0, ge=0, le=1)
    move_chance: Chance = 1.0
    brightness: float = Field(default=0.3, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0, le=1)
    rgb_shift: float = Field(default=12.0, ge=0, le=255)
    colour_chance: Chance = 1.0

    @model_validator(mode="before")
    @classmethod
    def _zoom_takes_the_place_of_scale(cls, value: object) -> object:
        if isinstance(value, Mapping) and value.get("zoom") is not None:
            return {"scale": None, **value}
        return value

    @model_validator(mode="after")
    def _crops_are_ranges(self) -> "Augment":
        if self.scale and self.zoom:
            raise ValueError("one of scale and zoom, for they are two ways to crop")
        for name, crop in (("scale", self.scale), ("zoom", self.zoom)):
            if crop and crop[0] > crop[1]:
                raise ValueError(f"{name} must run from smaller to larger, not {crop}")
        return self


NONE = Augment(scale=None, flip=False, brightness=0.0, contrast=0.0, rgb_shift=0.0)
"""Images are resized as for validation, and nothing else."""

_SCALE_AND_FLIP = NONE.model_copy(update={"zoom": (0.5, 2.0), "flip": True})

SETS: Mapping[str, Augment] = {
    "none": NONE,
    # IOT §3.3.1 names random crop of 512x512 from 960x540, shift-scale-rotate, RGB shift, and
    # brightness and contrast. Limits and chances are those of its published code. The crop is
    # half of the frame's area; here it goes up to all of it, which is what is run.
    "iot": Augment(
        scale=(0.5, 1.0),
        flip=False,
        rotate=15.0,
        shift=0.05,
        move_chance=0.5,
        brightness=0.2,
        contrast=0.2,
        rgb_shift=15.0,
        colour_chance=0.3,
    ),
    # VIDEO does not say how it augments: so do the authors of its network (Wang et al. 2020).
    "hrnet": _SCALE_AND_FLIP,
    # MESS does not say either: so does torchvision in training the same networks on COCO.
    "mess": _SCALE_AND_FLIP,
}
"""Augmentation by name."""


def expanded(told: Any) -> Any:
    """Turn what a recipe says of augmentation into plain keys: a name, `{set: name, ...}`, keys.

    Whatever else it may be comes back as it is, for `Augment` to refuse.

    Raises:
        UnknownName: there is no such set.
    """
    if isinstance(told, str):
        told = {"set": told}
    if not isinstance(told, dict) or "set" not in told:
        return told
    name, changes = told["set"], {key: value for key, value in told.items() if key != "set"}
    if not isinstance(name, str) or name not in SETS:
        raise UnknownName("augmentation", str(name), SETS)
    base = SETS[name].model_dump(mode="json")
    if {"scale", "zoom"} & changes.keys():  # what is told takes the place of the set's crop
        base |= {"scale": None, "zoom": None}
    return base | changes
