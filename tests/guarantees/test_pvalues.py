import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import binom

from offramp.core.errors import BadInput
from offramp.guarantees.pvalues import hoeffding_bentkus, p_value, waudby_smith_ramdas

LIMITS = st.floats(0.001, 0.6)


def betting(losses: list[float], limit: float, delta: float) -> float:
    """Bet loss by loss in plain Python, as Bates et al. 2021 write it down."""
    n, wealth, best, variance = len(losses), 1.0, 1.0, 0.25
    total, squares = 0.5, 0.25
    for t, loss in enumerate(losses, start=1):
        share = min(1.0, math.sqrt(2 * math.log(1 / delta) / n / variance))
        wealth *= 1 - share * (loss - limit)
        best = max(best, wealth)
        total += loss
        squares += (loss - total / (1 + t)) ** 2
        variance = squares / (1 + t)
    return 1 / best


@given(st.integers(1, 3000), st.floats(0, 1), LIMITS)
def test_hoeffding_bentkus_is_the_formula(n: int, share: float, limit: float) -> None:
    mean = share * limit
    kl = rel_entr(mean, limit) + rel_entr(1 - mean, 1 - limit)
    # A mean that is a hair above k / n counts as k: leave the other side of the step to chance.
    bentkus = math.e * binom.cdf(math.ceil(n * mean - 1e-7), n, limit)
    wanted = min(1.0, math.exp(-n * kl), bentkus)
    assert hoeffding_bentkus(mean, n, limit) == pytest.approx(wanted, rel=1e-6, abs=1e-300)


def test_hoeffding_bentkus_by_hand() -> None:
    assert hoeffding_bentkus(0.0, 10, 0.5) == pytest.approx(1 / 1024)
    assert hoeffding_bentkus(0.5, 10, 0.5) == 1
    assert hoeffding_bentkus(1.0, 10, 0.5) == 1
    # P(Bin(10, 1/2) ≤ 1) = 11 / 1024; Hoeffding: 2^-10 · (10 / 9)^9 · 10 = 25.2 / 1024
    assert hoeffding_bentkus(0.1, 10, 0.5) == pytest.approx(10 * (10 / 9) ** 9 / 1024)
    # P(Bin(4, 3/4) ≤ 0) = 1 / 256: both bounds are known, the smaller stands.
    assert hoeffding_bentkus(0.0, 4, 0.75) == pytest.approx(1 / 256)


def test_bentkus_decides_where_it_is_the_smaller() -> None:
    n, limit, k = 2000, 0.01, 8
    wanted = math.e * binom.cdf(k, n, limit)
    kl = rel_entr(k / n, limit) + rel_entr(1 - k / n, 1 - limit)
    assert wanted < math.exp(-n * kl)
    assert hoeffding_bentkus(k / n, n, limit) == pytest.approx(wanted)


def test_rounding_does_not_add_a_hit() -> None:
    mean = sum([0.1] * 3) / 3  # 0.10000000000000002: thirty of these are a hair above three hits
    assert 30 * mean > 3
    assert hoeffding_bentkus(mean, 30, 0.5) == pytest.approx(hoeffding_bentkus(0.1, 30, 0.5))


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=60),
    LIMITS,
    st.floats(0.001, 0.5),
)
def test_betting_is_the_loop(losses: list[float], limit: float, delta: float) -> None:
    got = waudby_smith_ramdas(np.array(losses), limit, delta)
    assert float(got) == pytest.approx(betting(losses, limit, delta), rel=1e-9)


def test_betting_by_hand() -> None:
    # delta e^-2 bets everything: wealth 3/2, then half of it lost; the best stands.
    got = waudby_smith_ramdas(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5, math.exp(-2))
    assert got == pytest.approx([2 / 3, 1.0])
    # delta e^-1/32, one loss: √(2/32 / 0.25) = 1/2 is bet, wealth 5/4.
    assert waudby_smith_ramdas(np.array([0.0]), 0.5, math.exp(-1 / 32)) == pytest.approx(0.8)


def test_a_share_is_bet_before_the_loss_is_seen() -> None:
    rng = np.random.default_rng(0)
    early = rng.uniform(0, 0.2, 30)
    ends = [np.zeros(30), np.ones(30), rng.uniform(-1, 1, 30)]
    whole = np.stack([np.concatenate([early, end]) for end in ends])
    limit, delta = 0.15, 0.05
    # What the first losses earn cannot depend on the later ones: the best wealth is at least it.
    prefix = [betting_prefix(row, 30, limit, delta) for row in whole]
    assert prefix[0] == pytest.approx(prefix[1]) == pytest.approx(prefix[2])
    assert np.all(1 / waudby_smith_ramdas(whole, limit, delta) >= np.array(prefix) * (1 - 1e-12))


def betting_prefix(losses: np.ndarray, upto: int, limit: float, delta: float) -> float:
    """Best wealth within the first losses: what follows is replaced by sure ruin."""
    ruined = losses.copy()
    ruined[upto:] = 1.0
    return float(1 / waudby_smith_ramdas(ruined, limit, delta))


def test_p_values_fall_as_the_limit_rises() -> None:
    losses = np.random.default_rng(3).beta(0.3, 6, 200)
    limits = np.linspace(0.01, 0.5, 60)
    for method in ("wsr", "hb"):
        values = [p_value(losses, float(limit), 0.05, method) for limit in limits]
        assert np.all(np.diff(values) <= 1e-15)
        assert values[0] > 0.9
        assert values[-1] < 1e-4


def test_gains_count_for_betting_and_not_for_hoeffding() -> None:
    losses = np.tile([-0.5, 0.0, 0.3, 0.0], 100)
    assert p_value(losses, 0.02, 0.05, "wsr") < 0.05
    assert p_value(losses, 0.02, 0.05, "hb") == 1
    assert p_value(losses, 0.2, 0.05, "hb") == pytest.approx(hoeffding_bentkus(0.075, 400, 0.2))


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1, float("nan")])
def test_refuses_a_limit_that_is_none(limit: float) -> None:
    with pytest.raises(BadInput, match="limit"):
        hoeffding_bentkus(0.0, 10, limit)
    with pytest.raises(BadInput, match="limit"):
        waudby_smith_ramdas(np.zeros(3), limit, 0.05)


def test_refuses_what_is_no_loss() -> None:
    with pytest.raises(BadInput, match="mean"):
        hoeffding_bentkus(1.2, 10, 0.1)
    with pytest.raises(BadInput, match="mean"):
        hoeffding_bentkus(0.0, 0, 0.1)
    with pytest.raises(BadInput, match="above 1"):
        waudby_smith_ramdas(np.array([0.0, 1.1]), 0.1, 0.05)
    with pytest.raises(BadInput, match="above 1"):
        waudby_smith_ramdas(np.array([0.0, np.nan]), 0.1, 0.05)
    with pytest.raises(BadInput, match="delta"):
        waudby_smith_ramdas(np.zeros(3), 0.1, 1.0)
