import numpy as np
import pytest

from offramp.core.errors import BadInput
from offramp.guarantees import control_mean


def test_by_hand() -> None:
    losses = np.array([[0.0] * 9, [0.0] * 8 + [0.9], [0.9] * 9])
    made = control_mean(losses, 0.2)  # (9 · mean + 1) / 10: 0.1, 0.19, 0.91
    assert made.index == 1
    assert made.loss == pytest.approx(0.1)
    assert made.bound == pytest.approx(0.19)
    assert made.needed is None  # the third loses 0.9
    assert control_mean(losses, 0.15).index == 0
    assert control_mean(losses, 0.95).index == 2


def test_one_in_a_hundred_needs_ninety_nine_images() -> None:
    few = control_mean(np.zeros((1, 98)), 0.01)
    assert (few.index, few.needed) == (None, 99)
    assert control_mean(np.zeros((1, 99)), 0.01).index == 0


@pytest.mark.parametrize(("mean", "limit"), [(0.0, 0.3), (0.007, 0.01), (0.123, 0.2)])
def test_needed_is_the_least_number(mean: float, limit: float) -> None:
    needed = control_mean(np.full((1, 1), mean), limit).needed
    assert needed is not None
    assert control_mean(np.full((1, needed), mean), limit + 1e-12).index == 0
    assert control_mean(np.full((1, needed - 1), mean), limit).index is None


def test_a_family_that_falls_again_is_made_to_grow() -> None:
    losses = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.0, 0.0]]).repeat(50, axis=1)
    # Largest so far, unit by unit: means 0, 0.25, 0.5, 0.5
    made = control_mean(losses, 0.3)
    assert made.index == 1
    assert control_mean(losses, 0.49).index == 1
    assert control_mean(losses, 0.51).index == 3
    assert control_mean(losses, 0.51).loss == pytest.approx(0.5)


def test_gains_do_not_count() -> None:
    losses = np.tile([[-0.9, 0.3]], (1, 100))
    assert control_mean(losses, 0.1).index is None
    assert control_mean(losses, 0.1).loss == pytest.approx(0.15)


def test_clips_count_once() -> None:
    losses = np.zeros((1, 200))
    made = control_mean(losses, 0.05, groups=np.arange(200) // 20)
    assert (made.index, made.n, made.units, made.needed) == (None, 10, "clips", 19)


def test_refuses() -> None:
    with pytest.raises(BadInput, match="limit"):
        control_mean(np.zeros((1, 5)), 1.0)
    with pytest.raises(BadInput, match="range"):
        control_mean(np.full((1, 5), 2.0), 0.5)
