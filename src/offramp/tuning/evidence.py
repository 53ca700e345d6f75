"""What is known of a network before it is trained: parameters, MACs, and what flows through it."""

from dataclasses import dataclass
from typing import Any

from offramp.core.head import OWN
from offramp.core.model import ModelSpec
from offramp.models.count import count, count_macs
from offramp.models.fake import frozen
from offramp.models.intake import find_intake
from offramp.models.network import END, build_network
from offramp.models.zoo import build_spec

FLOAT_BYTES = 4
MEGA = 1e6


@dataclass(frozen=True)
class Evidence:
    """The columns of IOT's model summaries (tables 4.5 to 4.21).

    Attributes:
        parameters: number of parameters.
        macs: multiply-accumulates of one image; biases and batch norm are not counted, which IOT
            does: its figures are up to 1 % higher.
        input_mb: megabytes (10^6) of one float32 image.
        forward_mb: megabytes of what all layers with parameters put out for one image, forward
            and backward: twice the activations.
    """

    parameters: int
    macs: int
    input_mb: float
    forward_mb: float


def gather(spec: ModelSpec) -> Evidence:
    """Count a network with random weights.

    Raises:
        UnknownName: there is no such network or knob.
        BadInput: it cannot be built, or not at this size.
    """
    whole = count(build_network(spec, {})).of([(END, OWN)])
    module = build_spec(spec).eval()
    sample = find_intake(module, spec.size).sample(module)
    return Evidence(
        parameters=whole.parameters,
        macs=whole.macs,
        input_mb=sample.numel() * FLOAT_BYTES / MEGA,
        forward_mb=2 * _activations(module, sample) * FLOAT_BYTES / MEGA,
    )


def _activations(module: Any, sample: Any) -> int:
    """Count the numbers that the layers with parameters of their own put out."""
    found = 0

    def note(layer: Any, given: Any, out: Any) -> None:
        nonlocal found
        found += out.numel() if hasattr(out, "numel") else 0

    layers = [layer for layer in module.modules() if list(layer.parameters(recurse=False))]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        with frozen(module):
            count_macs(lambda: module(sample))  # without gradients
    finally:
        for hook in hooks:
            hook.remove()
    return found
