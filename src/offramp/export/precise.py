"""Which operations of a graph stay in float when the others are quantised.

Operations and the values between them are walked back and forth: the first convolutions are those
that no other comes before, the last those with no other between them and the answer.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto

CONVOLUTIONS = ("Conv", "ConvTranspose", "Gemm")
"""Operations with weights, of which the first and the last of a path stay in float."""

Step = Callable[[NodeProto], Sequence[NodeProto]]


def float_nodes(model: ModelProto, keep_first: bool, keep_last: bool) -> set[str]:
    """Name the operations of a graph that stay in float.

    Args:
        model: the graph, in which every operation has a name of its own.
        keep_first: leave the convolutions in float that see its inputs first.
        keep_last: leave those in float that its first output comes from, and all behind them.
    """
    nodes = list(model.graph.node)
    makers = {name: node for node in nodes for name in node.output if name}
    takers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            takers.setdefault(name, []).append(node)

    def back(node: NodeProto) -> list[NodeProto]:
        return [makers[name] for name in node.input if name in makers]

    def on(node: NodeProto) -> list[NodeProto]:
        return [taker for name in node.output for taker in takers.get(name, ())]

    kept = _farthest(nodes, back) if keep_first else set()
    if keep_last:
        way = _reached([makers[model.graph.output[0].name]], back)

        def on_the_way(node: NodeProto) -> list[NodeProto]:
            return [taker for taker in on(node) if taker.name in way]

        last = _farthest([node for node in nodes if node.name in way], on_the_way)
        kept |= _reached([node for node in nodes if node.name in last], on)
    return kept


def has_convolution(file: Path) -> bool:
    """Tell whether a graph has anything to quantise."""
    return any(node.op_type in CONVOLUTIONS for node in onnx.load(file).graph.node)


def _reached(start: Sequence[NodeProto], step: Step) -> set[str]:
    """Name the nodes that `step` leads to from `start`, themselves included."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            waiting.extend(step(node))
    return found


def _farthest(nodes: Sequence[NodeProto], step: Step) -> set[str]:
    """Name the convolutions from which `step` leads to no other."""
    convolutions = [node for node in nodes if node.op_type in CONVOLUTIONS]
    names = {node.name for node in convolutions}
    return {
        node.name for node in convolutions if not (_reached([node], step) - {node.name}) & names
    }
