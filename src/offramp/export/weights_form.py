"""A bundle's form for torch: the weights of just the network that its plan runs."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_model

from offramp.core.bundle import Manifest
from offramp.core.errors import BadInput
from offramp.core.score import ScoreSpec
from offramp.models.auxiliary import require_trained
from offramp.models.network import MultiExitNetwork, uncut_name
from offramp.models.rebuilt import AUXILIARIES, planned_exits, rebuild

WEIGHTS = "weights.safetensors"


def write_weights(network: MultiExitNetwork, manifest: Manifest, folder: Path) -> dict[str, Any]:
    """Write the weights of segments, planned heads and the auxiliary networks that are asked.

    Their names are those of the network that `models.rebuilt` builds from the manifest, which is
    cut at the plan's exits only, wherever else `network` is cut.

    Args:
        network: the trained network.
        manifest: which exits and scores.
        folder: where the file is written.

    Returns:
        The manifest's field `weights`.

    Raises:
        BadInput: the network cannot be built from its description, or is another then; or
            nothing was trained for a learned score.
        UnknownName: it is none of the zoo.
    """
    exits = planned_exits(manifest)
    scores = [ScoreSpec.parse(name) for name in manifest.plan.scores]
    require_trained(network.auxiliaries, scores)
    judged = None
    if any(spec.learned for spec in scores):
        places = [network.points.index(point) for point, _ in exits]
        judged = {"positions": len(network.points), "places": places}
    rebuilt = rebuild(manifest, judged)
    try:
        _fill(rebuilt, network)
    except (RuntimeError, KeyError) as error:
        raise BadInput(
            f"{manifest.model.name} is another network when it is built again",
            got=str(error).splitlines()[-1].strip(),
        ) from error
    told = {} if judged is None else {AUXILIARIES: json.dumps(judged)}
    save_model(rebuilt, str(folder / WEIGHTS), metadata=told)
    (folder / WEIGHTS).chmod(0o644)  # safetensors lets nobody else read it
    return {"weights": WEIGHTS}


def _fill(rebuilt: MultiExitNetwork, network: MultiExitNetwork) -> None:
    """Copy weights between networks that are cut at different places.

    Raises:
        RuntimeError: a shape differs.
        KeyError: a weight is lacking.
    """
    given = {_uncut(key): value for key, value in network.state_dict().items()}
    for index, point in enumerate(rebuilt.points):
        place = network.points.index(point)
        for name in rebuilt.head_names(point):
            if rebuilt.auxiliaries is not None and network.auxiliaries is not None:
                trained = network.auxiliaries.of(place, name)
                rebuilt.auxiliaries.of(index, name).load_state_dict(trained.state_dict())
    wanted = (key for key in rebuilt.state_dict() if not key.startswith("auxiliaries."))
    rebuilt.load_state_dict({key: given[_uncut(key)] for key in wanted}, strict=False)


def _uncut(key: str) -> str:
    return f"backbone.{uncut_name(key)}" if key.startswith("segments.") else key
