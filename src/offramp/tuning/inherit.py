"""Start a candidate from the trained one whose weights fit it best.

A tensor is taken over where name and shape are the same; the others keep their random start.
Parts of larger tensors are not: channels of a narrower network have no counterparts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from offramp.core.files import written
from offramp.core.model import ModelSpec
from offramp.models.network import uncut_name
from offramp.models.zoo import build_spec

LEAST = 0.1
"""Below this share of fitting numbers a candidate starts from random weights."""


@dataclass(frozen=True)
class Parent:
    """A trained candidate.

    Attributes:
        id: which one.
        weights: file of its weights.
        distance: how many knobs differ, plus the difference in size; decides between equals.
    """

    id: str
    weights: Path
    distance: float


@dataclass(frozen=True)
class Inherited:
    """What a candidate starts from.

    Attributes:
        parent: id of the candidate that gave weights.
        file: a safetensors file with all of the network's tensors.
        said: what was taken over, in words.
    """

    parent: str
    file: Path
    said: str


def inherit(spec: ModelSpec, parents: Sequence[Parent], seed: int, file: Path) -> Inherited | None:
    """Write first weights for a network: the best parent's where they fit, else random ones.

    Args:
        spec: the network.
        parents: trained candidates.
        seed: of the random weights.
        file: safetensors file to write.

    Returns:
        What was taken over; none where too little fits, then nothing is written.
    """
    own = _fresh(spec, seed)
    total = sum(x.numel() for x in own.values())
    best: tuple[float, float, Parent, dict[str, Any]] | None = None
    for parent in parents:
        theirs = {uncut_name(key): x for key, x in load_file(str(parent.weights)).items()}
        taken = {k: x for k, x in theirs.items() if k in own and own[k].shape == x.shape}
        share = sum(x.numel() for x in taken.values()) / total
        if best is None or (share, -parent.distance) > best[:2]:
            best = (share, -parent.distance, parent, taken)
    if best is None or best[0] < LEAST:
        return None
    share, _, parent, taken = best
    with written(file) as partial:
        save_file({key: taken.get(key, x).contiguous() for key, x in own.items()}, str(partial))
    said = f"{len(taken)} of {len(own)} tensors, {100 * share:.1f} % of the numbers"
    return Inherited(parent.id, file, said)


def _fresh(spec: ModelSpec, seed: int) -> dict[str, Any]:
    """Make the network's own random weights."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return dict(build_spec(spec).state_dict())
