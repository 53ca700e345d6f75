"""A rule as ONNX operators: an exit's scores -> whether the image stops there.

Thresholds are compared as float64, as `core.rule` does, so that both decide alike to the last bit.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from offramp.core.errors import BadInput
from offramp.core.rule import AtLeast, AtMost, Levels, Range, Rule, Table


class Operators:
    """Operators and constants in the making.

    Args:
        prefix: begins the names of all values.

    Attributes:
        nodes: the operators, in order.
        constants: what they take besides.
    """

    def __init__(self, prefix: str) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._prefix = prefix

    def run(self, kind: str, *values: str, **attributes: Any) -> str:
        """Add an operator of one result; returns the result's name."""
        name = f"{self._prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(values), [name], name=name, **attributes))
        return name

    def constant(self, value: Any, kind: type[np.generic]) -> str:
        """Add a constant; returns its name."""
        name = f"{self._prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=kind), name))
        return name


def decide(rule: Rule, scores: str, made: Operators) -> str:
    """Add what a rule decides; returns the name of the answer, a single bool.

    Args:
        rule: of one exit.
        scores: name of its scores, float32 S.
        made: what is added to.

    Raises:
        BadInput: the rule is of a kind that has no operators.
    """
    exact = made.run("Cast", scores, to=TensorProto.DOUBLE)
    if isinstance(rule, AtLeast):
        return _compare(made, "GreaterOrEqual", exact, rule.score, rule.threshold)
    if isinstance(rule, AtMost):
        return _compare(made, "LessOrEqual", exact, rule.score, rule.threshold)
    if isinstance(rule, Range):
        above = _compare(made, "GreaterOrEqual", exact, 0, rule.low)
        return made.run("And", above, _compare(made, "LessOrEqual", exact, 0, rule.high))
    if isinstance(rule, Levels):
        each = made.run("GreaterOrEqual", exact, made.constant(rule.thresholds, np.float64))
        least = made.run("ReduceMin", made.run("Cast", each, to=TensorProto.INT32), keepdims=0)
        return made.run("Cast", least, to=TensorProto.BOOL)
    if isinstance(rule, Table):
        return _look_up(made, rule, exact)
    raise BadInput(f"a rule of the kind {type(rule).__name__} cannot be put into a graph")


def _compare(made: Operators, kind: str, scores: str, index: int, threshold: float) -> str:
    return made.run(kind, _one(made, scores, index), made.constant(threshold, np.float64))


def _one(made: Operators, scores: str, index: int) -> str:
    return made.run("Gather", scores, made.constant(index, np.int64))


def _look_up(made: Operators, rule: Table, scores: str) -> str:
    """Find the joint bin, the first score's varying slowest; a score that is no number has none."""
    total = made.constant(0, np.int64)
    answer = ""
    for index, edges in enumerate(rule.edges):
        score = _one(made, scores, index)
        known = made.run("Equal", score, score)
        answer = made.run("And", answer, known) if answer else known
        if edges:
            total = made.run("Add", total, _bin(made, score, rule.edges, index))
    stop = made.run("Gather", made.constant(rule.stop, np.bool_), total)
    return made.run("And", answer, stop) if answer else stop


def _bin(made: Operators, score: str, edges: Sequence[Sequence[float]], index: int) -> str:
    """Count the edges that a score reaches, times the joint bins of the scores behind it."""
    reached = made.run("GreaterOrEqual", score, made.constant(edges[index], np.float64))
    count = made.run("ReduceSum", made.run("Cast", reached, to=TensorProto.INT64), keepdims=0)
    step = math.prod(len(behind) + 1 for behind in edges[index + 1 :])
    return made.run("Mul", count, made.constant(step, np.int64))
