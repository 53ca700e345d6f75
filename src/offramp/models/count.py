"""Count multiply-accumulates and parameters by running the network."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.core.costs import Cost, Costs
from offramp.models.network import MultiExitNetwork


def count_macs(run: Callable[[], object]) -> int:
    """Count the multiply-accumulates of what `run` executes: half of torch's FLOP count."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2


def count_parameters(module: nn.Module) -> int:
    """Count the parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def count(network: MultiExitNetwork) -> Costs:
    """Count every segment and every head of a network for one image of its input size."""
    network.eval()
    frame = torch.zeros(1, *network.spec.size, 3, dtype=torch.uint8, device=network.mean.device)
    state = network.begin(frame)
    segments, heads = [], {}
    counted: set[nn.Parameter] = set()
    for index, point in enumerate(network.points):
        before = state
        with torch.no_grad():
            state = network.advance(index, before)
        segments.append(
            Cost(
                macs=count_macs(partial(network.advance, index, before)),
                parameters=count_new(network.segments[index].parameters(), counted),
            )
        )
        heads[point] = {
            name: Cost(
                macs=count_macs(partial(network.read, index, state, name)),
                parameters=count_parameters(network.head(point, name)),
            )
            for name in network.head_names(point)
        }
    return Costs(
        points=network.points, segments=tuple(segments), heads=heads, size=network.spec.size
    )


def count_new(parameters: Iterable[nn.Parameter], counted: set[nn.Parameter]) -> int:
    """Count parameters that were not counted before: two segments may share some."""
    new = set(parameters) - counted
    counted |= new
    return sum(parameter.numel() for parameter in new)
