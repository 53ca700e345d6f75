"""The benchmark's copy of the thesis's tables, by what the thesis says of them in its text."""

import pytest

from tests.tuning.studies import KNOBS, iot_tables

iot = iot_tables()


def test_frame_rates_are_those_of_the_tables():
    assert len(iot.ALL) == 3 * 7 + 13 + 5 + 12 + 36
    rates = [1 / row.latency_s for row in iot.ALL]
    # One from each table, as printed, rounded or cut off.
    for printed in (16.3667, 15.6495, 40.1606, 37.7358, 5.0684, 49.2610, 109.8901, 833.3333):
        assert any(abs(rate - printed) < 1.1e-4 for rate in rates)


def test_ratios_are_those_that_the_thesis_is_known_for():
    lower = iot.like(192 / 512, KNOBS, True)
    base = iot.baseline(lower)
    assert base.latency_s / lower.latency_s == pytest.approx(6.2, abs=0.05)
    assert base.iou - lower.iou == pytest.approx(0.0065)
    smallest = {**KNOBS, "width": 0.125, "expansion": 2, "repetition": 1, "pyramid": False}
    fastest = iot.like(96 / 512, smallest, True)
    assert iot.baseline(fastest).latency_s / fastest.latency_s == pytest.approx(183, abs=1)
    assert fastest.iou == pytest.approx(0.905, abs=5e-4)


def test_rows_are_matched_by_knobs_and_size():
    without = iot.like(0.5, KNOBS, False)
    assert (without.table, without.iou) == ("4.6", 0.5440)
    assert iot.like(0.52, KNOBS, True).size_px == 256
    assert iot.like(0.75, KNOBS, True) is None
    assert iot.like(0.5, {**KNOBS, "channels": 1}, True).table == "4.9"
    # With pyramid where the thesis has it, else without.
    assert iot.like(1, {**KNOBS, "repetition": 1}, True).pyramid
    assert not iot.like(1, {**KNOBS, "repetition": 1, "width": 0.25}, True).pyramid
