"""Count multiply-accumulates and parameters by running the network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.core.costs import Cost, Costs
from offramp.core.model import Size
from offramp.models.network import MultiExitNetwork
from offramp.models.zoo import Entry


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
    frame = torch.zeros(1, *network.spec.size, 3, dtype=torch.uint8)
    state = network.begin(frame)
    segments, heads = [], {}
    for index, point in enumerate(network.points):
        before = state
        with torch.no_grad():
            state = network.advance(index, before)
        segments.append(_cost(network.segments[index], partial(network.advance, index, before)))
        heads[point] = {
            name: _cost(head, partial(head, state.feature))
            for name, head in ((n, network.head(point, n)) for n in network.head_names(point))
        }
    return Costs(
        points=network.points, segments=tuple(segments), heads=heads, size=network.spec.size
    )


def _cost(module: nn.Module, run: Callable[[], object]) -> Cost:
    return Cost(macs=count_macs(run), parameters=count_parameters(module))


@dataclass(frozen=True)
class Block:
    """One block of a single-exit network.

    Attributes:
        name: its name in the module.
        macs: its multiply-accumulates.
        parameters: its parameters.
        path_macs: the work from the image to its end.
        channels: channels that come out.
        stride: input height over output height.
    """

    name: str
    macs: int
    parameters: int
    path_macs: int
    channels: int
    stride: float


def profile_blocks(module: nn.Module, found: Entry, size: Size) -> list[Block]:
    """Profile a network block by block, in the order in which its cut points run (MESS fig. 3).

    Args:
        module: the network.
        found: its entry in the zoo.
        size: input height and width in pixels.

    Returns:
        One block per cut point that the network has, and "end" for what comes after the last.
    """
    image = torch.zeros(1, 3, *size)
    calls: dict[str, tuple[tuple[Tensor, ...], Tensor]] = {}
    module.eval()
    hooks = [
        block.register_forward_hook(_note(calls, name))
        for name, block in module.named_modules()
        if name in found.points and count_parameters(block)
    ]
    with torch.no_grad():
        output = module(image)
    for hook in hooks:
        hook.remove()
    blocks: list[Block] = []
    spent = known = 0
    for name, (inputs, given) in calls.items():
        block = module.get_submodule(name)
        macs = count_macs(partial(block, *inputs))
        spent, known = spent + macs, known + count_parameters(block)
        stride = size[0] / given.shape[-2]
        blocks.append(
            Block(name, macs, count_parameters(block), spent, int(given.shape[1]), stride)
        )
    total = count_macs(lambda: module(image))
    rest = count_parameters(module) - known
    stride = size[0] / output.shape[-2]
    blocks.append(Block("end", total - spent, rest, total, int(output.shape[1]), stride))
    return blocks


def place(blocks: list[Block], exits: int) -> list[Block]:
    """Place N exits at equal shares of the work (MESS §4.1).

    Exit i goes after the first block at which the running work reaches i/N of the total; exit N
    is the network's own end. Two exits that fall on one block become one.
    """
    total = blocks[-1].path_macs
    chosen = [
        next(block for block in blocks if block.path_macs * exits >= i * total)
        for i in range(1, exits + 1)
    ]
    return list(dict.fromkeys(chosen))


def _note(calls: dict[str, tuple[tuple[Tensor, ...], Tensor]], name: str) -> Callable[..., None]:
    """Make a hook that notes what goes into a block and what comes out."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[name] = (inputs, output)

    return hook
