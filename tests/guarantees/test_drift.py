"""Alarms are rare where nothing drifts, soon where something does; bounds hold at all times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.guarantees.drift import Drift, MeanBound

LOSSES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def first_alarm(losses: np.ndarray, limit: float, delta: float) -> int:
    """After how many losses there is an alarm; 0 if never."""
    drift = Drift(limit, delta)
    return next((n for n, loss in enumerate(losses, 1) if drift.note(float(loss))), 0)


@pytest.mark.parametrize("shape", [(0.2, 3.8), (2.0, 38.0), (0.05, 0.95)])
def test_false_alarms_are_as_rare_as_promised(shape: tuple[float, float]) -> None:
    """Losses of mean 0.05 against a limit of 0.05: the worst case that is no drift."""
    rng = np.random.default_rng(0)
    delta, runs = 0.1, 400
    alarms = sum(first_alarm(rng.beta(*shape, 1500), 0.05, delta) > 0 for _ in range(runs))
    assert alarms / runs <= delta + 2.33 * (delta * (1 - delta) / runs) ** 0.5


def test_twice_the_limit_is_noticed_within_two_hundred_losses_also_late() -> None:
    rng = np.random.default_rng(1)
    delays = []
    for _ in range(100):
        before = rng.beta(0.6, 29.4, 3000)  # mean 0.02, as calibrated
        after = rng.beta(2, 18, 400)  # mean 0.1
        noticed = first_alarm(np.concatenate([before, after]), 0.05, 0.01)
        assert noticed == 0 or noticed > 3000
        delays.append(noticed - 3000 if noticed else 400)
    assert np.median(delays) < 100
    assert np.quantile(delays, 0.95) < 200


@given(LOSSES, st.floats(0.01, 0.9))
def test_the_capital_is_the_product_and_stakes_look_back_alone(
    losses: list[float], limit: float
) -> None:
    """What a further loss changes is linear in it: the stake was fixed before it came."""
    drift, outcomes = Drift(limit), []
    for loss in losses:
        drift.note(loss)
    for last in (0.0, 0.5, 1.0):
        other = Drift(limit)
        for loss in [*losses, last]:
            other.note(loss)
        outcomes.append(np.exp(other.log_capital - drift.log_capital))
    low, middle, high = outcomes
    assert middle == pytest.approx((low + high) / 2)
    assert low >= 0.5 - 1e-9
    fair = (1 - limit) * low + limit * high  # a loss of mean `limit` neither gains nor loses
    assert fair == pytest.approx(1.0)


@pytest.mark.parametrize("mean", [0.02, 0.3])
def test_the_bound_holds_at_all_times(mean: float) -> None:
    rng = np.random.default_rng(2)
    runs, missed, widths = 300, 0, []
    for _ in range(runs):
        bound, below = MeanBound(delta=0.1), False
        for loss in rng.beta(10 * mean, 10 * (1 - mean), 600):
            bound.note(float(loss))
            below |= bound.upper < mean
        missed += below
        widths.append(bound.upper - mean)
    assert missed / runs <= 0.1 + 2.33 * (0.1 * 0.9 / runs) ** 0.5
    assert np.mean(widths) < 0.06


@given(LOSSES)
def test_the_bound_falls_only_and_its_mean_is_the_mean(losses: list[float]) -> None:
    bound, before = MeanBound(), 1.0
    for loss in losses:
        bound.note(loss)
        assert bound.upper <= before
        before = bound.upper
    assert bound.mean == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("loss", [-0.1, 1.1, float("nan")])
def test_what_is_no_loss_is_refused(loss: float) -> None:
    for watch in (Drift(0.1), MeanBound()):
        with pytest.raises(BadInput, match=r"expected within \[0, 1\]"):
            watch.note(loss)


@pytest.mark.parametrize("limit", [0.0, 1.0, -1.0])
def test_a_limit_that_cannot_be_kept_is_refused(limit: float) -> None:
    with pytest.raises(BadInput, match="a limit that cannot be kept"):
        Drift(limit)
