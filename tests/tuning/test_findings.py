"""The findings: true on what the thesis measured, false where figures are turned, else untested."""

import pytest

from offramp.tuning.candidate import Rung
from offramp.tuning.findings import exits, findings, luma, retraining, width
from tests.tuning.studies import candidate, iot_study, study

BASE = candidate("base", 100, 0.97, "baseline")
LOWER = candidate("r", 25, 0.96, "resolution", (256, 256))


def untrained(iou, size=(256, 256)):
    return candidate(f"u{size[0]}", 25, iou, "resolution-untrained", size)


def with_exits(id, ms, iou, **told):
    return candidate(id, ms, iou, "exits", kind="exits", predicted=True, **told)


def test_the_thesis_finds_what_it_found():
    found = findings(iot_study())
    assert [one.verdict for one in found] == ["true", "true", "true", "not tested"]
    retrain, grey, wide, _ = found
    assert any("54.40 %" in text and "97.29 % retrained" in text for text in retrain.figures)
    assert len(retrain.figures) == 6
    # "the only model belonging to the frontier with one channel is 96x96x1" (§4.3.3)
    assert sum("is dominated by" in text for text in grey.figures) == 6
    assert sum(t.startswith("96x96, ") and "faster than all" in t for t in grey.figures) == 1
    # From 220.4 ms and 97.77 % at a = 1 to 26.5 ms and 97.11 % at a = 0.125 (table 4.12).
    assert wide.figures[0].startswith("width: 8.32× for at most 1 %-points")
    # From 166.3 ms and 97.89 % at 512 to 23.7 ms and 97.03 % at 192 (table 4.22).
    assert wide.figures[1].startswith("resolution: 7.02× for at most 1 %-points")


@pytest.mark.parametrize(
    ("without", "verdict"), [(0.50, "true"), (0.955, "false"), (0.97, "false")]
)
def test_retraining_is_needed_if_it_gains_more_than_a_point(without, verdict):
    assert retraining(study(BASE, untrained(without), LOWER)).verdict == verdict


def test_retraining_is_not_needed_if_one_size_does_without():
    more = candidate("s", 10, 0.90, "resolution", (128, 128))
    told = study(BASE, untrained(0.5), LOWER, untrained(0.899, (128, 128)), more)
    assert retraining(told).verdict == "false"


def test_retraining_is_untested_without_both_ways_at_one_size():
    other = candidate("s", 10, 0.90, "resolution", (128, 128))
    stopped = candidate("t", 25, 0.9, "resolution", (256, 256), status="stopped")
    narrow = candidate("w", 25, 0.9, "combination", (256, 256), width=0.5)
    for rest in ((), (other,), (stopped,), (narrow,)):
        assert retraining(study(BASE, untrained(0.5), *rest)).verdict == "not tested"


@pytest.mark.parametrize(
    ("ms", "iou", "verdict"),
    [
        (95, 0.955, "true"),  # the lower resolution has 25 ms and 0.96
        (95, 0.96, "true"),
        (95, 0.965, "false"),
        (20, 0.95, "not tested"),  # faster than both in colour
    ],
)
def test_luma_is_dominated_by_colour_of_any_size(ms, iou, verdict):
    grey = candidate("y", ms, iou, "luma", channels=1)
    assert luma(study(BASE, LOWER, grey)).verdict == verdict


@pytest.mark.parametrize(
    ("ms", "reached", "verdict"),
    [
        (30, 0.80, "true"),
        (30, 0.95, "not tested"),  # was better there
        (20, 0.80, "not tested"),  # was faster
    ],
)
def test_luma_that_was_given_up_is_compared_where_it_was(ms, reached, verdict):
    colour = LOWER.model_copy(update={"rungs": (Rung(epoch=2, iou=0.9, passed=True),)})
    rungs = (Rung(epoch=2, iou=reached, passed=False),)
    grey = candidate("y", ms, None, "luma", status="stopped", channels=1, rungs=rungs)
    found = luma(study(BASE, colour, grey))
    assert found.verdict == verdict
    if verdict == "true":
        assert "given up after 2 epochs with 80.00 %" in found.figures[0]


def test_luma_is_compared_with_the_same_network_in_colour_only():
    grey = candidate("y", 95, 0.90, "luma", channels=1, width=0.5)
    assert luma(study(BASE, LOWER, grey)).verdict == "not tested"
    colour = candidate("w", 80, 0.91, "width", width=0.5)
    assert luma(study(BASE, LOWER, grey, colour)).verdict == "true"


@pytest.mark.parametrize(
    ("ms", "iou", "verdict"),
    [
        (20, 0.961, "true"),  # 5 times, resolution 4 times
        (20, 0.960, "true"),  # one point exactly
        (20, 0.955, "false"),
        (26, 0.97, "false"),  # 3.8 times
    ],
)
def test_width_is_strongest_if_it_gains_most_within_a_point(ms, iou, verdict):
    assert width(study(BASE, LOWER, candidate("w", ms, iou, width=0.5))).verdict == verdict


def test_width_is_judged_within_more_where_a_point_buys_nothing():
    worse = candidate("r", 25, 0.94, "resolution", (256, 256))
    narrow = candidate("w", 20, 0.93, width=0.5)
    told = study(BASE, worse, narrow)
    assert width(told).verdict == "true"
    assert "within 5 %-points" in width(told).figures[-1]
    closer = candidate("r", 25, 0.95, "resolution", (256, 256))
    assert width(study(BASE, closer, narrow)).verdict == "false"


def test_width_is_tested_from_any_network_that_differs_in_nothing_else():
    small = candidate("c", 5, 0.955, "combination", (256, 256), width=0.5)
    both = study(BASE, LOWER, small)
    assert width(both).verdict == "true"  # 25 ms to 5 ms: 5 times; resolution: 4 times
    other = candidate("c", 5, 0.955, "combination", (256, 256), width=0.5, pyramid=False)
    assert width(study(BASE, LOWER, other)).verdict == "not tested"


def test_exits_dominate_if_one_point_beats_one_of_the_static_front():
    static = (BASE, LOWER)
    assert exits(study(*static)).verdict == "not tested"
    beats = exits(study(*static, with_exits("e", 50, 0.97)))
    assert beats.verdict == "true"
    assert "(e; 97.00 %, 50 ms) dominates baseline (base; 97.00 %, 100 ms)" in beats.figures[0]
    assert "mean over images of measured paths" in beats.figures[-1]
    between = exits(study(*static, with_exits("e", 50, 0.965)))
    assert between.verdict == "false"  # on the joint front, but beats nobody
    assert between.figures[0].startswith("none of 1 points with exits dominates any of 2")


def test_measured_latency_with_exits_needs_no_remark():
    measured = candidate("e", 50, 0.98, "exits", kind="exits")
    assert len(exits(study(BASE, measured)).figures) == 1
