"""A recipe: everything that a training run is told, as strict YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import CLASSIFIER, FULL, LIGHT, PLAIN, HeadSpec
from offramp.core.model import Size, parse_size
from offramp.core.spec import Spec, parse_yaml

Share = Annotated[float, Field(gt=0, le=1)]


class Augment(Spec):
    """What is done to image and mask together, at random.

    Attributes:
        scale: smallest and largest share of the image's area that a crop covers.
        flip: mirror left and right, every other time.
        brightness: largest relative change of brightness.
        contrast: largest relative change of contrast.
        rgb_shift: largest shift of each colour channel, from 0 to 255.
    """

    scale: tuple[Share, Share] = (0.4, 1.0)
    flip: bool = True
    brightness: float = Field(default=0.3, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0, le=1)
    rgb_shift: float = Field(default=12.0, ge=0, le=255)

    @model_validator(mode="after")
    def _scale_grows(self) -> "Augment":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must run from smaller to larger, not {self.scale}")
        return self


class Optimisation(Spec):
    """How one stage steps: AdamW with polynomial decay lr·(1 − i/T)^power (IOT).

    Attributes:
        epochs: passes over the training split.
        batch: images a step.
        lr: first learning rate.
        power: exponent of the decay.
        weight_decay: of AdamW.
    """

    epochs: int = Field(default=40, ge=1)
    batch: int = Field(default=8, ge=2)
    lr: float = Field(default=2e-3, gt=0)
    power: float = Field(default=0.9, ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)


class Distillation(Optimisation):
    """Stage 2: frozen backbone, all heads together.

    Attributes:
        alpha: weight of the ground truth in positive-filtering distillation (MESS eq. 3). Lower
            values let KL(yᵢ‖y_N), which forgives what a head leaves out, drop rare classes.
        loss_stride: the loss looks at every so-manieth pixel each way. Heads answer at an output
            stride of 8 and more, so 2 loses little, and the losses of many heads cost a quarter.
    """

    epochs: int = Field(default=20, ge=1)
    lr: float = Field(default=4e-3, gt=0)
    alpha: float = Field(default=0.9, ge=0, le=1)
    loss_stride: int = Field(default=2, ge=1, le=8)


class Exits(Spec):
    """Candidate exits.

    Attributes:
        points: blocks after which heads are attached; absent: the network's usual ones.
        heads: "light", "full" (all 56 of MESS eq. 1), or a list of head names. A network that
            classifies whole images has but one head, "fc", in either space.
    """

    points: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    heads: Literal["light", "full"] | Annotated[tuple[str, ...], Field(min_length=1)] = "light"

    @field_validator("heads", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        if isinstance(value, str) and value not in ("light", "full"):
            return (value,)
        return value

    def specs(self, plain: HeadSpec = PLAIN) -> tuple[HeadSpec, ...]:
        """List the head specifications of a position.

        Args:
            plain: the head that stage 1 trains.

        Raises:
            UnknownName: a name is no head.
        """
        if isinstance(self.heads, str):
            if plain == CLASSIFIER:
                return (plain,)
            return LIGHT if self.heads == "light" else FULL
        return tuple(HeadSpec.parse(name) for name in self.heads)


class Recipe(Spec):
    """A whole training run.

    Attributes:
        size: input size, "WxH" in pixels.
        knobs: static choices of the architecture.
        weights: what stage 1 starts from: "imagenet", "segmentation", "package", or a path that
            ends in ".safetensors", as `models.weights` reads it; absent: random weights.
        exits: candidate exits.
        augment: augmentation.
        class_weights: "none", or "enet": 1 / log(1.02 + share of the class), scaled to mean 1
            (Paszke et al. 2016).
        stage1: exit-aware pre-training.
        stage2: distillation into the heads.
        seed: everything random derives from it.
        workers: processes that read images; 0 reads in the training process.
    """

    size: str = "320x192"
    knobs: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    exits: Exits = Exits()
    augment: Augment = Augment()
    class_weights: Literal["none", "enet"] = "enet"
    stage1: Optimisation = Optimisation()
    stage2: Distillation = Distillation()
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=0, ge=0)

    @property
    def pixels(self) -> Size:
        """Input height and width in pixels."""
        return parse_size(self.size)


def load_recipe(file: Path | None, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe and change single keys of it.

    Args:
        file: YAML file; absent: the defaults.
        settings: changes such as "stage1.epochs=3"; values are YAML.

    Raises:
        BadInput: the file or a setting is not understood.
        UnknownName: a key is not one of a recipe's.
    """
    value: dict[str, Any] = {}
    if file is not None:
        if not file.is_file():
            raise BadInput(f"there is no recipe {file}")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{file} cannot be read", got=str(error)) from None
        value = parse_yaml(text, str(file)) or {}
        if not isinstance(value, dict):
            raise BadInput(f"{file} is not a recipe", expected="keys such as 'stage1'")
    for setting in settings:
        _apply(value, setting)
    recipe = Recipe.parse(value, str(file) if file else "the recipe")
    _ = recipe.pixels, recipe.exits.specs()  # raise now rather than after an hour
    return recipe


def _apply(value: dict[str, Any], setting: str) -> None:
    """Change the nested key of "a.b=c" in place."""
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise BadInput("a setting that changes nothing", expected="key=value", got=f"'{setting}'")
    *parents, last = path.split(".")
    for parent in parents:
        inner = value.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UnknownName("key in the recipe", path, list(Recipe.model_fields))
        value = inner
    value[last] = parse_yaml(text, f"the setting '{setting}'")
