"""The networks that offramp can build by name: one literal table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from offramp.core.errors import BadInput, UnknownName
from offramp.core.model import ModelSpec
from offramp.models.fastscnn import FastSCNN


@dataclass(frozen=True)
class Entry:
    """One network of the zoo.

    Attributes:
        build: makes the module from the number of classes and the knobs.
        points: the blocks after which it may be cut, in the order in which they run.
        exits: the points at which exits sit unless told otherwise.
        knobs: the knobs with their defaults.
        source: where the architecture is described.
    """

    build: Callable[..., nn.Module]
    points: tuple[str, ...]
    exits: tuple[str, ...]
    knobs: Mapping[str, Any]
    source: str


ZOO: Mapping[str, Entry] = {
    "fastscnn": Entry(
        build=FastSCNN,
        points=("stem", "bottleneck1", "bottleneck2", "bottleneck3", "pyramid", "fusion"),
        exits=("stem", "bottleneck1", "bottleneck2", "fusion"),
        knobs={"width": 1.0, "expansion": 6, "repetition": 3, "pyramid": True},
        source="Poudel et al. 2019, as the thesis IOT builds it",
    ),
}


def entry(name: str) -> Entry:
    """Look a network up.

    Raises:
        UnknownName: it is not in the zoo.
    """
    if name not in ZOO:
        raise UnknownName("model", name, ZOO)
    return ZOO[name]


def build(name: str, classes: int, **knobs: Any) -> nn.Module:
    """Build a network of the zoo, with random weights.

    Raises:
        UnknownName: the zoo lacks the network, or the network lacks a knob.
        BadInput: a knob's value is of the wrong kind.
    """
    found = entry(name)
    for knob, value in knobs.items():
        if knob not in found.knobs:
            raise UnknownName(f"knob of {name}", knob, found.knobs)
        default = found.knobs[knob]
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        if type(value) not in kinds:  # not isinstance: a bool is no number here
            kind = type(default).__name__
            raise BadInput(f"knob '{knob}' of {name}", expected=f"a {kind}", got=repr(value))
    return found.build(classes, **knobs)


def build_spec(spec: ModelSpec) -> nn.Module:
    """Build the network that `spec` describes, with random weights."""
    return build(spec.name, spec.classes, **spec.knobs)
