"""Cut a network into segments after named blocks.

Segment i computes what cut i needs and no earlier segment has computed: nothing that only
later cuts need runs before an exit could stop. Several tensors may cross a cut (FastSCNN's
high-resolution path does), so a segment names the values that it takes and gives.

A block may yield several maps, as HRNet's stages do. An exit there reads them as HRNetV2 does:
resized to the largest and concatenated.

A network that `torch.fx` cannot trace may be cut by hand: its method `segments()` returns a
dictionary of modules by name, each taking what the one before gives, one tensor or a tuple of
which the first is what an exit reads; the last gives the logits.

Every cut is tried: the pieces must give the network's own answer, bit for bit.
"""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, fx, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models.fake import frozen, reason
from offramp.models.graph import Traced, main_output, trace
from offramp.models.layers import joined

IMAGE = "image"
"""The name of the value that enters the first segment: the normalised image, N×3×H×W."""

_BY_HAND = "cut it by hand: give it a method segments(), see docs/networks.md"


@dataclass(frozen=True)
class Piece:
    """A segment as cut: a module from the values `takes` to the values `gives`.

    Attributes:
        module: maps tensors in the order of `takes` to a tuple in the order of `gives`.
        takes: names of the values that enter.
        gives: names of the values that leave; the first is what the head at this cut reads.
    """

    module: nn.Module
    takes: tuple[str, ...]
    gives: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """A network in pieces.

    Attributes:
        points: the blocks after which it was cut, in the order of the path.
        pieces: one more than there are points; the last ends in the network's output.
        any_size: whether the pieces take other sizes than the sample's.
    """

    points: tuple[str, ...]
    pieces: tuple[Piece, ...]
    any_size: bool


@runtime_checkable
class Segmented(Protocol):
    """A network that says itself how it is cut."""

    def segments(self) -> dict[str, nn.Module]:
        """Give the modules in the order in which they run."""
        ...


def cut(
    module: nn.Module,
    points: Sequence[str],
    sample: Tensor,
    output: str | int | None = None,
) -> Cut:
    """Cut `module` after each of the blocks `points`, taken in the order of the path.

    Args:
        module: maps N×D×H×W to logits N×C×h×w.
        points: names of submodules.
        sample: an image 1×D×H×W.
        output: which of several outputs is the answer, see `graph.trace`.

    Raises:
        UnknownName: a point is not a submodule.
        BadInput: the module cannot be traced; a point runs never or more than once, yields no
            map, or coincides with another; or the pieces answer otherwise than the module.
    """
    for part in module.modules():
        if getattr(part, "inplace", False):  # it might overwrite what a head has yet to read
            part.inplace = False
    with torch.inference_mode(False), torch.no_grad(), frozen(module):
        generator = torch.Generator().manual_seed(0)
        image = torch.randn(sample.shape, generator=generator).to(sample.device)
        parts = pieces(module, points, image, output)
        _check(module, parts, image, output)
    return parts


def pieces(
    module: nn.Module,
    points: Sequence[str],
    sample: Tensor,
    output: str | int | None = None,
) -> Cut:
    """Cut as `cut` does, untried."""
    if isinstance(module, Segmented):
        return _by_hand(module, points, sample)
    return _by_graph(trace(module, sample, points, output), points)


# ------------------------------------------------------------------------------- on the graph


def _by_graph(traced: Traced, points: Sequence[str]) -> Cut:
    order = {node: position for position, node in enumerate(traced.graph.nodes)}
    ends = {point: traced.end_of(point) for point in points}
    path = sorted(ends, key=lambda point: max(order[node] for node in ends[point]))
    owner = _owners(traced, [*((p, ends[p]) for p in path), ("the end", [traced.output])])
    feet = [*(ends[point] for point in path), [traced.output]]
    pieces = [_piece(traced, owner, index, feet) for index in range(len(feet))]
    if len(path) < len(points):
        raise BadInput("a cut point is given twice", got=", ".join(points))
    return Cut(tuple(path), tuple(pieces), traced.any_size)


def _owners(traced: Traced, ends: list[tuple[str, list[fx.Node]]]) -> dict[fx.Node, int]:
    """Give each step to the first segment whose end depends on it."""
    owner: dict[fx.Node, int] = {}
    before = "the image"
    for index, (point, nodes) in enumerate(ends):
        own = _unpacked(traced, traced.needed(nodes) - set(owner) - {traced.image})
        if whole := _handed_on(traced, own):
            raise BadInput(
                f"nothing runs between {before} and {point}",
                got=f"both come out of '{whole}', which cannot be looked into"
                + "".join(f"; {name}: {why}" for name, why in traced.closed.items()),
            )
        if not any(traced.is_tensor(node) for node in own):
            raise BadInput(f"nothing runs between {before} and {point}")
        owner.update(dict.fromkeys(own, index))
        owner.setdefault(traced.image, 0)
        before = point
    return owner


def _handed_on(traced: Traced, steps: set[fx.Node]) -> str:
    """Name the block, kept whole, of which these steps do no more than hand on what it yields."""
    for node in steps:
        part = traced.module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not isinstance(part, nn.Identity):
            return ""
    sources = [s for node in steps for s in node.all_input_nodes if s.target is operator.getitem]
    return next((str(s.args[0].target) for s in sources if isinstance(s.args[0], fx.Node)), "")


def _unpacked(traced: Traced, steps: set[fx.Node]) -> set[fx.Node]:
    """Add all that is taken out of the tuples that `steps` yield: no tuple crosses a cut."""
    needed = traced.needed([traced.output])
    waiting = [node for node in steps if not traced.is_tensor(node)]
    while waiting:
        for user in waiting.pop().users:
            item = user.target is operator.getitem and len(user.all_input_nodes) == 1
            if item and user in needed and user not in steps:
                steps.add(user)
                waiting += [] if traced.is_tensor(user) else [user]
    return steps


def _piece(
    traced: Traced, owner: dict[fx.Node, int], index: int, feet: list[list[fx.Node]]
) -> Piece:
    """Build the segment of the steps that `owner` gives to `index`; it ends in `feet[index]`.

    Sizes and numbers derived from them do not cross a cut: they are computed again from the
    tensors that do.
    """
    steps = traced.graph.nodes
    own = [node for node in steps if owner.get(node) == index and node is not traced.image]
    again = _numbers_needed(traced, own, owner, index)
    body = [node for node in steps if node in again or owner.get(node) == index]
    body = [node for node in body if node is not traced.image]
    ends, read_later = feet[index], {node for foot in feet[index + 1 :] for node in foot}
    inputs = {source for node in body for source in node.all_input_nodes}.union(ends) - set(body)
    takes = [node for node in steps if node in inputs]
    gives = [
        node
        for node in own
        if traced.is_tensor(node)
        and (node in read_later or any(owner.get(user, -1) > index for user in node.users))
    ]
    # A size needed later must be taken from a tensor that is live there.
    gives += [n for n in _asked_later(traced, owner, index, own) if n not in gives]
    piece = fx.Graph()
    copies = {node: piece.placeholder(_value_name(node)) for node in takes}
    for node in body:
        copies[node] = piece.node_copy(node, lambda source: copies[source])
    if len(ends) == 1:
        feature, name = copies[ends[0]], _value_name(ends[0])
    else:
        feature = piece.call_function(joined, ([copies[end] for end in ends],))
        name = "_and_".join(_value_name(end) for end in ends)
    gives = [node for node in gives if [node] != ends]
    piece.output((feature, *(copies[node] for node in gives)))
    return Piece(
        fx.GraphModule(traced.module, piece),
        tuple(map(_value_name, takes)),
        (name, *map(_value_name, gives)),
    )


def _numbers_needed(
    traced: Traced, own: list[fx.Node], owner: dict[fx.Node, int], index: int
) -> set[fx.Node]:
    """Collect the earlier sizes and numbers on which `own` depends."""
    again: set[fx.Node] = set()
    waiting = [source for node in own for source in node.all_input_nodes]
    while waiting:
        node = waiting.pop()
        if owner[node] < index and not traced.is_tensor(node) and node not in again:
            again.add(node)
            waiting.extend(node.all_input_nodes)
    return again


def _asked_later(
    traced: Traced, owner: dict[fx.Node, int], index: int, own: list[fx.Node]
) -> list[fx.Node]:
    """Collect tensors of this segment of which a later segment asks the size."""
    asked: list[fx.Node] = []
    for later in range(index + 1, max(owner.values()) + 1):
        nodes = [node for node in traced.graph.nodes if owner.get(node) == later]
        for node in _numbers_needed(traced, nodes, owner, later):
            asked += [s for s in node.all_input_nodes if s in own and traced.is_tensor(s)]
    return list(dict.fromkeys(asked))


def _value_name(node: fx.Node) -> str:
    """Name a value that crosses a cut, apart from the names that exporters give inside a graph."""
    return IMAGE if node.op == "placeholder" else f"x_{node.name}"


# ------------------------------------------------------------------------------------- by hand


class _Chain(nn.Module):
    """Consecutive hand-cut segments as one."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, part in parts.items():  # weights are called alike however it is cut
            self.add_module(f"part_{name.replace('.', '/')}", part)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        for part in self._modules.values():
            given = part(*values)
            values = tuple(given) if isinstance(given, tuple | list) else (given,)
        return values


def _by_hand(module: Segmented, points: Sequence[str], sample: Tensor) -> Cut:
    """Join the segments between one cut point and the next."""
    parts = module.segments()
    if not parts:
        raise BadInput(f"{type(module).__name__} has no segments()", expected="one at least")
    *places, last = parts
    for point in points:
        if point not in places:
            raise UnknownName("segment to cut after", point, places)
    path = [name for name in places if name in points]
    if len(path) < len(points):
        raise BadInput("a cut point is given twice", got=", ".join(points))
    pieces: list[Piece] = []
    since: dict[str, nn.Module] = {}
    takes: tuple[str, ...] = (IMAGE,)
    values: tuple[Tensor, ...] = (sample,)
    for name, part in parts.items():
        since[name] = part
        if name in path or name == last:
            chain = _Chain(since)
            try:
                values = chain(*values)
            except Exception as error:  # a foreign forward may raise anything
                raise BadInput(
                    f"segments() fails on the way to '{name}'", got=reason(error)
                ) from error
            gives = tuple(f"x_{name}_{i}" for i in range(len(values)))
            pieces.append(Piece(chain, takes, gives))
            since, takes = {}, gives
    return Cut(tuple(path), tuple(pieces), any_size=True)


# --------------------------------------------------------------------------------- the check


def _check(module: nn.Module, parts: Cut, image: Tensor, output: str | int | None) -> None:
    """Refuse pieces that do not give the network's own answer, bit for bit."""
    values, seen = {IMAGE: image}, []
    try:
        wanted = main_output(module(image.clone()), output)
        for piece in parts.pieces:
            given = piece.module(*(values[name] for name in piece.takes))
            values.update(zip(piece.gives, given, strict=True))
            seen += [(name, value, value._version) for name, value in values.items()]
    except BadInput:
        raise
    except Exception as error:  # a foreign forward may raise anything
        raise BadInput(
            f"{type(module).__name__} fails on one image when cut after {', '.join(parts.points)}",
            got=reason(error),
            repair=_BY_HAND,
        ) from error
    for name, value, version in seen:
        if value._version != version:
            raise BadInput(
                f"the network overwrites the value '{name}', which crosses a cut",
                repair="compute a new tensor in its forward, as x = x + y does; or cut elsewhere",
            )
    same = given[0].shape == wanted.shape
    if not same or not torch.allclose(given[0], wanted, rtol=0, atol=0, equal_nan=True):
        difference = f"a difference of {float((given[0] - wanted).abs().max()):.1e}" if same else ""
        raise BadInput(
            f"{type(module).__name__} cut after {', '.join(parts.points)} answers otherwise",
            expected="the same output bit for bit",
            got=difference or f"shape {tuple(given[0].shape)} for {tuple(wanted.shape)}",
            repair=_BY_HAND,
        )
