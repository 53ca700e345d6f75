import numpy as np
import pytest

from offramp.guarantees.sequence import fixed_sequence, pareto_order


@pytest.mark.parametrize(
    ("p_values", "wanted"),
    [
        ([0.01, 0.02, 0.9, 0.01], 1),  # neither the first that fails nor the last that passes
        ([0.01, 0.05, 0.9], 1),  # a p-value of delta rejects
        ([0.9, 0.01, 0.01], None),
        ([0.01, 0.01], 1),
        ([0.01, float("nan"), 0.01], 0),
        ([], None),
    ],
)
def test_the_last_before_the_first_failure(p_values: list[float], wanted: int | None) -> None:
    assert fixed_sequence(p_values, 0.05) == wanted


def test_reads_no_further_than_the_first_failure() -> None:
    waiting = iter([0.01, 0.5, 0.01, 0.01])
    assert fixed_sequence(waiting, 0.05) == 0
    assert list(waiting) == [0.01, 0.01]


def test_only_what_none_beats_is_tested_safest_first() -> None:
    risk = np.array([0.03, 0.00, 0.01, 0.01, 0.02, np.nan, 0.03])
    cost = np.array([2.0, 9.0, 5.0, 6.0, 5.0, 1.0, 1.0])
    assert pareto_order(risk, cost).tolist() == [1, 2, 6]


def test_the_order_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        risk, cost = rng.integers(0, 12, (2, 15)).astype(float)
        chosen = pareto_order(risk, cost)
        points = list(zip(risk, cost, strict=True))
        best = {
            p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)
        }
        assert [points[i] for i in chosen] == sorted(best)


def test_nothing_to_order() -> None:
    assert pareto_order(np.array([]), np.array([])).tolist() == []
    assert pareto_order(np.array([np.nan]), np.array([1.0])).tolist() == []
