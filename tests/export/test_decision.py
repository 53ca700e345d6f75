"""A rule as ONNX operators decides as the rule itself does, on its edges too."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from offramp.core.errors import BadInput
from offramp.core.rule import AtLeast, AtMost, Levels, Range, Rule, Table
from offramp.export.decision import Operators, decide
from offramp.runtime.ort import load_graph

THIRD = 1 / 3  # no float32: 0.33333334 is above, and must not be rounded down to it

RULES: dict[str, Rule] = {
    "at least": AtLeast(threshold=THIRD),
    "at least, the second": AtLeast(threshold=0.5, score=1),
    "at most": AtMost(threshold=THIRD),
    "at most, the last": AtMost(threshold=-0.25, score=2),
    "levels": Levels(thresholds=(THIRD, 0.5, -0.25)),
    "table": Table(
        edges=((-0.5, THIRD), (0.5,), (-0.25, 0.25, 0.75)),
        stop=tuple(bool(n % 3 == 0 or n % 7 == 2) for n in range(24)),
    ),
    "table of one bin": Table(edges=((), (), ()), stop=(True,)),
    "table of one column": Table(edges=((), (0.5,), ()), stop=(False, True)),
}


def examples(count: int) -> np.ndarray:
    """Draw scores, among them the thresholds, their neighbours, infinities and no numbers."""
    rng = np.random.default_rng(3)
    scores = rng.uniform(-1, 1, (400, count)).astype(np.float32)
    special = np.array([THIRD, 0.5, -0.25, -0.5, 0.25, 0.75], np.float32)
    special = np.concatenate([special, np.nextafter(special, 2), np.nextafter(special, -2)])
    special = np.concatenate([special, np.array([np.nan, np.inf, -np.inf], np.float32)])
    chosen = rng.random(scores.shape) < 0.5
    return np.where(chosen, rng.choice(special.astype(np.float32), scores.shape), scores)


def decided(rule: Rule, scores: np.ndarray, folder: Path) -> list[bool]:
    made = Operators("r/")
    answer = decide(rule, "scores", made)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        made.nodes,
        "rule",
        [info("scores", TensorProto.FLOAT, [scores.shape[1]])],
        [info(answer, TensorProto.BOOL, [])],
        made.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(folder / "rule.onnx"))
    session = load_graph(folder / "rule.onnx")
    return [bool(session.run(None, {"scores": row})[0]) for row in scores]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_operators_decide_as_the_rule(rule: Rule, tmp_path: Path) -> None:
    scores = examples(3)
    expected = [rule.stops(row) for row in scores.tolist()]
    assert decided(rule, scores, tmp_path) == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize(("low", "high"), [(-0.25, THIRD), (0.5, 0.5), (0.5, -0.5)])
def test_a_range_holds_its_ends(low: float, high: float, tmp_path: Path) -> None:
    rule, scores = Range(low=low, high=high), examples(1)
    expected = [rule.stops(row) for row in scores.tolist()]
    assert decided(rule, scores, tmp_path) == expected
    assert any(expected) == (low <= high)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(BadInput, match="a rule of the kind str cannot be put into a graph"):
        decide("whim", "scores", Operators("r/"))  # type: ignore[arg-type]
