from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.tuning.label import label
from offramp.tuning.recommend import finished, frontier, point, recommend, sentence
from tests.tuning.studies import candidate, iot_study, study

BASE = candidate("base", 100, 0.97, "baseline")


@dataclass(frozen=True)
class Plain:
    id: str
    ms: float
    iou: float


@given(
    st.lists(
        st.tuples(st.sampled_from([5.0, 30.0, 33.0, 34.0]), st.sampled_from([0.5, 0.95, 0.96])),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_each_rule_gives_the_best_of_those_that_meet_it(spots):
    plain = [Plain(f"c{i}", ms, iou) for i, (ms, iou) in enumerate(spots)]
    told = study(*(candidate(one.id, one.ms, one.iou) for one in plain))
    fastest, accurate, real_time, _ = recommend(told)
    enough = [one for one in plain if one.iou >= 0.95]
    _expect(fastest, enough, min((one.ms, -one.iou) for one in enough) if enough else None)
    for pick, bound in ((accurate, 30.0), (real_time, 1000 / 30)):
        able = [one for one in plain if one.ms <= bound]
        best = min((-one.iou, one.ms) for one in able) if able else None
        _expect(pick, able, best and (best[1], best[0]))


def _expect(pick, able, spot):
    if not able:
        assert pick.candidate is None
        assert pick.closest is not None
    else:
        ms, iou = point(pick.candidate)
        assert (ms, -iou) == spot


def test_what_is_not_finished_is_not_recommended():
    told = study(
        BASE,
        candidate("slow", 200, None, status="too-slow", reason="200 ms"),
        candidate("half", 10, 0.99, status="stopped"),
        candidate("going", 10, 0.99, status="training"),
        candidate("unknown", None, 0.99),
        candidate("good", 20, 0.96, width=0.5),
    )
    assert [one.id for one in finished(told)] == ["base", "good"]
    assert [one.id for one in frontier(told.candidates)] == ["good", "base"]
    assert recommend(told)[0].candidate.id == "good"


def test_where_nobody_meets_a_rule_the_closest_is_named():
    told = study(BASE, candidate("b", 50, 0.90, width=0.5), min_iou=0.99)
    fastest, accurate, real_time, bend = recommend(told)
    assert sentence(fastest, told) == (
        "Fastest with an IoU of 99 % or more: none, of 2 candidates. Closest is baseline (base) "
        "with 97.00 % IoU in 100 ms (10 fps)."
    )
    assert (accurate.closest.id, real_time.closest.id) == ("b", "b")
    assert bend.candidate is None
    assert sentence(bend, told).endswith("none, as the front has no bend.")
    empty = study(candidate("base", None, None, "baseline", status="measured"))
    assert "nothing is trained yet" in sentence(recommend(empty)[0], empty)


def test_a_sentence_has_the_figures():
    told = study(BASE, candidate("w", 20, 0.961, "combination", (96, 160), width=0.5))
    assert sentence(recommend(told)[0], told) == (
        "Fastest with an IoU of 95 % or more: 160x96, width 0.5 (w) with 96.10 % IoU in 20 ms "
        "(50 fps), 5.00 times as fast as the baseline."
    )


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({}, "baseline"),
        ({"channels": 1}, "luma"),
        ({"pyramid": False, "size": (96, 160)}, "160x96, no pyramid"),
        ({"width": 0.125, "repetition": 1}, "width 0.125, repetition 1"),
        ({"size": (96, 160), "stage": "resolution-untrained"}, "160x96 (not retrained)"),
        ({"kind": "exits", "stage": "exits", "width": 0.5}, "width 0.5 + exits"),
    ],
)
def test_a_label_says_what_differs(told, name):
    assert label(candidate("x", 1, 0.5, **told), BASE) == name


def test_the_thesis_is_read_as_its_author_reads_it():
    told = iot_study()
    fastest, _, real_time, bend = recommend(told)
    # Model 14 of table 4.22, and model 24 of table 4.19.
    assert point(fastest.candidate) == pytest.approx((5.3, 0.9588))
    assert point(real_time.candidate) == pytest.approx((24.3, 0.9739))
    # Its "probably most interesting" cluster: 9.1 ms to 3.3 ms at 0.9636 to 0.9476 (§4.5.1).
    assert 3.3 <= point(bend.candidate)[0] <= 9.1
