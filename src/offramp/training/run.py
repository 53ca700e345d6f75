"""A run: the folder that training fills and that recording, search and export read.

    RUN/
      run.json               what network, which exits, which data, how far
      recipe.yaml            what the run was told
      stage1.safetensors     best epoch of stage 1
      weights.safetensors    the trained network, all heads
      log/                   CSV and TensorBoard
      checkpoints/           to resume from
      trace.npz costs.json   written by `offramp record`
      plans/                 written by `offramp search`
"""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from offramp.core.errors import BadInput
from offramp.core.files import read_json, write_text, written
from offramp.core.head import HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.spec import Spec
from offramp.data.dataset import Dataset
from offramp.models.network import MultiExitNetwork, build_network
from offramp.training.recipe import Recipe, as_mapping, load_recipe


class RunState(Spec):
    """The content of `run.json`.

    Attributes:
        model: what network it is.
        exits: head names by position.
        data: absolute path of the data set's YAML file.
        done: the training stages that are finished.
        miou: mIoU of each exit ("point/head") on the validation split, at the network's size.
    """

    model: ModelSpec
    exits: dict[str, tuple[str, ...]]
    data: str
    done: tuple[Literal["stage1", "stage2"], ...] = ()
    miou: dict[str, float] = Field(default_factory=dict)


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
    def create(cls, folder: Path, model: ModelSpec, recipe: Recipe, data: Dataset) -> "Run":
        """Write a new run's state and recipe.

        Raises:
            UnknownName: the model has no such exit.
        """
        from offramp.models.zoo import entry

        points = recipe.exits.points or entry(model.name).exits
        heads = tuple(spec.name for spec in recipe.exits.specs())
        state = RunState(
            model=model, exits=dict.fromkeys(points, heads), data=str(data.file.resolve())
        )
        run = cls(folder, state)
        write_text(folder / "recipe.yaml", yaml.safe_dump(dict(as_mapping(recipe)), sort_keys=False))
        run.update(state)
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
    def trace_file(self) -> Path:
        """Where the trace is."""
        return self.folder / "trace.npz"

    @property
    def costs_file(self) -> Path:
        """Where the cost table is."""
        return self.folder / "costs.json"

    def update(self, state: RunState) -> None:
        """Replace the state, on disk too."""
        self.state = state
        write_text(self.folder / "run.json", state.model_dump_json(indent=2) + "\n")

    def load_network(self) -> MultiExitNetwork:
        """Build the trained network with all its heads, in eval mode.

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
        return network.eval()


def save_weights(network: MultiExitNetwork, file: Path) -> None:
    """Write the network's weights as safetensors, whole or not at all."""
    with written(file) as partial:
        save_model(network, str(partial))


def load_weights(network: MultiExitNetwork, file: Path) -> None:
    """Load weights that fit exactly.

    Raises:
        BadInput: the file is absent, is no safetensors file, or belongs to another network.
    """
    try:
        load_model(network, str(file))
    except FileNotFoundError:
        raise BadInput(f"the weights {file} do not exist") from None
    except (SafetensorError, RuntimeError) as error:
        got = str(error).splitlines()[0]
        raise BadInput(f"the weights {file} do not fit {network.spec.name}", got=got) from None
