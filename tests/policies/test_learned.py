"""What each head's auxiliary network shall learn, and how recorded scores are judged."""

import numpy as np
import pytest

from offramp.core.errors import BadInput, UnknownName
from offramp.policies.learned import judged, targets
from tests.tiny import make_trace

EXITS = [("a", "weak"), ("a", "strong"), ("b", "only"), ("end", "own")]
GAINS = np.array(
    [
        [0.30, 0.85, 0.90, 0.20],
        [0.50, 0.75, 0.85, 0.30],
        [0.65, 0.80, 0.60, 0.60],
        [0.55, 0.90, 0.95, 0.90],
    ]
)
"""Columns are images. Of position a the second head is stronger on the mean."""


def test_a_head_is_compared_with_later_positions_alone() -> None:
    weak, strong = (targets(EXITS, GAINS, row) for row in (0, 1))
    assert weak.place == strong.place == 0
    assert weak.good.tolist() == [False, True, True, False]
    assert strong.good.tolist() == [False, False, True, False]
    assert weak.miou.tolist() == GAINS[0].tolist()


def test_a_later_head_is_compared_with_the_strongest_earlier_one() -> None:
    middle, end = (targets(EXITS, GAINS, row) for row in (2, 3))
    assert (middle.place, end.place) == (1, 2)
    assert middle.good.tolist() == [True, True, False, False]
    assert end.good.all()
    # Image 1 leaves the strong head of a, which the end exceeds by 0.15, for b.
    assert middle.exit.tolist() == end.exit.tolist() == [1, 1, 0, 2]


def test_the_exit_to_take_is_this_head_where_it_does() -> None:
    assert targets(EXITS, GAINS, 0).exit.tolist() == [1, 0, 0, 2]
    assert targets(EXITS, GAINS, 1).exit.tolist() == [1, 1, 0, 2]


def test_gains_that_are_no_numbers_have_no_targets() -> None:
    with pytest.raises(BadInput, match="no target"):
        targets(EXITS, np.where(GAINS > 0.9, np.nan, GAINS), 0)


def test_scores_are_judged_by_the_order_of_images() -> None:
    unions = np.full((4, 5, 1), 100)
    unions[:, 4] = 0  # the fifth image has no labels
    intersections = np.zeros_like(unions)
    intersections[:, :4, 0] = np.round(100 * GAINS)
    scores = np.zeros((4, 5, 2))
    scores[:, :4, 0], scores[:, :4, 1] = GAINS, -GAINS
    trace = make_trace(scores, intersections, unions, EXITS, ("mean-top1", "entropy"))
    found = {(one.head, one.score): one for one in judged(trace, ["mean-top1", "entropy"])}
    assert len(found) == 8
    assert found["weak", "mean-top1"].correlation == pytest.approx(1)
    assert found["weak", "mean-top1"].separation == pytest.approx(1)
    assert found["weak", "entropy"].correlation == pytest.approx(-1)
    assert found["weak", "entropy"].separation == pytest.approx(0)
    assert np.isnan(found["own", "mean-top1"].separation)
    with pytest.raises(UnknownName, match="recorded score 'classifier'"):
        judged(trace, ["classifier"])
