"""A run: the folder that training fills and that recording, search and export read.

RUN/
  run.json               what network, which exits, which data, how far
  recipe.yaml            what the run was told
  stage1.safetensors     best epoch of stage 1
  weights.safetensors    the trained network, all heads
  auxiliary.safetensors  what computes learned scores; written by `offramp learn`
  log/                   CSV and TensorBoard
  checkpoints/           to resume from
  trace.npz costs.json   written by `offramp record`
  plans/                 written by `offramp search`
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
import yaml
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_model
from torch import nn

from offramp.core.errors import BadInput
from offramp.core.files import read_json, write_text, written
from offramp.core.head import HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.spec import Spec
from offramp.data.dataset import Dataset
from offramp.data.images import Array, read_image
from offramp.models.blocks import usual_exits
from offramp.models.network import MultiExitNetwork, build_network, uncut_name
from offramp.models.own import absolute
from offramp.models.weights import absolute_weights, load_into
from offramp.models.zoo import build_spec, entry
from offramp.training.recipe import Recipe, load_recipe


class RunState(Spec):
    """The content of `run.json`.

    Attributes:
        model: what network it is.
        exits: head names by position.
        data: absolute path of the data set's YAML file.
        done: the training stages that are finished.
        miou: mIoU of each exit ("point/head") on the validation split, at the network's size.
        weights: what stage 1 started from, in one line; empty: random weights.
    """

    model: ModelSpec
    exits: dict[str, tuple[str, ...]]
    data: str
    done: tuple[Literal["stage1", "stage2"], ...] = ()
    miou: dict[str, float] = Field(default_factory=dict)
    weights: str = ""


class Run:
    """A run folder.

    Args:
        folder: where it is.
        state: what `run.json` says.
    """

    def __init__(self, folder: Path, state: RunState) -> None:
        self.folder = folder
        self.state = state

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open an existing run.

        Raises:
            BadInput: `folder` is not a run.
        """
        file = folder / "run.json"
        if not file.is_file():
            raise BadInput(
                f"{folder} is not a run",
                expected="a folder that holds run.json",
                repair="train one: offramp train --data DATA --model MODEL --out RUN",
            )
        value = read_json(file)
        if not isinstance(value, dict):
            raise BadInput(f"{file} is not the state of a run", expected="a JSON object")
        return cls(folder, RunState.parse(value, str(file)))

    @classmethod
    def create(cls, folder: Path, model: str, recipe: Recipe, data: Dataset) -> "Run":
        """Begin a run: write its state and recipe.

        Args:
            folder: where it goes.
            model: name of a network, as `models.zoo` reads it.
            recipe: what it is told.
            data: what it learns from.

        Raises:
            UnknownName: there is no such network, knob or exit.
            BadInput: the folder holds a run already, a knob's value does not fit, or the weights
                to start from cannot be had.
        """
        recipe = _settled(recipe)
        if (folder / "run.json").exists():
            raise BadInput(
                f"{folder} already holds a run",
                repair="go on with it by --resume, or give another --out",
            )
        spec = _model_spec(model, recipe, data)
        points = recipe.exits.points or usual_exits(spec)
        heads = _heads(recipe, entry(model).head)
        network = build_network(spec, dict.fromkeys(points, heads))  # refuse now what will not do
        _require_weights_for(network.points, recipe)
        names = tuple(head.name for head in heads)
        run = cls(folder, RunState(model=spec, exits={}, data=str(data.file.resolve())))
        if recipe.weights is not None:
            loaded = load_into(build_spec(spec), spec.name, recipe.weights)
            run.state = run.state.model_copy(update={"weights": str(loaded)})
        told = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
        write_text(folder / "recipe.yaml", told)
        run.update(
            run.state.model_copy(update={"exits": dict.fromkeys(network.points[:-1], names)})
        )
        return run

    @classmethod
    def resume(cls, folder: Path, model: str, recipe: Recipe, data: Dataset) -> "Run":
        """Open a run to go on with, or begin it if there is none.

        Raises:
            BadInput: it was begun with other arguments.
            UnknownName: as `create`.
        """
        if not (folder / "run.json").exists():
            return cls.create(folder, model, recipe, data)
        run, recipe = cls.open(folder), _settled(recipe)
        if run.state.model != _model_spec(model, recipe, data) or run.recipe != recipe:
            raise BadInput(
                f"{folder} was begun with another model, data set or recipe",
                expected="the arguments of the first call",
            )
        return run

    @property
    def recipe(self) -> Recipe:
        """What the run was told."""
        return load_recipe(self.folder / "recipe.yaml")

    @property
    def dataset(self) -> Dataset:
        """The data set that the run was trained on."""
        return Dataset.open(Path(self.state.data))

    @property
    def exits(self) -> dict[str, list[HeadSpec]]:
        """Head specifications by early position."""
        return {
            point: [HeadSpec.parse(name) for name in names]
            for point, names in self.state.exits.items()
        }

    @property
    def auxiliary_file(self) -> Path:
        """Where the auxiliary networks are, if they were trained."""
        return self.folder / "auxiliary.safetensors"

    @property
    def trace_file(self) -> Path:
        """Where the trace is."""
        return self.folder / "trace.npz"

    @property
    def costs_file(self) -> Path:
        """Where the cost table is."""
        return self.folder / "costs.json"

    def take_stage1(self, other: "Run") -> None:
        """Begin at stage 2, on the backbone that another run's stage 1 trained.

        Raises:
            BadInput: the other run has no finished stage 1, or trained another network; or one
                of the two has no stage 2.
        """
        if "stage1" not in other.state.done:
            raise BadInput(f"{other.folder} has not finished stage 1")
        for run in (self, other):
            if run.recipe.stage2 is None:
                raise BadInput(
                    f"{run.folder} has no stage 2, so its stage 1 stands alone",
                    expected="two runs whose recipes have a stage2",
                )
        model = self.state.model
        if (model.name, model.knobs, model.names) != (
            other.state.model.name,
            other.state.model.knobs,
            other.state.model.names,
        ):
            raise BadInput(f"{other.folder} trained another network or other classes")
        network = self.plain_network()
        load_backbone(network, other.folder / "stage1.safetensors")
        save_weights(network, self.folder / "stage1.safetensors")
        self.update(
            self.state.model_copy(update={"done": ("stage1",), "weights": other.state.weights})
        )

    def plain_network(self, weights: str | None = None) -> MultiExitNetwork:
        """Build the network of stage 1, with seeded weights.

        It has a plain FCN head at every exit, or the run's own heads where no stage 2 follows.

        Args:
            weights: trained weights to put in place of the seeded ones.
        """
        head = entry(self.state.model.name).head
        plain = {point: [head] for point in self.state.exits}
        with torch.random.fork_rng():
            torch.manual_seed(self.recipe.seed)
            exits = plain if self.recipe.stage2 else self.exits
            return build_network(self.state.model, exits, weights)

    def update(self, state: RunState) -> None:
        """Replace the state, on disk too."""
        self.state = state
        write_text(self.folder / "run.json", state.model_dump_json(indent=2) + "\n")

    def frames(self, count: int) -> list[Array]:
        """Read the first `count` calibration images, or validation images where there are none."""
        data = self.dataset
        split = "calib" if "calib" in data.splits else "val"
        return [read_image(sample.image) for sample in data.samples(split)[:count]]

    def load_network(self) -> MultiExitNetwork:
        """Build the trained network with all its heads, in eval mode.

        It has auxiliary networks if they were trained.

        Raises:
            BadInput: the run is not trained to its end, or its weights do not fit.
        """
        if "stage2" not in self.state.done:
            raise BadInput(
                f"{self.folder} is not trained to its end",
                got=f"finished: {', '.join(self.state.done) or 'nothing'}",
                repair="finish it: offramp train ... --resume",
            )
        network = build_network(self.state.model, self.exits)
        load_weights(network, self.folder / "weights.safetensors")
        if self.auxiliary_file.is_file():
            with _explained(network, self.auxiliary_file):
                load_model(network.add_auxiliaries(), str(self.auxiliary_file))
        return network.eval()


def _heads(recipe: Recipe, plain: HeadSpec) -> tuple[HeadSpec, ...]:
    """List the heads of each exit: a stage 1 that is not followed by another trains the plain one.

    Others it trains only where they are named one by one, since all learn at once with the
    backbone.
    """
    if recipe.stage2 is None and isinstance(recipe.exits.heads, str):
        return (plain,)
    return recipe.exits.specs(plain)


def _settled(recipe: Recipe) -> Recipe:
    """Make a recipe mean the same in every working directory."""
    if recipe.weights is None:
        return recipe
    return recipe.model_copy(update={"weights": absolute_weights(recipe.weights)})


def _require_weights_for(points: Sequence[str], recipe: Recipe) -> None:
    """Refuse exit weights that do not fit the exits."""
    given = recipe.stage1.exit_weights
    if given and (len(given) != len(points) or not sum(given) > 0):
        raise BadInput(
            "stage1.exit_weights do not fit",
            expected=f"{len(points)} weights, for {', '.join(points)}; one above 0",
            got=str(list(given)),
        )


def _model_spec(model: str, recipe: Recipe, data: Dataset) -> ModelSpec:
    """Say what network a recipe makes for a data set."""
    return ModelSpec(
        name=absolute(model),
        names=data.names,
        size=recipe.pixels,
        knobs=recipe.knobs,
        ignore_index=data.spec.ignore_index,
        palette=data.palette,
    )


def save_weights(network: nn.Module, file: Path) -> None:
    """Write a network's weights as safetensors, whole or not at all."""
    with written(file) as partial:
        save_model(network, str(partial))


def load_weights(network: MultiExitNetwork, file: Path) -> None:
    """Load weights that fit exactly.

    Raises:
        BadInput: the file is absent, is no safetensors file, or belongs to another network.
    """
    with _explained(network, file):
        load_model(network, str(file))


def load_backbone(network: MultiExitNetwork, file: Path) -> None:
    """Load the backbone alone, wherever the network that wrote the file was cut.

    Raises:
        BadInput: as `load_weights`.
    """
    with _explained(network, file):
        given = {_backbone(key): tensor for key, tensor in load_file(str(file)).items()}
        wanted = {key: _backbone(key) for key in network.segments.state_dict(prefix="segments.")}
        missing = sorted(name for name in wanted.values() if name not in given)
        if missing:
            raise RuntimeError(f"it has no {missing[0]}")
        state = {key.removeprefix("segments."): given[name] for key, name in wanted.items()}
        network.segments.load_state_dict(state)


def _backbone(key: str) -> str:
    """Write a segment's parameter as the uncut network names it; heads keep their names."""
    return f"backbone.{uncut_name(key)}" if key.startswith("segments.") else key


@contextmanager
def _explained(network: MultiExitNetwork, file: Path) -> Iterator[None]:
    """Turn what can go wrong in loading into one clear error."""
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"the weights {file} do not exist") from None
    except (SafetensorError, RuntimeError) as error:
        got = str(error).splitlines()[0]
        raise BadInput(f"the weights {file} do not fit {network.spec.name}", got=got) from None
