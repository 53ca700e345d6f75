"""Scores by name."""

import pytest

from offramp.core.errors import UnknownName
from offramp.core.score import RECORDED, ScoreSpec


@pytest.mark.parametrize("spec", RECORDED, ids=lambda spec: spec.name)
def test_a_name_reads_back(spec: ScoreSpec) -> None:
    assert ScoreSpec.parse(spec.name) == spec


def test_names_are_those_of_the_documentation() -> None:
    names = [spec.name for spec in RECORDED]
    assert names[:3] == ["mean-top1", "mean-entropy", "entropy"]
    assert "coverage-top1@0.95" in names
    assert len(set(names)) == len(names)


def test_coverage_of_any_threshold_reads_back() -> None:
    spec = ScoreSpec.parse("coverage-entropy@0.8")
    assert spec == ScoreSpec("coverage", "entropy", 0.8)
    assert spec.name == "coverage-entropy@0.8"


def test_only_entropy_is_surer_from_the_threshold_down() -> None:
    assert [spec.name for spec in RECORDED if not spec.more_is_surer] == ["entropy"]


@pytest.mark.parametrize("name", ["", "mean", "coverage-top1", "coverage-top1@1.5", "coverage@0.5"])
def test_what_is_no_score_is_refused(name: str) -> None:
    with pytest.raises(UnknownName, match="no score"):
        ScoreSpec.parse(name)


def test_a_misspelt_score_is_offered_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="did you mean 'mean-top1'"):
        ScoreSpec.parse("mean-top")
