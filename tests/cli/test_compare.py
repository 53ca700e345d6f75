"""`offramp compare` on a recorded run: keys, files, exits, what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from offramp.core.costs import Costs
from offramp.core.files import write_text
from offramp.metrics.trace import Trace
from offramp.search.exits import named_exits
from offramp.search.problem import Problem
from offramp.search.strategies import Strategy
from offramp.training.run import Run
from tests.cli.test_cli import answer, call
from tests.search.simulated import COSTS, like_recorded

FEW = ("--policies", "threshold:entropy,table:entropy,range:fft")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    like_recorded(5).save(folder / "trace.npz")
    write_text(folder / "costs.json", COSTS.model_dump_json())
    return folder


def rows_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["policy"]: row for row in found["rows"]}


def test_compare_has_its_keys_and_files(recorded: Path) -> None:
    found = answer("compare", recorded, *FEW)
    assert json.loads((recorded / "compare" / "compare.json").read_text()) == found
    assert "<html" in Path(found["page"]).read_text()
    assert found["exits"] == ["a/x", "b/x", "c/x", "end/own"]
    assert found["images"] == {"fitted": 30, "held_out": 30}
    rows = rows_of(found)
    wanted = {"policy", "miou", "miou_per_image", "macs", "latency_ms", "exit_share", "fitted"}
    for row in rows.values():
        assert wanted <= set(row)
        assert set(row["miou_per_image"]) == {"mean", "std"}
        assert sum(row["exit_share"].values()) == pytest.approx(1)
    assert rows["always b/x"]["exit_share"] == {"b": 1}
    table = rows["table:entropy"]
    assert table["kind"] == "strategy"
    assert table["scores"] == ["entropy"]
    assert [rule["kind"] for rule in table["rules"]] == ["table"] * 3
    assert table["weight"] is None or table["weight"] >= 0
    assert rows["oracle: most mIoU"]["kind"] == "bound"
    assert rows["full network"]["miou"] - found["wanted_miou"]["held_out"] == pytest.approx(0.01)


def test_all_are_the_usual_strategies_and_the_table_names_them(recorded: Path) -> None:
    said = call("compare", recorded, "--out", recorded / "elsewhere").stdout
    for name in ("threshold:mean-top1", "per-class", "regressor", "rl:fft", "full network"):
        assert f"\n{name}" in said
    assert (recorded / "elsewhere" / "index.html").is_file()
    assert not (recorded / "compare").exists()


def test_the_newest_input_dependent_plan_gives_the_exits(recorded: Path) -> None:
    trace = Trace.load(recorded / "trace.npz")
    problem = Problem(trace, COSTS, named_exits(trace, ["b/x"]))
    plan = Strategy.parse("threshold:entropy").plans(problem)[0]
    plan.save(recorded / "plans" / "mine.json")
    write_text(recorded / "plans" / "mine.frontier.json", "[]")
    write_text(recorded / "plans" / "of-another-version.json", '{"score": "entropy"}')
    found = answer("compare", recorded, *FEW)
    assert found["exits"] == ["b/x", "end/own"]
    assert found["exits_from"] == "plan mine"
    assert answer("compare", recorded, *FEW, "--exits", "c/x,a/x")["exits"] == [
        "a/x",
        "c/x",
        "end/own",
    ]


def test_another_trace_is_held_out_whole(recorded: Path) -> None:
    like_recorded(6, images=20).save(recorded / "trace.val.npz")
    found = answer("compare", recorded, *FEW, "--on", recorded / "trace.val.npz")
    assert found["images"] == {"fitted": 60, "held_out": 20}
    message = call("compare", recorded, "--on", recorded / "trace.npz", status=2).stderr
    assert "60 in both traces" in message


def test_a_least_miou_takes_the_place_of_the_loss(recorded: Path) -> None:
    found = answer("compare", recorded, *FEW, "--min-miou", 0.3)
    assert found["wanted_miou"] == {"fitted": 0.3, "held_out": 0.3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policies", "range:ftt"), "did you mean 'fft'"),
        (("--policies", "clasifier"), "did you mean 'classifier'"),
        (("--policies", "threshold:coverage-top1@0.7"), "no recorded score"),
        (("--exits", "a/y"), "did you mean 'a/x'"),
        (("--exits", "a"), "point/head"),
        (("--on", "nowhere.npz"), "there is no trace"),
        (("--max-miou-loss", "7"), "expected 0 to 1"),
    ],
)
def test_bad_input_is_status_two(recorded: Path, arguments: tuple[str, str], message: str) -> None:
    said = call("compare", recorded, *arguments, status=2).stderr
    assert message in said
    assert said.startswith("offramp: ")


def test_a_split_is_recorded_beside_the_one_that_is_fitted_on(
    run: Run, trace: Trace, costs: Costs, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    told = ("record", folder, "--split", "val", "--held-out")
    assert "offramp record" in call(*told, status=2).stderr
    trace.save(folder / "trace.npz")
    write_text(folder / "costs.json", costs.model_dump_json())
    before = (folder / "trace.npz").read_bytes(), (folder / "costs.json").read_bytes()
    held = answer(*told)
    assert held["trace"] == str(folder / "trace.val.npz")
    assert len(Trace.load(folder / "trace.val.npz").images) == held["images"] == 6
    assert before == ((folder / "trace.npz").read_bytes(), (folder / "costs.json").read_bytes())
    found = answer("compare", folder, *FEW, "--on", held["trace"])
    assert found["images"] == {"fitted": 8, "held_out": 6}
