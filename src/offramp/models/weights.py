"""Trained weights for a network of the zoo, before its own training begins.

They come from a library, by kind ("imagenet", "segmentation", "package"), or from a file:

    a .safetensors file with the keys of     the network goes there
      the whole network                      all of it
      its backbone                           its backbone
      a run's stage1 or weights.safetensors  all of it; the run's exits have no place

Everything fits or nothing is loaded, with one exception: where the number of classes differs,
the last layer keeps its random start.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models.donors import BACKBONE, KINDS, Donor, Layout, at_hand, donor, known, layouts

__all__ = ["Loaded", "absolute_weights", "at_hand", "known", "load_into"]

SUFFIX = ".safetensors"

_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
_COUNTER = "num_batches_tracked"  # of batch norm; old files lack it, and nothing reads it
_CUT = re.compile(r"^segments\.\d+\.body\.")  # how a run's network, which is cut, begins keys
_SHOWN = 3  # keys in a message


@dataclass(frozen=True)
class Loaded:
    """What was loaded.

    Attributes:
        source: where from, in words.
        count: number of tensors.
        fresh: the network's tensors that keep their random start.
        dropped: the source's tensors that have no place in the network.
    """

    source: str
    count: int
    fresh: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{self.count} tensors from {self.source}"]
        parts += [f"{len(self.fresh)} left at random start"] if self.fresh else []
        parts += [f"{len(self.dropped)} of the source dropped"] if self.dropped else []
        return ", ".join(parts)


def load_into(module: nn.Module, name: str, weights: str) -> Loaded:
    """Load trained weights into a network that is not yet cut.

    Args:
        module: what `zoo.build` made.
        name: its name in the zoo.
        weights: "imagenet", "segmentation", "package", or a path that ends in ".safetensors".

    Raises:
        UnknownName: `weights` is nothing of these.
        BadInput: no library offers them, they cannot be had, or they do not fit.
    """
    if weights.endswith(SUFFIX):
        return _fill(module, name, _read(module, name, Path(weights)))
    if weights.endswith(_PICKLES):
        raise _pickle(weights)
    if weights in known(name):
        return _fill(module, name, donor(module, name, weights))
    offered = [*known(name), f"path/to/FILE{SUFFIX}"]
    if weights in KINDS:
        raise BadInput(
            f"no library offers weights '{weights}' for {name}", expected=" or ".join(offered)
        )
    raise UnknownName(f"kind of weights for {name}", weights, offered)


def absolute_weights(weights: str) -> str:
    """Write the path of a file out in full; kinds stay as they are."""
    return str(Path(weights).resolve()) if weights.endswith(SUFFIX) else weights


def _read(module: nn.Module, name: str, file: Path) -> Donor:
    """Read a file, and find out by its keys what it holds."""
    if not file.is_file():
        raise BadInput(f"there is no file of weights {file}")
    try:
        state = load_file(str(file))
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{file} is no safetensors file", got=str(error)) from None
    wanted = module.state_dict()
    if any(_CUT.match(key) and key not in wanted for key in state):
        state = {_CUT.sub("segments.", key): x for key, x in state.items()}
        return Donor(str(file), state, Layout("segments.", dropped=("heads.",)))
    possible = [Layout(), BACKBONE, *layouts(name)]

    def fit(layout: Layout) -> int:
        kept, _ = layout.sort(state)
        return sum(1 if key in wanted else -1 for key in kept)

    return Donor(str(file), state, max(possible, key=fit))


def _fill(module: nn.Module, name: str, given: Donor) -> Loaded:
    """Load what a donor gives into the part of the network that it is for."""
    state, dropped = given.layout.sort(given.state)
    wanted = module.state_dict()
    target = {key: x for key, x in wanted.items() if key.startswith(given.layout.ours)}
    last = _last_layer(module)
    fresh = {key for key in state if key in last and _other_classes(state[key], wanted[key])}
    faults = {
        "without a place": [key for key in state if key not in target],
        "missing": [key for key in target if key not in state and not key.endswith(_COUNTER)],
        "of another shape": [
            f"{key} {_shape(state[key])} instead of {_shape(target[key])}"
            for key in state
            if key in target and key not in fresh and state[key].shape != target[key].shape
        ],
    }
    if any(faults.values()):
        raise BadInput(
            f"the weights from {given.source} do not fit {name}",
            got="; ".join(
                f"{len(keys)} {how}: {_few(keys)}" for how, keys in faults.items() if keys
            ),
        )
    loaded = {key: x for key, x in state.items() if key not in fresh}
    module.load_state_dict(loaded, strict=False)
    left = tuple(key for key in wanted if key not in loaded and not key.endswith(_COUNTER))
    return Loaded(given.source, len(loaded), left, dropped)


def _last_layer(module: nn.Module) -> tuple[str, ...]:
    """Name the tensors of the layer that answers with one channel a class."""
    layers = [k for k, m in module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return tuple(f"{layers[-1]}.{kind}" for kind in ("weight", "bias")) if layers else ()


def _other_classes(theirs: Tensor, ours: Tensor) -> bool:
    """Tell whether tensors of the last layer differ in the number of classes alone."""
    return theirs.shape[:1] != ours.shape[:1] and theirs.shape[1:] == ours.shape[1:]


def _pickle(file: str) -> BadInput:
    out = str(Path(file).with_suffix(SUFFIX))
    return BadInput(
        f"{file} is a pickle, and opening one can run foreign code",
        expected=f"a {SUFFIX} file",
        repair='convert it: python -c "import torch; from safetensors.torch import save_file; '
        f"save_file(torch.load('{file}', weights_only=True, map_location='cpu'), '{out}')\"",
    )


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")


def _shape(x: Tensor) -> str:
    return "x".join(map(str, x.shape)) or "scalar"
