import numpy as np
import pytest

from offramp.guarantees.losses import miou_losses
from offramp.metrics.trace import Trace


def trace() -> Trace:
    """Three images, two exits, two classes; the last image has no labelled pixel."""
    return Trace(
        images=("a", "b", "c"),
        exits=(("stem", "r1-b0-fcn"), ("end", "own")),
        names=("floor", "person"),
        score_names=("mean-top1",),
        scores=np.zeros((2, 3, 1)),
        intersections=np.array([[[5, 0], [8, 0], [0, 0]], [[8, 2], [4, 0], [0, 0]]]),
        unions=np.array([[[10, 0], [10, 0], [0, 0]], [[10, 4], [8, 2], [0, 0]]]),
        size=(8, 8),
    )


def test_by_hand() -> None:
    taken = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])
    # full: (0.8 + 0.5) / 2 and (0.5 + 0) / 2; early: 0.5 and 0.8 of the one class present
    wanted = [[0, 0, np.nan], [0.15, 0, np.nan], [0.15, -0.55, np.nan]]
    np.testing.assert_allclose(miou_losses(trace(), taken), wanted, atol=1e-12)


def test_no_configuration_no_row() -> None:
    assert miou_losses(trace(), np.empty((0, 3), dtype=np.intp)).shape == (0, 3)


def test_what_is_taken_everywhere_agrees_with_the_trace() -> None:
    one = trace()
    losses = miou_losses(one, np.zeros((1, 3), dtype=np.intp))[0]
    means = [np.nanmean(one.miou_per_image(np.full(3, e))) for e in (0, 1)]
    assert np.nanmean(losses) == pytest.approx(means[1] - means[0])
