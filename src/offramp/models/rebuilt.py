"""A network rebuilt from the manifest and the weights of a bundle."""

import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model
from torch import nn

from offramp.core.bundle import Bundle, Manifest
from offramp.core.errors import BundleError
from offramp.core.head import OWN, HeadSpec
from offramp.models.auxiliary import Auxiliaries, Auxiliary
from offramp.models.network import END, MultiExitNetwork, build_network

AUXILIARIES = "auxiliaries"
"""Key of the metadata of a weights file: what its auxiliary networks judge, see `rebuild`."""

MOST_POSITIONS = 1000
"""More than any network has blocks."""


def planned_exits(manifest: Manifest) -> list[tuple[str, str]]:
    """List position and head of each segment of a bundle; the network's own end is the last."""
    exits = {planned.point: planned.head for planned in manifest.plan.exits}
    return list({**exits, END: OWN}.items())


def rebuild(manifest: Manifest, judged: Mapping[str, Any] | None = None) -> MultiExitNetwork:
    """Build the network of a bundle with random weights, cut exactly where its segments are.

    Args:
        manifest: which network, exits and heads.
        judged: what auxiliary networks judge, if there are any: under "positions" the number of
            positions of the network that they were trained on, under "places" which of these
            each exit of the bundle is.

    Raises:
        BadInput: the network is your own, and its file is not at hand or has changed.
        UnknownName: it lacks an exit.
    """
    *early, (end, own) = planned_exits(manifest)
    exits = {point: [HeadSpec.parse(head)] for point, head in early}
    network = build_network(manifest.model, exits)
    if judged is not None:
        auxiliaries = Auxiliaries(0, ())
        for (_, head), place in zip([*early, (end, own)], judged["places"], strict=True):
            made = Auxiliary(manifest.model.classes, judged["positions"], place)
            auxiliaries.places.append(nn.ModuleDict({head: made}))
        network.auxiliaries = auxiliaries
    return network.eval()


def load_weights(bundle: Bundle) -> MultiExitNetwork:
    """Rebuild the network of a bundle and fill it with the bundle's weights.

    Raises:
        BundleError: the bundle lacks them, or they do not fit.
        BadInput, UnknownName: see `rebuild`.
    """
    manifest = bundle.manifest
    if manifest.weights is None:
        raise BundleError(
            f"{bundle.folder} holds no weights for torch",
            repair="export it again: offramp export RUN PLAN --form torch",
        )
    file = str(bundle.folder / manifest.weights)
    try:
        with safe_open(file, "pt") as opened:
            told = (opened.metadata() or {}).get(AUXILIARIES)
        judged = None if told is None else _judged(told, len(planned_exits(manifest)))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _unfit(file, error) from error
    network = rebuild(manifest, judged)
    try:
        load_model(network, file)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise _unfit(file, error) from error
    return network


def _judged(told: str, exits: int) -> Mapping[str, Any]:
    """Read what auxiliary networks judge, see `rebuild`."""
    judged = json.loads(told)
    positions, places = judged["positions"], judged["places"]
    if type(positions) is not int or not exits <= positions <= MOST_POSITIONS:
        raise ValueError(f"auxiliary networks of {positions} positions")
    if len(places) != exits or any(type(n) is not int or not 0 <= n < positions for n in places):
        raise ValueError(f"auxiliary networks at {places}, of {positions} positions")
    return {"positions": positions, "places": places}


def _unfit(file: str, error: Exception) -> BundleError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return BundleError(f"{file} does not fit the network", got=lines[-1] if lines else repr(error))
