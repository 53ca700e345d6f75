"""A network block by block: where its work is, and where exits would go (MESS §4.1, fig. 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from offramp.core.model import ModelSpec, Size
from offramp.models.count import count_macs, count_new
from offramp.models.fake import faking, frozen
from offramp.models.graph import Traced, trace
from offramp.models.intake import find_intake
from offramp.models.network import END
from offramp.models.split import IMAGE, Cut, Segmented, pieces
from offramp.models.zoo import build_spec, entry

USUAL_EXITS = 4
"""Into how many equal shares the work is divided where a network has no usual exits."""


@dataclass(frozen=True)
class Block:
    """One block of a single-exit network.

    Attributes:
        name: its name in the module.
        macs: the multiply-accumulates from the block before to its end.
        parameters: the parameters on that way.
        path_macs: the work from the image to its end.
        channels: channels that come out.
        size: height and width that come out.
        stride: input height over output height, rounded.
    """

    name: str
    macs: int
    parameters: int
    path_macs: int
    channels: int
    size: Size
    stride: int


@dataclass(frozen=True)
class Profile:
    """A single-exit network block by block (MESS fig. 3).

    Attributes:
        blocks: in the order of the path; the last is "end", for what comes after the others.
        size: height and width in pixels to which all figures belong, padding included.
    """

    blocks: tuple[Block, ...]
    size: Size

    @property
    def macs(self) -> int:
        """The work of the whole network."""
        return self.blocks[-1].path_macs

    @property
    def parameters(self) -> int:
        """The parameters of the whole network."""
        return sum(block.parameters for block in self.blocks)

    def place(self, exits: int) -> list[Block]:
        """Place N exits at equal shares of the work (MESS §4.1).

        Exit i goes after the first block at which the running work reaches i/N of the total;
        exit N is the network's own end. Two exits that fall on one block become one.
        """
        chosen = [
            next(block for block in self.blocks if block.path_macs * exits >= i * self.macs)
            for i in range(1, exits + 1)
        ]
        return list(dict.fromkeys(chosen))


def profile(module: nn.Module, size: Size, points: Sequence[str] = ()) -> Profile:
    """Profile a network block by block, by running it on an image without values.

    Args:
        module: the network.
        size: input height and width in pixels.
        points: the blocks that count; absent: its `cut_points`.

    Raises:
        UnknownName: a point is not a block of the module.
        BadInput: the module cannot be run or cut.
    """
    intake = find_intake(module, size)
    sample = intake.sample(module)
    if not points:
        points = cut_points(module, sample)
    with frozen(module):
        parts = pieces(module, points, sample)
        return Profile(tuple(_blocks(parts, sample, module)), intake.size)


def usual_exits(spec: ModelSpec) -> tuple[str, ...]:
    """Say where the early exits of a network sit unless told otherwise.

    Raises:
        BadInput: the network is not of the zoo's table, and cannot be cut.
    """
    found = entry(spec.name)
    if found.exits:
        return found.exits
    profiled = profile(build_spec(spec), spec.size, found.blocks)
    placed = [block.name for block in profiled.place(USUAL_EXITS)[:-1]]
    # Where nearly all the work is in the last block, equal shares leave no early exit.
    return tuple(placed or [block.name for block in profiled.blocks[:-1]])


def _blocks(parts: Cut, sample: Tensor, module: nn.Module) -> list[Block]:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    by_hand = isinstance(module, Segmented)  # what torch.fx cannot trace may need values
    values = {IMAGE: sample if by_hand else mode.from_tensor(sample)}
    counted: set[nn.Parameter] = set()
    blocks: list[Block] = []
    spent = 0
    for name, piece in zip([*parts.points, END], parts.pieces, strict=True):
        given: list[Tensor] = []
        run = partial(_run, piece.module, [values[key] for key in piece.takes], given)
        with faking(mode):
            macs = count_macs(run)
        values.update(zip(piece.gives, given, strict=True))
        spent += macs
        _, d, height, width = given[0].shape
        blocks.append(
            Block(
                name=name,
                macs=macs,
                parameters=count_new(piece.module.parameters(), counted),
                path_macs=spent,
                channels=int(d),
                size=(int(height), int(width)),
                stride=round(sample.shape[-2] / int(height)),
            )
        )
    return blocks


def _run(module: nn.Module, inputs: list[Tensor], given: list[Tensor]) -> None:
    given.extend(module(*inputs))


def cut_points(module: nn.Module, sample: Tensor) -> list[str]:
    """List the blocks of a network after which exits may sit, in the order of the path.

    They are what the network names itself, by `segments()` or an attribute `levels`, or else
    what `find_blocks` finds.

    Raises:
        BadInput: the network cannot be traced.
    """
    if isinstance(module, Segmented):
        return list(module.segments())[:-1]
    if levels := getattr(module, "levels", None):
        return list(levels)
    return find_blocks(trace(module, sample))


def find_blocks(traced: Traced) -> list[str]:
    """Find the blocks of a network after which exits may sit, in the order of the path.

    A block is the largest part around one smallest group of two convolutions or more, such as
    a residual block. A network without such groups has its single convolutions for blocks.
    """
    legal = [name for name, _ in traced.module.named_modules() if name and traced.may_be_cut(name)]
    for least in (2, 1):
        groups = [name for name in legal if _convolutions(traced.module, name) >= least]
        smallest = [name for name in groups if not any(_holds(name, other) for other in groups)]
        if smallest:
            break
    blocks = [_largest_around(name, smallest, legal) for name in smallest]
    order = {node: position for position, node in enumerate(traced.graph.nodes)}
    ends = {name: tuple(traced.end_of(name)) for name in blocks}
    by_end = {ends[name]: name for name in reversed(blocks)}  # of two that end alike, the first
    return sorted(by_end.values(), key=lambda name: max(order[node] for node in ends[name]))


def _largest_around(name: str, smallest: Sequence[str], legal: Sequence[str]) -> str:
    """Find the largest legal part that holds this one of the smallest and no other."""
    around = [
        part
        for part in legal
        if _holds(part, name) and sum(_holds(part, other) for other in smallest) == 1
    ]
    return min(around, key=len, default=name)


def _holds(part: str, other: str) -> bool:
    return other.startswith(part + ".")


def _convolutions(module: nn.Module, name: str) -> int:
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    return sum(isinstance(part, kinds) for part in module.get_submodule(name).modules())
