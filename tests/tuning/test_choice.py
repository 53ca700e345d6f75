"""Which candidate a study ends with."""

import pytest

from offramp.tuning.choice import missing, provisional, ranked
from tests.tuning.studies import candidate, chosen, latency, study

BASE = candidate("base", 100, 0.97, "baseline")


def order(*candidates, **bounds):
    told = study(BASE, *candidates, **{"max_latency_ms": 30, "min_iou": 0.95, **bounds})
    return [c.id for c in ranked(told, told.candidates)]


def test_within_the_bounds_the_fastest_is_first() -> None:
    found = order(candidate("a", 20, 0.96), candidate("b", 10, 0.95), candidate("c", 30, 0.99))
    assert found == ["b", "a", "c", "base"]


def test_outside_the_least_miss_is_first() -> None:
    # 100 % too slow; 20 % too slow; 10 % too inaccurate; both by 20 %.
    found = order(
        candidate("slow", 60, 0.99),
        candidate("late", 36, 0.99),
        candidate("poor", 5, 0.9 * 0.95),
        candidate("both", 36, 0.8 * 0.95),
    )
    assert found == ["poor", "late", "both", "slow", "base"]


def test_equally_fast_the_more_accurate_is_first() -> None:
    assert order(candidate("a", 20, 0.96), candidate("b", 20, 0.98))[0] == "b"


def test_what_is_not_finished_or_a_warning_is_no_choice() -> None:
    found = order(
        candidate("stopped", 5, 0.99, status="stopped"),
        candidate("slow", 5, None, status="too-slow"),
        candidate("warning", 5, 0.99, "resolution-untrained"),
    )
    assert found == ["base"]


@pytest.mark.parametrize(
    ("ms", "iou", "said"),
    [
        (30, 0.95, ()),
        (31, 0.95, ("31.00 ms, not 30 ms or less",)),
        (30, 0.94, ("IoU of 'parcel' 0.9400, not 0.95 or more",)),
        (float("nan"), float("nan"), ("nan ms", "nan, not 0.95")),
    ],
)
def test_what_is_missed_is_said(ms, iou, said) -> None:
    found = missing(study(BASE), latency(ms), iou)
    assert bool(found) == bool(said)
    assert all(text in found for text in said)


def test_the_choice_so_far() -> None:
    fits = candidate("fits", 20, 0.96)
    assert provisional(study(), ()) is None
    told = study(BASE, fits)
    now = provisional(told, told.candidates)
    assert now is not None
    assert (now.id, now.fits, now.bundle) == ("fits", True, "")
    # What was measured again and exported stands until something better comes.
    settled = chosen("fits", bundle="chosen.offramp")
    told = study(BASE, fits, chosen=settled)
    assert provisional(told, told.candidates) == settled
    better = provisional(told, (*told.candidates, candidate("new", 10, 0.96)))
    assert better is not None
    assert (better.id, better.bundle) == ("new", "")
