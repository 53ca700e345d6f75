"""Count multiply-accumulates, parameters and peak memory by running the network."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.core.costs import Cost, Costs
from offramp.core.model import Size
from offramp.core.score import ScoreSpec
from offramp.models.liveness import Liveness
from offramp.models.network import MultiExitNetwork, State

SCORES = (ScoreSpec.parse("mean-top1"),)
"""What a head is asked for where it is counted and timed."""


def count_macs(run: Callable[[], object]) -> int:
    """Count the multiply-accumulates of what `run` executes: half of torch's FLOP count."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return _macs(counter)


def count_parameters(module: nn.Module) -> int:
    """Count the parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def count(network: MultiExitNetwork, frame: Size | None = None) -> Costs:
    """Count the work of every segment and every head for one image of the network's input size.

    Memory is the peak of what is alive while a piece runs (`models.liveness`): the tensors that
    later segments need included, the frame until it is normalised, and, of a head, the score
    "mean-top1". Decoding stands for an image that ends there: nothing is kept for later pieces.
    A head includes its auxiliary network, if it has one, whether or not a plan asks it.

    Args:
        network: with all its heads.
        frame: height and width in pixels to which answers are enlarged; absent: the input size.
    """
    network.eval()
    state = State({}, _blank(network))
    segments: list[Cost] = []
    heads: dict[str, dict[str, Cost]] = {}
    answers: dict[torch.Size, Tensor] = {}
    counted: set[nn.Parameter] = set()
    for index, point in enumerate(network.points):
        state, cost = _segment(network, index, state)
        parameters = count_new(network.segments[index].parameters(), counted)
        segments.append(cost.model_copy(update={"parameters": parameters}))
        heads[point] = {}
        for name in network.head_names(point):
            logits, heads[point][name] = _head(network, index, name, state)
            answers[logits.shape] = logits
    size = frame or network.spec.size
    decode = max(_decoding_memory(network, logits, size) for logits in answers.values())
    return Costs(
        points=network.points,
        segments=tuple(segments),
        heads=heads,
        decode=Cost(memory=decode),
        size=network.spec.size,
    )


def _segment(network: MultiExitNetwork, index: int, before: State) -> tuple[State, Cost]:
    """Run a segment; the first one takes the image as it comes, and normalises it."""
    given = list(before.values.values()) if index else [before.feature]
    with torch.no_grad(), FlopCounterMode(display=False) as work, Liveness() as alive:
        begun = before if index else network.begin(before.feature)
        state = network.advance(index, begun)
    peak = alive.peak(given, [*state.values.values(), state.feature])
    return state, Cost(macs=_macs(work), memory=peak)


def _head(network: MultiExitNetwork, index: int, name: str, state: State) -> tuple[Tensor, Cost]:
    """Read a head with the score that is timed, and those that were learned."""
    waiting = list(state.values.values())
    with torch.no_grad(), FlopCounterMode(display=False) as work, Liveness() as alive:
        reading = network.read(index, state, name, (*SCORES, *network.learned))
    cost = Cost(
        macs=_macs(work),
        parameters=sum(map(count_parameters, _parts(network, index, name))),
        memory=alive.peak(
            [state.feature, *waiting], [*waiting, reading.logits, *reading.scores.values()]
        ),
    )
    return reading.logits, cost


def _decoding_memory(network: MultiExitNetwork, logits: Tensor, size: Size) -> int:
    with torch.no_grad(), Liveness() as alive:
        labels = network.decode(logits, size)
    return alive.peak([logits], [labels])


def _macs(work: FlopCounterMode) -> int:
    return int(work.get_total_flops()) // 2


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
