"""Plans on disk."""

import json
from pathlib import Path

import pytest

from offramp.core.errors import BadInput, UnknownName
from offramp.core.plan import Expectation, Plan, PlannedExit
from tests.tiny import at_least

NOTHING = Expectation(miou=0.5, miou_per_image=0.5, macs=1, latency_ms=0)


def make(setting: str, thresholds: list[float | None]) -> dict[str, object]:
    exits = [
        PlannedExit(point=f"p{i}", head="own", rule=at_least(value))
        for i, value in enumerate(thresholds)
    ]
    return {
        "setting": setting,
        "scores": ["mean-top1"],
        "exits": [planned.model_dump() for planned in exits],
        "expected": NOTHING.model_dump(),
        "full": NOTHING.model_dump(),
        "size": [64, 96],
        "images": 8,
    }


def test_a_plan_reads_back_to_the_last_digit(tmp_path: Path) -> None:
    plan = Plan.parse(make("input-dependent", [0.1 + 0.2, 1 / 3, None]), "here")
    plan.save(tmp_path / "plans" / "plan.json")
    assert Plan.load(tmp_path / "plans" / "plan.json") == plan


@pytest.mark.parametrize(
    ("setting", "thresholds"),
    [
        ("budgeted", [None]),
        ("anytime", [None, None, None]),
        ("input-dependent", [None]),
        ("input-dependent", [0.5, None]),
    ],
)
def test_thresholds_that_fit_the_setting_pass(setting: str, thresholds: list[float | None]) -> None:
    assert Plan.parse(make(setting, thresholds), "here").setting == setting


@pytest.mark.parametrize(
    ("setting", "thresholds"),
    [
        ("budgeted", [0.5]),
        ("anytime", [0.5, None]),
        ("input-dependent", [None, None]),
        ("input-dependent", [0.5, 0.5]),
        ("budgeted", []),
        ("sometimes", [None]),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(
    setting: str, thresholds: list[float | None]
) -> None:
    with pytest.raises(BadInput, match="here"):
        Plan.parse(make(setting, thresholds), "here")


def test_an_unknown_key_of_an_exit_is_compared_with_those_of_exits(tmp_path: Path) -> None:
    value = make("budgeted", [None])
    value["exits"] = [{"point": "p0", "head": "own", "rul": None}]
    (tmp_path / "plan.json").write_text(json.dumps(value))
    with pytest.raises(UnknownName, match="did you mean 'rule'"):
        Plan.load(tmp_path / "plan.json")


def test_a_list_is_no_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("[]")
    with pytest.raises(BadInput, match="is not a plan"):
        Plan.load(tmp_path / "plan.json")
