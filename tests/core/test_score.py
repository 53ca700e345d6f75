"""Scores by name."""

import pytest

from offramp.core.errors import UnknownName
from offramp.core.score import (
    EXIT_AGREEMENT,
    FRAME_AGREEMENT,
    RECORDED,
    ScoreSpec,
    class_scores,
)

SPECS = {
    "coverage-entropy@0.8": ScoreSpec("coverage", "entropy", 0.8),
    "edge-top1@0.9": ScoreSpec("edge", "top1", 0.9),
    "edge-entropy@0.35": ScoreSpec("edge", "entropy", 0.35),
    "fft": ScoreSpec("fft"),
    "fft-full": ScoreSpec("fft", full=True),
    "mean-entropy-full": ScoreSpec("mean", "entropy", full=True),
    "entropy-full": ScoreSpec("entropy", "entropy", full=True),
    "coverage-top1@0.85-full": ScoreSpec("coverage", "top1", 0.85, full=True),
    "edge-top1@0.9-full": ScoreSpec("edge", "top1", 0.9, full=True),
    "class-top1#12": ScoreSpec("class", label=12),
    "exit-agreement": ScoreSpec("exit-agreement"),
    "frame-agreement": ScoreSpec("frame-agreement"),
    "classifier": ScoreSpec("classifier"),
    "regressor": ScoreSpec("regressor"),
    "exit-choice": ScoreSpec("exit-choice"),
}


@pytest.mark.parametrize("spec", [*RECORDED, *SPECS.values()], ids=lambda spec: spec.name)
def test_a_name_reads_back(spec: ScoreSpec) -> None:
    assert ScoreSpec.parse(spec.name) == spec


@pytest.mark.parametrize("name", SPECS)
def test_a_name_says_what_is_meant(name: str) -> None:
    assert ScoreSpec.parse(name) == SPECS[name]
    assert SPECS[name].name == name


def test_names_are_those_of_the_documentation() -> None:
    names = [spec.name for spec in RECORDED]
    assert names[:3] == ["mean-top1", "mean-entropy", "entropy"]
    assert {"coverage-top1@0.95", "edge-top1@0.9", "fft"} < set(names)
    assert len(set(names)) == len(names)


def test_a_trace_holds_what_an_exit_says_by_itself() -> None:
    for spec in RECORDED:
        assert (spec.needs, spec.full, spec.learned) == ("", False, False)
        assert spec.reduce != "class"


def test_only_entropy_is_surer_down_and_only_the_spectrum_within_a_range() -> None:
    ways = {spec.name: spec.direction for spec in (*RECORDED, *SPECS.values())}
    assert {n for n, way in ways.items() if way == "down"} == {"entropy", "entropy-full"}
    assert {n for n, way in ways.items() if way == "range"} == {"fft", "fft-full"}
    for name, way in ways.items():
        assert ScoreSpec.parse(name).more_is_surer == (way == "up")


def test_agreement_needs_another_answer() -> None:
    assert ScoreSpec.parse(EXIT_AGREEMENT).needs == "exit"
    assert ScoreSpec.parse(FRAME_AGREEMENT).needs == "frame"


def test_every_class_has_its_score() -> None:
    assert [spec.name for spec in class_scores(3)] == [f"class-top1#{k}" for k in range(3)]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mean",
        "coverage-top1",
        "coverage-top1@1.5",
        "coverage@0.5",
        "edge@0.9",
        "class-top1#",
        "class-top1#-1",
        "class-entropy#1",
        "class-top1#1-full",
        "exit-agreement-full",
        "full",
        "edge-top1@0.9-full-full",
        "classifier-full",
        "fft@0.5",
    ],
)
def test_what_is_no_score_is_refused(name: str) -> None:
    with pytest.raises(UnknownName, match="no score"):
        ScoreSpec.parse(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mean-top", "mean-top1"),
        ("edge-top@0.9", "edge-top1@0.9"),
        ("ftt", "fft"),
        ("mean-top1-ful", "mean-top1-full"),
        ("exit_agreement", "exit-agreement"),
    ],
)
def test_a_misspelt_score_is_offered_its_neighbour(name: str, meant: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{meant}'"):
        ScoreSpec.parse(name)
