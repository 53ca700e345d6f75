"""The form "single": one graph that stops by itself, for programs in any language.

Every exit decides by an `If`, and what lies behind an exit lies within the branch that goes on:
ONNX Runtime runs only the branch that is taken.
"""

from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from offramp.core.bundle import CELLS, EXIT_BEFORE, Bundle, Graph, Manifest
from offramp.core.errors import BadInput
from offramp.core.plan import Plan
from offramp.core.rule import Rule
from offramp.core.score import ScoreSpec
from offramp.core.wiring import EXIT, LOGITS, SCORES, SINGLE_GIVES
from offramp.export.compose import Chain, named, read, write_model
from offramp.export.decision import Operators, decide
from offramp.models.network import MultiExitNetwork

ANSWER = (LOGITS, EXIT, SCORES)
"""What each level hands to the level above it."""


def write_single(network: MultiExitNetwork, manifest: Manifest, folder: Path) -> dict[str, Graph]:
    """Write `single.onnx`: frame, size -> labels, exit, scores of the exit that answered.

    Args:
        network: what the bundle was exported from; its graphs suffice.
        manifest: of the bundle.
        folder: where its graphs are, and where the new one goes.

    Returns:
        The field of the manifest: `single`.

    Raises:
        BadInput: see `require_single`.
    """
    require_single(manifest.plan)
    model = stopping_graph(Bundle(folder, manifest))
    return {"single": write_model(model, folder / "single.onnx")}


def require_single(plan: Plan) -> None:
    """Refuse a plan that no graph can follow in one run.

    Raises:
        BadInput: the plan is anytime, or compares with the frame before.
    """
    if plan.setting == "anytime":
        raise BadInput(
            "a single graph cannot follow an anytime plan",
            expected="a plan that stops by itself",
            repair="ask for --form prefixes, or run the segments one by one",
        )
    for name in plan.scores:
        if ScoreSpec.parse(name).needs == "frame":
            raise BadInput(
                f"a single graph cannot compute the score '{name}'",
                expected="scores of one frame alone",
                repair="run the segments one by one",
            )


def stopping_graph(bundle: Bundle) -> ModelProto:
    """Join a bundle's graphs so that each exit's rule decides whether the next segment runs."""
    chain = Chain()
    _grow(chain, bundle, 0, _top_answer(bundle))
    for name in ANSWER:
        chain.known[name] = _level(0, name)
    chain.add(read(bundle, bundle.manifest.decoder), "decoder/")
    return chain.model("single", SINGLE_GIVES)


def _top_answer(bundle: Bundle) -> dict[str, ValueInfoProto]:
    """Describe an answer: logits are of the grid of the exit that answered."""
    classes, scores = bundle.manifest.model.classes, len(bundle.manifest.plan.scores)
    info = helper.make_tensor_value_info
    return {
        LOGITS: info(LOGITS, TensorProto.FLOAT, [1, classes, None, None]),
        EXIT: info(EXIT, TensorProto.INT64, [1]),
        SCORES: info(SCORES, TensorProto.FLOAT, [scores]),
    }


def _grow(chain: Chain, bundle: Bundle, index: int, answer: dict[str, ValueInfoProto]) -> None:
    """Add the path from segment `index` on; its answer is called as `_level` says."""
    manifest = bundle.manifest
    exits = manifest.plan.exits
    compares = len(manifest.heads[index].takes) > 1
    chain.add(read(bundle, manifest.segments[index]), f"segment_{index}/")
    rule, last = exits[index].rule, index + 1 == len(exits)
    if last or rule is not None or compares:
        _add_head(chain, bundle, index)
    if last:
        chain.nodes += _answer_nodes(chain, index, [_level(index, name) for name in ANSWER])
    elif rule is None:  # it never stops: its head is asked only where a later one compares
        _grow(chain, bundle, index + 1, answer)
        pairs = [(_level(index + 1, name), _level(index, name)) for name in ANSWER]
        chain.nodes += [helper.make_node("Identity", [a], [b], name=b) for a, b in pairs]
    else:
        _branch(chain, bundle, index, rule, answer)
    chain.outputs.update(answer)


def _add_head(chain: Chain, bundle: Bundle, index: int) -> None:
    """Add a head; the labels that it compares with are taken to its own grid."""
    head = read(bundle, bundle.manifest.heads[index])
    grids = [value for value in head.graph.input if value.name == EXIT_BEFORE]
    if grids:
        made = Operators(f"before_{index}/")
        height, width = _grid(grids[0])
        if index == 0:
            name = made.constant(np.full((1, height, width), 255), np.uint8)
        else:
            from_height, from_width = _grid(chain.outputs[CELLS])
            rows = made.constant(np.arange(height) * from_height // height, np.int64)
            columns = made.constant(np.arange(width) * from_width // width, np.int64)
            name = made.run("Gather", chain.known[CELLS], rows, axis=1)
            name = made.run("Gather", name, columns, axis=2)
        chain.nodes += made.nodes
        chain.constants += made.constants
        chain.known[EXIT_BEFORE] = name
    chain.add(head, f"head_{index}/")


def _branch(
    chain: Chain, bundle: Bundle, index: int, rule: Rule, answer: dict[str, ValueInfoProto]
) -> None:
    """Add the decision of exit `index`: its own answer, or all that lies behind it."""
    made = Operators(f"rule_{index}/")
    stops = decide(rule, chain.known[SCORES], made)
    chain.nodes += made.nodes
    chain.constants += made.constants
    names = [f"stop_{index}/{name}" for name in ANSWER]
    here = helper.make_graph(
        _answer_nodes(chain, index, names), f"stop_{index}", [], _infos(answer, names)
    )
    further = Chain(known=dict(chain.known), outputs=dict(chain.outputs), opsets=chain.opsets)
    _grow(further, bundle, index + 1, answer)
    chain.ir_version = max(chain.ir_version, further.ir_version)
    results = [_level(index, name) for name in ANSWER]
    chain.nodes.append(
        helper.make_node(
            "If",
            [stops],
            results,
            name=f"exit_{index}",
            then_branch=here,
            else_branch=_within(further, index + 1, answer),
        )
    )


def _answer_nodes(chain: Chain, index: int, names: list[str]) -> list[NodeProto]:
    logits, exit_, scores = names
    return [
        helper.make_node("Identity", [chain.known[LOGITS]], [logits], name=logits),
        helper.make_node("Constant", [], [exit_], name=exit_, value_ints=[index]),
        helper.make_node("Identity", [chain.known[SCORES]], [scores], name=scores),
    ]


def _within(chain: Chain, index: int, answer: dict[str, ValueInfoProto]) -> GraphProto:
    """Close a chain as a branch: what it takes are values of the graphs around it."""
    names = [_level(index, name) for name in ANSWER]
    return helper.make_graph(
        chain.nodes,
        f"go_on_{index}",
        [],
        _infos(answer, names),
        chain.constants,
        value_info=list(chain.inner.values()),
    )


def _infos(answer: dict[str, ValueInfoProto], names: list[str]) -> list[ValueInfoProto]:
    return [named(answer[kind], name) for kind, name in zip(ANSWER, names, strict=True)]


def _level(index: int, name: str) -> str:
    return f"from_{index}/{name}"


def _grid(value: ValueInfoProto) -> tuple[int, int]:
    _, height, width = (dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return int(height), int(width)
