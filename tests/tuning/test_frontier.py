"""The front against its definition, the knee against a line drawn by hand."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offramp.tuning.frontier import dominates, front, knee
from tests.tuning.studies import iot_tables

few = st.tuples(st.sampled_from([1.0, 2.0, 3.0, 5.0]), st.sampled_from([0.5, 0.6, 0.9]))
many = st.tuples(st.floats(0.1, 500), st.floats(0, 1))


def by_definition(points):
    """Keep whom nobody beats: no slower, no less accurate, and better in one."""
    beaten = [
        any(
            a[0] <= b[0] and a[1] >= b[1] and (a[0] < b[0] or a[1] > b[1]) for a in points
        )
        for b in points
    ]  # fmt: skip
    return {i for i, lost in enumerate(beaten) if not lost}


@given(st.lists(st.one_of(few, many), max_size=30))
def test_the_front_is_what_nobody_dominates(points):
    found = front(points)
    assert set(found) == by_definition(points)
    assert len(found) == len(set(found))
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


def test_the_front_of_the_thesis_is_what_nobody_dominates():
    points = [(1000 * row.latency_s, row.iou) for row in iot_tables().ALL]
    assert set(front(points)) == by_definition(points)
    # Its fastest and its most accurate, tables 4.23 and 4.15.
    assert [points[i] for i in (front(points)[0], front(points)[-1])] == [
        (1.2, 0.9054),
        (166.3, 0.9802),
    ]


@given(few, few)
def test_domination_has_no_circles(a, b):
    assert not (dominates(a, b) and dominates(b, a))
    assert not dominates(a, a)


@given(st.lists(many, max_size=12))
def test_the_knee_is_farthest_above_the_line_between_the_ends(points):
    line = sorted(by_definition(points), key=lambda i: (points[i][0], i))
    found = knee(points)
    ends = len({points[i] for i in line})
    if ends < 3:
        assert found is None
        return
    x = np.log([points[i][0] for i in line])
    y = np.array([points[i][1] for i in line])
    # Twice the triangle's area over the base: the distance, in axes scaled to a square.
    u, v = (x - x[0]) / (x[-1] - x[0]), (y - y[0]) / (y[-1] - y[0])
    distance = (v - u) / math.sqrt(2)
    if found is None:
        assert distance.max() < 1e-8
    else:
        assert found in line
        assert np.isclose(distance[line.index(found)], distance.max())


def test_the_knee_counts_speed_by_ratios():
    points = [(1.0, 0.80), (2.0, 0.90), (4.0, 0.94), (16.0, 0.96)]
    # Both are 0.375 above the line: 0.625 − 0.25 at 2 ms, 0.875 − 0.5 at 4 ms. A hair decides.
    assert knee([*points[:2], (4.0, 0.95), points[3]]) == 2
    assert knee([points[0], (2.0, 0.91), *points[2:]]) == 1
    assert knee([(1.0, 0.8), (2.0, 0.82), (4.0, 0.9)]) is None
    assert knee(points[:2]) is None
    assert knee([]) is None
