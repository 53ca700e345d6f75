"""A recipe: everything that a training run is told, as strict YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import CLASSIFIER, FULL, LIGHT, PLAIN, HeadSpec
from offramp.core.model import Size, parse_size
from offramp.core.spec import Spec, parse_yaml
from offramp.training.augment import Augment, expanded


class Optimisation(Spec):
    """How one stage steps.

    Attributes:
        epochs: passes over the training split.
        batch: images a step, in each process.
        lr: first learning rate.
        optimizer: "adamw", "adam" or "sgd".
        momentum: of SGD.
        weight_decay: decoupled with AdamW, in the gradient with the others.
        schedule: how the learning rate falls over the T steps of the stage: "polynomial",
            lr·(1 − i/T)^power (IOT); "cosine", lr·(1 + cos πi/T)/2; or "constant".
        power: exponent of the polynomial.
        clip: largest norm of the gradient; absent: any.
        accumulate: batches whose gradients make one step.
        patience: stop after so many epochs without a better one; absent: never.
    """

    epochs: int = Field(default=40, ge=1)
    batch: int = Field(default=8, ge=2)
    lr: float = Field(default=2e-3, gt=0)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    schedule: Literal["polynomial", "cosine", "constant"] = "polynomial"
    power: float = Field(default=0.9, ge=0)
    clip: Annotated[float, Field(gt=0)] | None = None
    accumulate: int = Field(default=1, ge=1)
    patience: Annotated[int, Field(ge=1)] | None = None


class Pretraining(Optimisation):
    """Stage 1: the backbone and the network's own head, with or without early exits.

    Attributes:
        scheme: which early exits join a step: "exit-aware" (one in turn, MESS §4.3),
            "exit-aware-literal" (MESS eq. 2 as written), "end-to-end" (all, VIDEO §3.2) or
            "plain" (none).
        exit_weights: with "end-to-end", the weight of each exit's loss in the order of the path,
            the network's end last; absent: all 1.
        freeze: blocks that keep their weights and batch-norm statistics, by name, such as
            "backbone": then only the rest is retrained.
    """

    scheme: Literal["exit-aware", "exit-aware-literal", "end-to-end", "plain"] = "exit-aware"
    exit_weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    freeze: tuple[str, ...] = ()


class Distillation(Optimisation):
    """Stage 2: frozen backbone, all heads together.

    Attributes:
        loss: "pfd" (positive-filtering distillation, MESS eq. 3), "self-distillation", "kd" or
            "ce", see `losses.distillation`.
        alpha: weight of the ground truth in the first two. Lower values let KL(yᵢ‖y_N), which
            forgives what a head leaves out, drop rare classes.
        divergence: "student" for KL(yᵢ‖y_N), "teacher" for KL(y_N‖yᵢ).
        loss_stride: the loss looks at every so-manieth pixel each way. Heads answer at an output
            stride of 8 and more, so 2 loses little, and the losses of many heads cost a quarter.
        views: augment each image so often and no more, and keep on disk what the frozen backbone
            says of these views; epoch e sees view e mod `views`. Pays where the backbone takes
            longer than the heads and `epochs` is larger. Absent: new views every epoch, and the
            backbone runs once a batch.
    """

    epochs: int = Field(default=20, ge=1)
    lr: float = Field(default=4e-3, gt=0)
    loss: Literal["pfd", "self-distillation", "kd", "ce"] = "pfd"
    alpha: float = Field(default=0.9, ge=0, le=1)
    divergence: Literal["student", "teacher"] = "student"
    loss_stride: int = Field(default=2, ge=1, le=8)
    views: Annotated[int, Field(ge=1)] | None = None


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
        augment: augmentation; in YAML also the name of a set, or `{set: name, ...}`.
        class_weights: "none", or "enet": 1 / log(1.02 + share of the class), scaled to mean 1
            (Paszke et al. 2016).
        stage1: training of the backbone.
        stage2: training of the candidate heads on the frozen backbone; `null`: none, the heads
            are those of stage 1.
        precision: "32-true", or "bf16-mixed" to compute in bfloat16 where torch deems it safe.
        seed: everything random derives from it.
        workers: processes that read images; 0 reads in the training process.
        devices: processes that train together on a machine, each on a GPU of its own where there
            are GPUs, else on the CPU. A step sees `devices` × `nodes` × `batch` images.
        nodes: machines that train together, see docs/cli/train.md.
    """

    size: str = "320x192"
    knobs: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    exits: Exits = Exits()
    augment: Augment = Augment()
    class_weights: Literal["none", "enet"] = "enet"
    stage1: Pretraining = Pretraining()
    stage2: Distillation | None = Distillation()
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=0, ge=0)
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)

    @property
    def pixels(self) -> Size:
        """Input height and width in pixels."""
        return parse_size(self.size)

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.devices * self.nodes


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
    if "augment" in value:
        value["augment"] = expanded(value["augment"])
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
        if parent == "augment" and isinstance(inner, str):
            inner = value[parent] = {"set": inner}
        if not isinstance(inner, dict):
            raise UnknownName("key in the recipe", path, list(Recipe.model_fields))
        value = inner
    value[last] = parse_yaml(text, f"the setting '{setting}'")
