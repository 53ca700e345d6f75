"""Join ONNX graphs to one: models whose inputs and outputs are known by name -> a single model.

Pure arithmetic on graphs: each model's inner names get a prefix of their own, its inputs become
the values that models before it gave, and what is wanted at the end keeps its plain name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, inliner

from offramp.core.bundle import Bundle, Graph
from offramp.core.errors import BadInput


@dataclass
class Chain:
    """A graph that grows model by model.

    Attributes:
        known: by what name values go here that models gave or that come from outside.
        inputs: what comes from outside, by name.
        outputs: type and shape of each value that a model gave.
        nodes: what runs, in order.
        constants: weights and other numbers.
        inner: types and shapes of the values between, by name.
        opsets: the version of each set of operators.
        ir_version: of the file format.
    """

    known: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, ValueInfoProto] = field(default_factory=dict)
    outputs: dict[str, ValueInfoProto] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    inner: dict[str, ValueInfoProto] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    ir_version: int = 0

    def add(self, model: ModelProto, prefix: str) -> None:
        """Put a model behind what is there; what it takes and nobody gave comes from outside.

        Args:
            model: its inputs are called as the values that shall feed them.
            prefix: begins the names of its inner values; no other model's may be the same.

        Raises:
            BadInput: its operators are of another version than those before.
        """
        self._agree(model)
        graph = GraphProto()
        graph.CopyFrom(inlined(model).graph)
        constants = {constant.name for constant in graph.initializer}
        for value in graph.input:
            if value.name not in self.known and value.name not in constants:
                self.known[value.name] = value.name
                self.inputs[value.name] = named(value, value.name)
        names = {v.name: self.known[v.name] for v in graph.input if v.name not in constants}
        gives = [value.name for value in graph.output]
        rename(graph, names, prefix)
        self.nodes += graph.node
        self.constants += graph.initializer
        for name, value in zip(gives, graph.output, strict=True):
            self.known[name] = value.name
            self.outputs[name] = value
        for value in (*graph.value_info, *graph.output):
            if value.name not in self.inputs:
                self.inner[value.name] = value

    def _agree(self, model: ModelProto) -> None:
        for opset in model.opset_import:
            before = self.opsets.setdefault(opset.domain, opset.version)
            if before != opset.version:
                raise BadInput(
                    "graphs of different versions cannot become one",
                    expected=f"operators {opset.domain or 'ai.onnx'} {before}",
                    got=str(opset.version),
                )
        self.ir_version = max(self.ir_version, model.ir_version)

    def model(self, name: str, gives: Sequence[str]) -> ModelProto:
        """Close the graph: what it takes from outside -> the values `gives`, under those names."""
        ends = [helper.make_node("Identity", [self.known[one]], [one]) for one in gives]
        graph = helper.make_graph(
            [*self.nodes, *ends],
            name,
            list(self.inputs.values()),
            [named(self.outputs[one], one) for one in gives],
            self.constants,
            value_info=list(self.inner.values()),
        )
        return finished(graph, self.opsets, self.ir_version)


def chain(models: Sequence[ModelProto], name: str, gives: Sequence[str]) -> ModelProto:
    """Join models to one that takes what none of them gives, and gives the values `gives`.

    Args:
        models: in the order in which they run; inputs and outputs of one name are one value, and
            a later model's value hides an earlier one's.
        name: of the new graph.
        gives: names of values that models give.

    Raises:
        BadInput: the models' operators are of different versions.
    """
    joined = Chain()
    for number, model in enumerate(models):
        joined.add(model, f"p{number}/")
    return joined.model(name, gives)


def merge_segments(bundle: Bundle, first: int, last: int, file: Path) -> Graph:
    """Write the segments from `first` to `last` of a bundle as one graph.

    Args:
        bundle: where they are.
        first: index of the first segment.
        last: index of the last one, whose exit's feature is the first value that is given.
        file: the ONNX file to write.

    Returns:
        The new graph; it gives the feature, and what segments behind `last` take.
    """
    segments = bundle.manifest.segments
    inside, behind = segments[first : last + 1], segments[last + 1 :]
    wanted = {name for segment in behind for name in segment.takes}
    given = dict.fromkeys(name for segment in inside for name in segment.gives)
    feature = inside[-1].gives[0]
    gives = (feature, *(name for name in given if name in wanted and name != feature))
    return write_chain([read(bundle, segment) for segment in inside], gives, file)


def write_chain(models: Sequence[ModelProto], gives: Sequence[str], file: Path) -> Graph:
    """Write models joined to one that gives the values `gives`; see `chain`."""
    return write_model(chain(models, file.stem, gives), file)


def write_model(model: ModelProto, file: Path) -> Graph:
    """Write a model, and describe it by its own names."""
    onnx.save(model, str(file))
    takes, gives = model.graph.input, model.graph.output
    return Graph(
        file=file.name,
        takes=tuple(value.name for value in takes),
        gives=tuple(value.name for value in gives),
    )


def read(bundle: Bundle, graph: Graph) -> ModelProto:
    """Read one graph of a bundle."""
    return onnx.load(bundle.path(graph))


def inlined(model: ModelProto) -> ModelProto:
    """Give a model without functions of its own: what calls them is written out."""
    return inliner.inline_local_functions(model) if model.functions else model


def finished(graph: GraphProto, opsets: Mapping[str, int], ir_version: int) -> ModelProto:
    """Make a model of a graph, and check it."""
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
    onnx.checker.check_model(model)
    return model


def rename(graph: GraphProto, names: Mapping[str, str], prefix: str) -> None:
    """Rename the values of a graph and of the graphs within it, in place.

    Args:
        graph: whose values.
        names: new names of some.
        prefix: begins the new names of all others, and of the nodes.
    """

    def new(name: str) -> str:
        return names.get(name, prefix + name) if name else name  # "" is an input left out

    for node in graph.node:
        node.name = prefix + node.name if node.name else ""
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                rename(inner, names, prefix)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = new(value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = new(sparse.values.name)


def named(value: ValueInfoProto, name: str) -> ValueInfoProto:
    """Copy the type and shape of a value under another name."""
    copy = ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy
