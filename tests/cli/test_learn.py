"""Learned scores on the command line: learned, recorded, exported, run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import UnknownName
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import Levels
from offramp.core.score import LEARNED
from offramp.data.dataset import Dataset
from offramp.evaluation import record
from offramp.metrics.trace import Trace
from offramp.models.count import count
from offramp.models.network import MultiExitNetwork
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.accuracy import evaluate, mean_macs
from offramp.runtime.session import Session
from offramp.search.expectation import expect
from offramp.search.levels import levels
from offramp.training import auxiliary as learning
from offramp.training.run import Run
from tests.cli.test_cli import answer, call

EXITS = (("bottleneck2", "r4-b1-fcn"), ("end", "own"))
NAMES = tuple(spec.name for spec in LEARNED)


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run."""
    copy = tmp_path_factory.mktemp("learn") / "run"
    shutil.copytree(run.folder, copy)
    return copy


@pytest.fixture(scope="module")
def said(folder: Path) -> dict[str, Any]:
    """What the verb says, and its work done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "STEPS", 100)
        return answer("learn", folder)


@pytest.fixture(scope="module")
def equipped(folder: Path, said: dict[str, Any]) -> MultiExitNetwork:
    """The network with auxiliary networks."""
    assert said
    return Run.open(folder).load_network()


@pytest.fixture(scope="module")
def recorded(equipped: MultiExitNetwork, dataset: Dataset) -> Trace:
    """The trace with learned scores."""
    return record(equipped, dataset, "calib")


@pytest.fixture(scope="module")
def plan(equipped: MultiExitNetwork, recorded: Trace) -> Plan:
    """Two exits; at the early one the images stop that all learned scores call surer."""
    exits = []
    for point, head in EXITS:
        row = recorded.index(point, head)
        middles = tuple(float(np.quantile(levels(recorded.score(row, n)), 0.3)) for n in NAMES)
        rule = None if point == "end" else Levels(thresholds=middles)
        exits.append(PlannedExit(point=point, head=head, rule=rule))
    nothing = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)
    raw = Plan(
        setting="input-dependent",
        scores=NAMES,
        exits=tuple(exits),
        expected=nothing,
        full=nothing,
        size=recorded.size,
        images=len(recorded.images),
    )
    return expect(raw, recorded, count(equipped))


def test_learn_has_its_keys(said: dict[str, Any], folder: Path) -> None:
    assert Path(said["learned"]) == folder / "auxiliary.safetensors"
    assert Path(said["learned"]).is_file()
    assert said["judged_on"] == "val"
    assert said["work_share"] > 0
    names = {*NAMES, "mean-top1"}
    assert {one["score"] for one in said["exits"]} == names
    assert len(said["exits"]) == 7 * len(names)
    assert set(said["exits"][0]) == {"point", "head", "score", "correlation", "separation"}
    (last,) = (e for e in said["exits"] if e["point"] == "end" and e["score"] == "classifier")
    assert last["separation"] is None  # no image may not stop at the end


def test_a_trace_from_before_lacks_learned_scores(trace: Trace, recorded: Trace) -> None:
    assert not set(NAMES) & set(trace.score_names)
    assert recorded.score_names[-3:] == NAMES
    with pytest.raises(UnknownName, match="recorded score 'classifier'"):
        trace.score(0, "classifier")


def test_a_plan_on_learned_scores_runs_as_it_replays(
    folder: Path, plan: Plan, recorded: Trace, dataset: Dataset, tmp_path: Path
) -> None:
    plan.save(tmp_path / "plan.json")
    made = answer("export", folder, tmp_path / "plan.json", "--out", tmp_path / "b")
    assert made["parity"]["same_exits"] == 1.0
    assert 0 <= made["parity"]["max_score_difference"] < 1e-4
    session = Session(Bundle.open(tmp_path / "b"))
    rows = [recorded.index(*pair) for pair in EXITS]
    taken = replay(RulePolicy.of(plan), recorded.seen(rows, NAMES))
    assert len(set(taken.tolist())) > 1
    live = [session.segment(image).exit for image, _ in dataset.pairs("calib")]
    assert live == taken.tolist()
    early, full = evaluate(session, dataset, "calib")
    assert early.miou == pytest.approx(plan.expected.miou, abs=1e-3)
    assert full.miou == pytest.approx(plan.full.miou, abs=1e-3)
    assert mean_macs(session, early.taken) == pytest.approx(plan.expected.macs, rel=1e-12)
    assert session.bundle.manifest.full_macs == plan.full.macs


def test_a_plan_on_what_was_not_learned_is_not_exported(
    run: Run, plan: Plan, tmp_path: Path
) -> None:
    plan.save(tmp_path / "plan.json")
    refused = call("export", run.folder, tmp_path / "plan.json", "--out", tmp_path / "b", status=2)
    assert "offramp learn RUN" in refused.stderr
    assert not (tmp_path / "b").exists()


def test_only_train_and_val_are_learned_from(folder: Path) -> None:
    assert "calib" in call("learn", folder, "--split", "calib", status=2).output
