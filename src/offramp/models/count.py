"""Count multiply-accumulates and parameters by running the network."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
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
    """Count every segment and every head of a network for one image of its input size.

    A head includes its auxiliary network, if it has one, whether or not a plan asks it.
    """
    network.eval()
    state = network.begin(_blank(network))
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
                macs=count_macs(partial(network.read, index, state, name, network.learned)),
                parameters=sum(map(count_parameters, _parts(network, index, name))),
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


@torch.no_grad()
def auxiliary_share(network: MultiExitNetwork) -> float:
    """Compare each auxiliary network with the path that it guards: the largest share of its MACs.

    The path leads from the image to the head's answer. 0 without auxiliary networks.
    """
    if network.auxiliaries is None:
        return 0.0
    costs, shares = count(network), []
    state = network.begin(_blank(network))
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        for name in network.head_names(point):
            logits = network.read(index, state, name).logits
            auxiliary: nn.Module = network.auxiliaries.of(index, name)
            macs = count_macs(partial(auxiliary, logits))
            shares.append(macs / (costs.of([(point, name)]).macs - macs))
    return max(shares)


def _blank(network: MultiExitNetwork) -> Tensor:
    """Make a black image of the network's size."""
    return torch.zeros(1, *network.spec.size, 3, dtype=torch.uint8, device=network.mean.device)


def _parts(network: MultiExitNetwork, index: int, name: str) -> list[nn.Module]:
    """List a head, and its auxiliary network if it has one."""
    head, more = network.head(network.points[index], name), network.auxiliaries
    return [head] if more is None else [head, more.of(index, name)]
