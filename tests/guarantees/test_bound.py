import numpy as np
import pytest

from offramp.core.certificate import Method
from offramp.guarantees.bound import images_needed, upper_bound
from offramp.guarantees.pvalues import hoeffding_bentkus, p_value, waudby_smith_ramdas

METHODS: tuple[Method, ...] = ("wsr", "hb")


def some(n: int, seed: int = 0) -> np.ndarray:
    """Losses as those of early exits: mostly none, some small, few large; mean about 0.02."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.7, 0.0, rng.beta(0.5, 7, n))


@pytest.mark.parametrize("method", METHODS)
def test_the_bound_is_where_the_test_turns(method: Method) -> None:
    losses = some(300)
    bound = upper_bound(losses, 0.05, method)
    assert losses.mean() < bound < 0.2
    assert p_value(losses, bound, 0.05, method) <= 0.05
    assert p_value(losses, bound - 1e-6, 0.05, method) > 0.05


@pytest.mark.parametrize("method", METHODS)
def test_more_confidence_a_higher_bound(method: Method) -> None:
    losses = some(300)
    assert upper_bound(losses, 0.2, method) < upper_bound(losses, 0.01, method)


def test_bounds_at_the_ends() -> None:
    assert upper_bound(np.ones(50), 0.05, "hb") == pytest.approx(1.0, abs=1e-3)
    assert upper_bound(np.ones(50), 0.05, "wsr") == pytest.approx(1.0, abs=1e-3)
    # No loss in n images: (1 - bound)^n = delta
    assert upper_bound(np.zeros(50), 0.05, "hb") == pytest.approx(1 - 0.05 ** (1 / 50), abs=1e-9)
    assert 0 <= upper_bound(np.full(400, -0.5), 0.05, "wsr") < 1e-9


def test_needed_for_hoeffding_is_the_least_number() -> None:
    losses = some(40)
    mean = float(losses.mean())
    needed = images_needed(losses, 2 * mean, 0.05, "hb")
    assert needed is not None
    assert needed > 40
    assert hoeffding_bentkus(mean, needed, 2 * mean) <= 0.05
    assert hoeffding_bentkus(mean, needed - 1, 2 * mean) > 0.05


def test_needed_without_any_loss_by_hand() -> None:
    assert images_needed(np.zeros(5), 0.01, 0.05, "hb") == 299  # ln 0.05 / ln 0.99 = 298.07


def test_needed_for_betting_certifies_the_repeated_losses() -> None:
    losses = some(60)
    limit = 2 * float(losses.mean())
    needed = images_needed(losses, limit, 0.05, "wsr")
    assert needed is not None
    repeated = [np.tile(losses, needed // 60 + 1)[:n] for n in (needed, needed - 1)]
    assert float(waudby_smith_ramdas(repeated[0], limit, 0.05)) <= 0.05
    assert float(waudby_smith_ramdas(repeated[1], limit, 0.05)) > 0.05


def test_needed_is_about_what_it_takes() -> None:
    """Of fresh draws of that number, neither hardly any nor nearly all are certified."""
    limit, draws = 0.04, 300
    needed = images_needed(some(20_000, seed=1)[:200], limit, 0.05, "wsr")
    assert needed is not None
    fresh = some(draws * needed, seed=2).reshape(draws, needed)
    share = float((waudby_smith_ramdas(fresh, limit, 0.05) <= 0.05).mean())
    assert 0.1 < share < 0.95


@pytest.mark.parametrize("method", METHODS)
def test_needed_where_nothing_is(method: Method) -> None:
    enough = np.zeros(1000)
    assert images_needed(enough, 0.05, 0.05, method) == 1000
    assert images_needed(np.full(100, 0.05), 0.05, 0.05, method) is None
    almost = np.tile([0.0, 1.0], 50)
    assert images_needed(almost, 0.5001, 0.05, method) is None  # above a million


def test_gains_are_not_counted_by_hoeffding() -> None:
    losses = np.tile([-0.5, 0.3], 20)
    assert images_needed(losses, 0.1, 0.05, "wsr") is not None
    assert images_needed(losses, 0.1, 0.05, "hb") is None
