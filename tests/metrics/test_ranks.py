"""Ranks, rank correlation and separation, beside scipy and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from offramp.metrics.ranks import rank_correlation, ranks, separation

FEW = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(FEW)
def test_equal_numbers_share_their_ranks(values: list[int]) -> None:
    np.testing.assert_array_equal(ranks(values), rankdata(values))


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_correlation_is_spearmans(rng: np.random.Generator, levels: int) -> None:
    one = rng.integers(0, levels, 40)
    other = one * 0.5 + rng.integers(0, levels, 40)
    expected = float(spearmanr(one, other)[0])
    assert rank_correlation(one, other) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(one, -one) == pytest.approx(-1)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_separation_is_the_area_under_the_curve(rng: np.random.Generator, levels: int) -> None:
    score, good = rng.integers(0, levels, 50), rng.random(50) < 0.3
    assert separation(score, good) == pytest.approx(float(roc_auc_score(good, score)), abs=1e-12)


def test_without_differences_there_is_no_order() -> None:
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
    assert np.isnan(separation([1, 2], [True, True]))
    assert np.isnan(separation([1, 2], [False, False]))
