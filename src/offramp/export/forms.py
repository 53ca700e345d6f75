"""Further forms of a bundle: the same network once more, for other programs and engines."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from offramp.core.bundle import Bundle, FormParity, Manifest
from offramp.core.errors import UnknownName
from offramp.core.plan import Plan
from offramp.data.images import Array, resize_image
from offramp.export.parity import compare, compare_single
from offramp.export.prefixes import PrefixEngine
from offramp.export.single import require_single
from offramp.models.network import MultiExitNetwork
from offramp.runtime.engine import Engine
from offramp.runtime.engines import open_engine

FORMS = {
    "prefixes": ("offramp.export.prefixes", "write_prefixes"),
    "single": ("offramp.export.single", "write_single"),
    "torch": ("offramp.export.weights_form", "write_weights"),
    "ncnn": ("offramp.export.ncnn_form", "write_ncnn"),
}
"""Where each form's writer is: (network, manifest, folder) -> fields of the manifest."""

SCALES = (1.0, 0.6, 1.5)
"""Sides of the frames on which forms are compared, as multiples of the network's input."""

Writer = Callable[[MultiExitNetwork, Manifest, Path], dict[str, Any]]


def check_forms(forms: Sequence[str], plan: Plan) -> None:
    """Refuse forms that there are not, or that cannot follow a plan.

    Raises:
        UnknownName: there is no such form.
        BadInput: a single graph cannot follow the plan.
    """
    for name in forms:
        if name not in FORMS:
            raise UnknownName("form", name, FORMS)
    if "single" in forms:
        require_single(plan)


def write_forms(
    forms: Sequence[str], network: MultiExitNetwork, manifest: Manifest, folder: Path
) -> Manifest:
    """Write forms beside a bundle's graphs.

    Args:
        forms: names of `FORMS`.
        network: what the bundle is exported from.
        manifest: of the bundle.
        folder: where its graphs are.

    Returns:
        The manifest with the fields of the forms.

    Raises:
        BadInput: the plan or network does not fit a form.
        MissingExtra: a form's library is not installed.
    """
    for name in dict.fromkeys(forms):
        module, function = FORMS[name]
        write: Writer = getattr(import_module(module), function)
        manifest = manifest.model_copy(update=write(network, manifest, folder))
    return manifest


def compare_form(
    name: str, network: MultiExitNetwork, bundle: Bundle, images: Sequence[Array]
) -> FormParity:
    """Compare a form of a bundle with the network, on frames of three sizes.

    Args:
        name: one of `FORMS` that the bundle has.
        network: what it was exported from.
        bundle: the bundle.
        images: uint8 RGB frames of any size.
    """
    sized = three_sizes(images, network.spec.size)
    if name == "single":
        return compare_single(network, bundle, sized)
    engine: Engine
    if name == "prefixes":
        engine = PrefixEngine(bundle)
    else:  # with as many threads as before: torch's are those of the whole process
        engine = open_engine(name, bundle, torch.get_num_threads(), "f32")
    parity = compare(network, bundle, sized, engine)
    return FormParity(**parity.model_dump(exclude={"max_logit_difference"}))


def three_sizes(images: Sequence[Array], size: tuple[int, int]) -> list[Array]:
    """Resize frames in turn to the input size, smaller and larger; at least three of them.

    Sides are odd where the scale allows it, for enlarging then has no exact factor.
    """
    count = max(len(images), len(SCALES))
    frames = []
    for number in range(count):
        scale = SCALES[number % len(SCALES)]
        height, width = size if scale == 1 else (int(scale * side) | 1 for side in size)
        frames.append(resize_image(images[number % len(images)], (height, width)))
    return frames
