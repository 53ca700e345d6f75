"""Cut a network into segments after named blocks, on its `torch.fx` graph.

Segment i computes what cut i needs and no earlier segment has computed: nothing that only
later cuts need runs before an exit could stop. Several tensors may cross a cut (FastSCNN's
high-resolution path does), so a segment names the values that it takes and gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from offramp.core.errors import BadInput, UnknownName

IMAGE = "image"
"""The name of the value that enters the first segment: the normalised image, N×3×H×W."""


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


class _Tracer(fx.Tracer):
    """Trace through every module but torch's own and those that ask to be left whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return getattr(m, "offramp_leaf", False) or super().is_leaf_module(m, module_qualified_name)


def cut(module: nn.Module, points: Sequence[str], sample: Tensor) -> list[Piece]:
    """Cut `module` after each of the blocks `points`; the last piece ends in its output.

    Args:
        module: maps N×3×H×W to one tensor.
        points: names of submodules in the order in which they run.
        sample: an image N×3×H×W, to learn which values are tensors.

    Raises:
        UnknownName: a point is not a submodule.
        BadInput: a point runs never, more than once or out of order, or yields no tensor; or
            the module cannot be traced.
    """
    graph = _trace(module)
    traced = fx.GraphModule(module, graph)
    was_training = module.training
    ShapeProp(traced.eval()).propagate(sample)
    module.train(was_training)
    ends = [_end_of(graph, point, module) for point in points]
    output = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(output, fx.Node):
        raise BadInput("a network must return one tensor", got=f"{type(output).__name__}")
    owner = _owners(graph, [*ends, output], points)
    return [_piece(module, graph, owner, i, end) for i, end in enumerate([*ends, output])]


def _trace(module: nn.Module) -> fx.Graph:
    try:
        return _Tracer().trace(module)
    except Exception as error:  # torch.fx raises many kinds, all meaning the same here
        raise BadInput(
            f"{type(module).__name__} cannot be traced by torch.fx",
            got=str(error).splitlines()[0],
            repair="keep control flow that depends on tensors out of forward",
        ) from error


def _end_of(graph: fx.Graph, point: str, module: nn.Module) -> fx.Node:
    """Find the node whose value leaves the submodule `point`."""
    known = dict(module.named_modules())
    if point not in known:
        raise UnknownName("block to cut after", point, [name for name in known if name])
    inside = [node for node in graph.nodes if _runs_in(node, point)]
    used_outside = [
        node for node in inside if any(not _runs_in(user, point) for user in node.users)
    ]
    leaving = [node for node in used_outside if _is_tensor(node)]
    calls = {call for node in inside for call in _calls_of(node, point)}
    if len(leaving) != 1 or len(calls) > 1:
        raise BadInput(
            f"cannot cut after '{point}'",
            expected="a block that runs once and yields one tensor",
            got=f"{len(leaving)} tensors" if len(calls) < 2 else f"{len(calls)} runs",
        )
    if any(user.op == "output" for user in leaving[0].users):
        raise BadInput(f"cannot cut after '{point}'", got="the network's end, an exit as it is")
    return leaving[0]


def _runs_in(node: fx.Node, point: str) -> bool:
    """Tell whether a node was traced inside the submodule `point`."""
    target = str(node.target) if node.op == "call_module" else ""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [str(entry[0]) for entry in stack.values()]
    return any(path == point or path.startswith(point + ".") for path in [*paths, target])


def _calls_of(node: fx.Node, point: str) -> list[str]:
    """List the calls of `point` within which a node was traced; torch.fx numbers them."""
    stack = node.meta.get("nn_module_stack") or {}
    return [call for call, entry in stack.items() if str(entry[0]) == point]


def _is_tensor(node: fx.Node) -> bool:
    return "tensor_meta" in node.meta and hasattr(node.meta["tensor_meta"], "shape")


def _owners(graph: fx.Graph, ends: list[fx.Node], points: Sequence[str]) -> dict[fx.Node, int]:
    """Give each node to the first segment whose end depends on it."""
    owner: dict[fx.Node, int] = {}
    for index, end in enumerate(ends):
        if end in owner:
            raise BadInput(
                "cut points are out of order",
                expected="the order in which the blocks run",
                got=", ".join(points),
            )
        waiting = [end]
        while waiting:
            node = waiting.pop()
            if node not in owner:
                owner[node] = index
                waiting.extend(node.all_input_nodes)
    return owner


def _piece(
    module: nn.Module, graph: fx.Graph, owner: dict[fx.Node, int], index: int, end: fx.Node
) -> Piece:
    """Build the segment of the nodes that `owner` gives to `index`.

    Shapes and numbers derived from them do not cross a cut: they are computed again from the
    tensors that do.
    """
    own = [node for node in graph.nodes if owner.get(node) == index and node.op != "placeholder"]
    again = _not_tensors_needed(own, owner, index)
    body = [node for node in graph.nodes if node in again or node in own]
    inputs = {source for node in body for source in node.all_input_nodes} - set(body)
    takes = [node for node in graph.nodes if node in inputs]
    gives = [end] + [
        node
        for node in own
        if node is not end
        and _is_tensor(node)
        and any(owner.get(u, -1) > index for u in node.users)
    ]
    # A shape needed later must be taken from a tensor that is live there.
    gives += [n for n in _shape_sources(graph, owner, index, own) if n not in gives]
    piece = fx.Graph()
    copies = {node: piece.placeholder(_value_name(node)) for node in takes}
    for node in body:
        copies[node] = piece.node_copy(node, lambda source: copies[source])
    piece.output(tuple(copies[node] for node in gives))
    names = tuple(map(_value_name, takes)), tuple(map(_value_name, gives))
    return Piece(fx.GraphModule(module, piece), *names)


def _not_tensors_needed(own: list[fx.Node], owner: dict[fx.Node, int], index: int) -> set[fx.Node]:
    """Collect the earlier non-tensor nodes on which `own` depends."""
    again: set[fx.Node] = set()
    waiting = [source for node in own for source in node.all_input_nodes]
    while waiting:
        node = waiting.pop()
        if owner[node] < index and not _is_tensor(node) and node not in again:
            again.add(node)
            waiting.extend(node.all_input_nodes)
    return again


def _shape_sources(
    graph: fx.Graph, owner: dict[fx.Node, int], index: int, own: list[fx.Node]
) -> list[fx.Node]:
    """Collect tensors of this segment whose shape a later segment asks for."""
    sources: list[fx.Node] = []
    for later in range(index + 1, max(owner.values()) + 1):
        nodes = [node for node in graph.nodes if owner.get(node) == later]
        for node in _not_tensors_needed(nodes, owner, later):
            sources += [s for s in node.all_input_nodes if s in own and _is_tensor(s)]
    return list(dict.fromkeys(sources))


def _value_name(node: fx.Node) -> str:
    """Name a value that crosses a cut, apart from the names that exporters give inside a graph."""
    return IMAGE if node.op == "placeholder" else f"x_{node.name}"
