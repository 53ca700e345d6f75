"""Candidates in an Optuna study: nothing is lost, and nobody does another's work."""

import json
from pathlib import Path

import optuna
import pytest

from offramp.core.errors import BadInput
from offramp.models.zoo import ZOO
from offramp.tuning.candidate import Candidate, Latency
from offramp.tuning.knobs import Space
from offramp.tuning.ledger import NAME, Ledger

SPACE = Space.of(ZOO["fastscnn"].knobs, (64, 96), "expert", {})


def candidate(width: float = 1.0, iou: float | None = None, **keys) -> Candidate:
    setting = SPACE.native.turned("width", width)
    return Candidate(
        id=SPACE.name(setting),
        stage="width",
        size=setting.size,
        knobs=dict(setting.knobs),
        latency=Latency(median_ms=10 * width, p5_ms=9 * width, p95_ms=11 * width, rounds=5),
        iou=iou,
        **{"status": "measured" if iou is None else "trained", **keys},
    )


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{folder / 'study.db'}"
    return optuna.load_study(study_name=NAME, storage=storage).get_trials()


def test_what_is_entered_is_there_for_the_next_process(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SPACE)
    first, second = candidate(), candidate(0.5)
    assert ledger.add(first)
    assert ledger.add(second)
    assert Ledger(tmp_path, SPACE).all() == [first, second]
    done = candidate(0.5, iou=0.8)
    ledger.update(done)
    assert Ledger(tmp_path, SPACE).get(second.id) == done


def test_optuna_sees_knobs_and_values(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SPACE)
    ledger.add(candidate(0.5))
    ledger.update(candidate(0.5, iou=0.8))
    ledger.add(candidate(0.25, status="too-slow"))
    ledger.add(candidate(0.75, status="failed"))
    ledger.add(candidate(0.125))
    found = trials(tmp_path)
    assert [t.state.name for t in found] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert found[0].values == [5.0, 0.8]
    assert found[0].params["width"] == 0.5
    assert found[0].params["size"] == "96x64"
    assert json.loads(found[0].user_attrs["candidate"])["iou"] == 0.8


def test_of_two_machines_the_first_does_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    here, there = Ledger(tmp_path / "here", SPACE, url), Ledger(tmp_path / "there", SPACE, url)
    one = candidate()
    assert here.add(one)
    assert not there.add(one)
    assert here.mine(one.id)
    assert not there.mine(one.id)
    assert there.all() == [one]


def test_sampling_stays_within_what_is_left_and_learns(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SPACE)
    for width, iou in ((1.0, 0.9), (0.5, 0.85), (0.25, 0.8)):
        ledger.add(candidate(width, iou=iou))
    left = [s for s in SPACE.combinations(set(), set()) if dict(s.knobs)["width"] == 0.125][:40]
    drawn = {ledger.sample(left, seed) for seed in range(6)}
    assert drawn <= set(left)
    assert len(drawn) > 1
    assert ledger.sample([], 0) is None
    assert len(trials(tmp_path)) == 3  # drawing leaves nothing behind


def test_a_storage_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be used"):
        Ledger(tmp_path, SPACE, f"sqlite:///{tmp_path / 'no' / 'folder' / 'x.db'}")
