"""Exits as a stage: plans are judged on the images of the others, and timed as the others are."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.data.dataset import Dataset
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.metrics.trace import Trace
from offramp.runtime.accuracy import evaluate
from offramp.runtime.session import Session
from offramp.tuning import climb, exits
from offramp.tuning.candidate import Candidate, Latency, Study
from offramp.tuning.exits import mixed, shares
from offramp.tuning.frontier import dominates
from offramp.tuning.recommend import frontier
from offramp.tuning.tune import tune
from tests.tiny import at_least, make_trace
from tests.tuning.whole import shrink, task, whole_study

NOTHING = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    return whole_study(tmp_path_factory, dataset)


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return Study.load(folder)


def with_exits(study: Study) -> list[Candidate]:
    return [c for c in study.candidates if c.kind == "exits"]


def point(candidate: Candidate) -> tuple[float, float]:
    assert candidate.latency is not None
    assert candidate.iou is not None
    return candidate.latency.median_ms, candidate.iou


@pytest.mark.slow
def test_plans_stand_beside_the_others(folder: Path, study: Study) -> None:
    found = with_exits(study)
    assert found
    assert study.done
    assert study.stages[-1] == "exits"
    for one in found:
        plan = Plan.load(folder / one.plan)
        host = study.candidate(one.parent or "")
        assert host.kind == "static"
        assert (one.size, one.knobs) == (host.size, host.knobs)
        assert plan.size == host.size
        assert plan.exits[0].point != "end"
        assert one.macs > 0
        assert one.status == "trained"


@pytest.mark.slow
def test_all_are_judged_on_the_same_images(folder: Path, study: Study, dataset: Dataset) -> None:
    for one in with_exits(study):
        seen = Trace.load(folder / one.run / "val.npz")
        assert seen.images == tuple(sample.name for sample in dataset.samples("val"))
        # Heads were trained, the network below them was not: its own end says what it said.
        end = seen.index("end", "own")
        reached = mean_iou(seen.intersections[end].sum(axis=0), seen.unions[end].sum(axis=0))
        assert reached == study.candidate(one.parent or "").iou


@pytest.mark.slow
def test_the_iou_of_a_plan_is_that_of_its_bundle(
    folder: Path, study: Study, dataset: Dataset
) -> None:
    assert study.chosen is not None
    chosen = study.candidate(study.chosen.id)
    bundle = Bundle.open(folder / study.chosen.bundle)
    outcome, _ = evaluate(Session(bundle, threads=1), dataset, "val")
    reached = mean_iou(outcome.intersections.sum(axis=0), outcome.unions.sum(axis=0))
    assert reached == pytest.approx(chosen.iou, abs=0.005)  # another engine rounds otherwise
    assert not study.chosen.fits
    assert "not 1 or more" in study.chosen.missing
    tested = Session(bundle, threads=1)
    total = np.zeros((2, 3), dtype=np.int64)
    for sample in dataset.samples("test"):
        image, truth = dataset.read(sample)
        labels = tested.segment(image).labels
        total += np.stack(intersections_unions(labels, truth, 3, 255))
    assert study.chosen.test_iou == mean_iou(*total)


@pytest.mark.slow
def test_whether_exits_win_is_said(study: Study) -> None:
    static = [c for c in study.candidates if c.kind == "static" and c.finished]
    best = frontier([c for c in static if c.stage != "resolution-untrained"])
    wins = any(dominates(point(a), point(b)) for a in with_exits(study) for b in best)
    said = [note for note in study.notes if "static front" in note]
    assert len(said) == 1
    assert said[0].startswith("exits dominate") == wins


@pytest.mark.slow
def test_a_finished_study_trains_nothing_again(
    folder: Path, study: Study, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    shrink(monkeypatch)
    monkeypatch.setattr(climb, "fit", never)
    monkeypatch.setattr(exits, "train", never)
    monkeypatch.setattr("offramp.tuning.tune.finish", lambda desk: desk.save(done=True))
    shutil.copytree(folder, tmp_path / "study")
    again = tune(task(dataset, tmp_path / "study"))
    assert again.candidates == study.candidates
    assert again.spent_s > study.spent_s


def test_shares_replay_a_plan() -> None:
    scores = np.array([[0.9, 0.2, 0.8, 0.1], [0.5, 0.5, 0.5, 0.5]])[..., None]  # E×N×S
    right = np.array([[[4, 4], [0, 0], [2, 2], [0, 0]], [[9, 9], [1, 2], [9, 9], [3, 4]]])
    whole = np.full_like(right, 5)  # E×N×C
    trace = make_trace(scores, right, whole, [("a", "h"), ("end", "own")])
    plan = Plan(
        setting="input-dependent",
        scores=("mean-top1",),
        exits=(
            PlannedExit(point="a", head="h", rule=at_least(0.5)),
            PlannedExit(point="end", head="own"),
        ),
        expected=NOTHING,
        full=NOTHING,
        size=trace.size,
        images=4,
    )
    parts, reached = shares(plan, trace)
    assert parts.tolist() == [0.5, 0.5]
    # Images 0 and 2 stop early: 4 + 1 + 2 + 3 of 20 for class 0. Of two classes the second counts.
    assert reached == (4 + 2 + 2 + 4) / 20


def test_times_are_means_over_images() -> None:
    paths = [
        Latency(median_ms=1, p5_ms=0.5, p95_ms=2, rounds=7),
        Latency(median_ms=3, p5_ms=2.5, p95_ms=6, rounds=7),
    ]
    found = mixed(paths, [0.25, 0.75])
    assert (found.p5_ms, found.median_ms, found.p95_ms) == (2.0, 2.5, 5.0)
    assert found.predicted
    assert not mixed(paths[:1], [1.0]).predicted
