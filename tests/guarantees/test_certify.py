import numpy as np
import pytest
from pydantic import ValidationError

from offramp.core.certificate import Method
from offramp.core.errors import BadInput, UnknownName
from offramp.guarantees import Certificate, certify
from offramp.guarantees.pvalues import hoeffding_bentkus, waudby_smith_ramdas

METHODS: tuple[Method, ...] = ("wsr", "hb")


def family(means: list[float], n: int = 800, seed: int = 0) -> np.ndarray:
    """Configurations with these mean losses: a tenth of the images loses ten times as much."""
    rng = np.random.default_rng(seed)
    return np.stack([np.where(rng.random(n) < 0.1, 10 * mean, 0.0) for mean in means])


@pytest.mark.parametrize("method", METHODS)
def test_certifies_up_to_the_first_that_fails(method: Method) -> None:
    made = certify(family([0.0, 0.01, 0.06, 0.01]), 0.03, method=method)
    assert made.index == 1
    assert len(made.p_values) == 3  # the fourth is not even tested
    assert made.p_values[1] <= 0.05 < made.p_values[2]
    assert made.loss == pytest.approx(0.01, abs=0.002)
    assert made.loss < made.bound <= 0.03 + 1e-9
    assert made.needed is None  # the third loses more than the limit
    assert (made.units, made.n, made.dropped) == ("images", 800, 0)


def test_p_values_are_those_of_the_shuffled_losses() -> None:
    losses = family([0.005, 0.01])
    order = np.random.default_rng(9).permutation(800)
    made = certify(losses, 0.03, seed=9)
    assert made.p_values == pytest.approx(waudby_smith_ramdas(losses[:, order], 0.03, 0.05))
    made = certify(losses, 0.03, seed=9, method="hb")
    wanted = [hoeffding_bentkus(float(row.mean()), 800, 0.03) for row in losses]
    assert made.p_values == pytest.approx(wanted)


@pytest.mark.parametrize("method", METHODS)
def test_says_how_many_images_would_do(method: Method) -> None:
    losses = family([0.005], n=100)
    failed = certify(losses, 0.02, method=method)
    assert failed.index is None
    assert failed.needed is not None
    assert failed.needed > 100
    assert 0.02 < failed.bound < 1
    assert failed.loss == pytest.approx(losses.mean())
    more = np.tile(losses, (1, 2 * failed.needed // 100 + 1))
    assert certify(more, 0.02, method=method).index == 0


def test_all_certified_needs_no_more() -> None:
    made = certify(family([0.0, 0.001, 0.002]), 0.03)
    assert (made.index, made.needed) == (2, None)
    assert len(made.p_values) == 3


def test_confidence_moves_the_line() -> None:
    losses = family([0.012], n=400)
    p = certify(losses, 0.03).p_values[0]
    assert 0.001 < p < 0.2
    assert certify(losses, 0.03, confidence=0.5).index == 0
    assert certify(losses, 0.03, confidence=0.9999).index is None


def test_frames_of_few_clips_are_few() -> None:
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.random((1, 20)) < 0.1, 100, axis=1) * 0.2
    clips = np.repeat(np.arange(20), 100)
    assert certify(frames, 0.05).index == 0
    counted = certify(frames, 0.05, groups=clips)
    assert (counted.index, counted.n, counted.units) == (None, 20, "clips")
    assert counted.loss == pytest.approx(frames.mean())


def test_images_without_labels_do_not_count() -> None:
    losses = family([0.0, 0.01])
    holes = np.insert(losses, [3, 500], np.nan, axis=1)
    made = certify(holes, 0.03)
    assert (made.n, made.dropped) == (800, 2)
    assert made == certify(losses, 0.03).model_copy(update={"dropped": 2})


def test_a_better_early_answer_makes_up_for_a_worse_one() -> None:
    losses = np.random.default_rng(0).choice([-0.2, 0.0, 0.18], (1, 600))
    assert certify(losses, 0.02).index == 0
    assert certify(losses, 0.02, method="hb").index is None
    assert certify(losses, 0.02, method="hb").loss == pytest.approx(
        float(np.maximum(losses, 0).mean())
    )


def test_a_certificate_is_a_record() -> None:
    made = certify(family([0.0]), 0.03)
    assert Certificate.model_validate_json(made.model_dump_json()) == made
    with pytest.raises(ValidationError):
        made.limit = 0.5  # type: ignore[misc]


def test_refuses() -> None:
    losses = family([0.0])
    with pytest.raises(BadInput, match="limit"):
        certify(losses, 0.0)
    with pytest.raises(BadInput, match="confidence"):
        certify(losses, 0.1, confidence=1.0)
    with pytest.raises(BadInput, match="range"):
        certify(losses + 2, 0.1)
    with pytest.raises(UnknownName, match="wsr"):
        certify(losses, 0.1, method="wrs")  # type: ignore[arg-type]
