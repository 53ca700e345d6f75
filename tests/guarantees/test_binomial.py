import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from offramp.guarantees.binomial import binomial_cdf


@given(st.integers(1, 5000), st.floats(0, 1.1), st.floats(1e-4, 1 - 1e-4))
def test_is_scipys(n: int, share: float, p: float) -> None:
    k = int(share * n)
    assert binomial_cdf(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-9, abs=1e-300)


def test_small_case_by_hand() -> None:
    assert binomial_cdf(1, 3, 0.5) == pytest.approx(0.5)
    assert binomial_cdf(0, 2, 0.1) == pytest.approx(0.81)
    assert binomial_cdf(-1, 3, 0.5) == 0
    assert binomial_cdf(3, 3, 0.5) == 1


def test_holds_for_very_many() -> None:
    for k in (9_000, 9_900, 10_000, 10_100):
        wanted = binom.cdf(k, 1_000_000, 0.01)
        assert binomial_cdf(k, 1_000_000, 0.01) == pytest.approx(wanted, rel=1e-7)


def test_grows_with_k_across_the_mean() -> None:
    values = [binomial_cdf(k, 40, 0.3) for k in range(-1, 41)]
    assert np.all(np.diff(values) >= 0)
