"""Trace a network: its `torch.fx` graph, and what flows along it.

The tracer looks inside every module that is merely composed of others. It leaves whole what
holds parameters of its own, what behaves otherwise in training, and what it fails to trace:
whatever such a block does inside, it does in the traced network too.

Every step is executed on fake tensors, which have shapes but no values. Lists and dictionaries
that modules exchange are hence real ones, and a branch on the values of a tensor is noticed.
Sizes stay open, so that the traced network takes any size that the original takes, except where
the way to a cut point asks for a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.models.fake import CONSTANT, frozen, reason
from offramp.models.tracer import Tracer

MAIN_OUTPUTS = ("out", "logits")
"""The keys under which networks that return a dictionary give their answer."""


@dataclass(frozen=True)
class Traced:
    """A network as traced in eval mode.

    Attributes:
        module: the network.
        graph: its steps.
        image: the step that takes the image.
        output: the step that yields its logits.
        values: what each step yields, as fake tensors and numbers.
        returned: by block, what each of its calls returned: steps, in lists and dictionaries.
        closed: by block, why it could not be looked into.
        any_size: whether the graph holds for other sizes than the one that it was traced at.
    """

    module: nn.Module
    graph: fx.Graph
    image: fx.Node
    output: fx.Node
    values: dict[fx.Node, Any]
    returned: dict[str, list[Any]]
    closed: dict[str, str]
    any_size: bool

    def is_tensor(self, node: fx.Node) -> bool:
        """Tell whether a step yields a tensor, not a size or another number."""
        return isinstance(self.values.get(node), Tensor)

    def end_of(self, point: str) -> list[fx.Node]:
        """Find the maps that leave the block `point`.

        Raises:
            UnknownName: there is no such block.
            BadInput: an exit cannot sit there.
        """
        known = [name for name, _ in self.module.named_modules() if name]
        if point not in known:
            raise UnknownName("block to cut after", point, known)
        calls = self.returned.get(point, [])
        if len(calls) != 1:
            closed = [f"{n} ({why})" for n, why in self.closed.items() if point.startswith(n + ".")]
            raise BadInput(
                f"cannot cut after '{point}'",
                expected="a block that runs once",
                got=f"{len(calls)} runs" + "".join(f", within {name}" for name in closed),
            )
        ends = list(dict.fromkeys(nodes_in(calls[0])))
        shapes = [tuple(getattr(self.values[node], "shape", ())) for node in ends]
        if not ends or any(len(shape) != 4 for shape in shapes):
            raise BadInput(
                f"cannot cut after '{point}'",
                expected="a block that yields maps N×D×h×w",
                got=", ".join(map(str, shapes)) or "no tensor",
            )
        if self.output in ends or not self.needed([self.output]).issuperset(ends):
            what = "the network's end, an exit as it is" if self.output in ends else "a side branch"
            raise BadInput(f"cannot cut after '{point}'", got=what)
        return ends

    def may_be_cut(self, point: str) -> bool:
        """Tell whether an exit may sit after a block, and the network goes on from there."""
        try:
            ends = self.end_of(point)
        except BadInput:
            return False
        rest = self.needed([self.output]) - self.needed(ends)
        return any(self._has_parameters(node) for node in rest)

    def _has_parameters(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            part = self.module.get_submodule(str(node.target))
            return next(part.parameters(), None) is not None
        return node.op == "get_attr"

    def needed(self, ends: Sequence[fx.Node]) -> set[fx.Node]:
        """Collect `ends` and all the steps that they depend on."""
        found: set[fx.Node] = set()
        waiting = list(ends)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting.extend(node.all_input_nodes)
        return found


def trace(
    module: nn.Module,
    sample: Tensor,
    points: Sequence[str] = (),
    output: str | int | None = None,
) -> Traced:
    """Trace a network.

    Args:
        module: maps N×D×H×W to logits N×C×h×w, or to a dictionary or tuple that holds them.
        sample: an image 1×D×H×W; only its size matters.
        points: names of blocks inside which the tracer must look for cut points.
        output: key or index of the logits among several outputs; absent: the only tensor, or
            the one under "out" or "logits".

    Raises:
        BadInput: the module cannot be traced, or does not say which output is its answer.
    """
    for name in [name for name in module.__dict__ if name.startswith(CONSTANT)]:
        delattr(module, name)  # of the last trace: constants are to be numbered alike every time
    tracer = Tracer(points, sample)
    try:
        with frozen(module):
            graph = tracer.trace(module)
    except Exception as error:  # what breaks in a foreign forward may be of any kind
        raise BadInput(
            f"{type(module).__name__} cannot be traced by torch.fx",
            got=reason(error),
            repair="keep branches on the values of tensors out of forward, or cut by hand: "
            "give the network a method segments(), see docs/networks.md",
        ) from error
    image, *_, end = graph.nodes
    return Traced(
        module=module,
        graph=graph,
        image=image,
        output=main_output(end.args[0], output),
        values=tracer.values,
        returned=tracer.returned,
        closed=tracer.closed,
        any_size=not tracer.numbers,
    )


def nodes_in(structure: Any) -> list[fx.Node]:
    """List the steps in nested lists, tuples and dictionaries; anything else is not listed."""
    found: list[fx.Node] = []
    fx.node.map_aggregate(
        structure,
        lambda part: (
            found.append(part.node if isinstance(part, fx.Proxy) else part)
            if isinstance(part, fx.Proxy | fx.Node)
            else None
        ),
    )
    return found


def main_output(structure: Any, wanted: str | int | None) -> Any:
    """Choose the logits among what a network returns: its steps when traced, else tensors.

    Raises:
        BadInput: there are several and none is named.
    """
    keys: list[str | int] = []
    if isinstance(structure, dict):
        keys = list(structure)
        usual = [key for key in MAIN_OUTPUTS if key in structure]
        wanted = usual[0] if wanted is None and usual else wanted
    elif isinstance(structure, tuple | list):
        keys = list(range(len(structure)))
    else:
        wanted = None
    if wanted is None and len(keys) == 1:
        wanted = keys[0]
    chosen = structure if not keys else structure[wanted] if wanted in keys else None
    if isinstance(chosen, fx.Node | Tensor):
        return chosen
    raise BadInput(
        "a network must say which of its outputs is the answer",
        expected=f"one tensor, or one under {' or '.join(map(repr, MAIN_OUTPUTS))}",
        got=f"{type(structure).__name__.removeprefix('immutable_')} of {keys}"
        if keys
        else repr(structure),
        repair=f"name it: attach(..., output={keys[0]!r})" if keys else "",
    )
