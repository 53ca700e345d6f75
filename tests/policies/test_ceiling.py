"""The largest FFT score of large segments, against drawn predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies.ceiling import fft_ceiling


def fft_score(labels: np.ndarray) -> float:
    """Compute the score by its definition: orthonormal, one-hot, no DC, mean over classes."""
    means = []
    for label in np.unique(labels):
        magnitude = np.abs(np.fft.fft2(labels == label, norm="ortho")).reshape(-1)
        means.append(magnitude[1:].mean())
    return float(np.mean(means))


def cut(rng: np.random.Generator, length: int, least: int) -> np.ndarray:
    """Number cells by strips that are at least `least` long."""
    strip, at = np.zeros(length, dtype=int), 0
    for start in range(least, length - least + 1):
        at += 1
        if at >= least and rng.random() < 0.5:
            strip[start:] += 1
            at = 0
    return strip


def mosaic(rng: np.random.Generator, grid: tuple[int, int], least: int, classes: int) -> np.ndarray:
    """Draw a class for each rectangle of strips; every run is at least `least` cells."""
    rows, columns = (cut(rng, n, least) for n in grid)
    labels = rng.integers(0, classes, (rows[-1] + 1, columns[-1] + 1))
    return labels[rows][:, columns]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.tuples(st.integers(2, 24), st.integers(2, 24)),
    st.integers(1, 5),
)
def test_no_prediction_of_large_segments_exceeds_it(
    seed: int, least: int, grid: tuple[int, int], classes: int
) -> None:
    labels = mosaic(np.random.default_rng(seed), grid, least, classes)
    assert fft_score(labels) <= fft_ceiling(least, grid, stride=1) + 1e-9


@pytest.mark.parametrize("least", [1, 2, 4, 8])
def test_it_is_not_far_above_what_happens(least: int) -> None:
    rng = np.random.default_rng(0)
    most = max(fft_score(mosaic(rng, (64, 96), least, 2)) for _ in range(10))
    assert most > 0.5 * fft_ceiling(least, (64, 96), stride=1)


def test_jitter_exceeds_the_ceiling_of_large_segments() -> None:
    rng = np.random.default_rng(0)
    scene = np.zeros((64, 96), dtype=int)
    scene[10:40, 20:60], scene[30:60, 70:90] = 1, 2
    noisy = np.where(rng.random(scene.shape) < 0.3, rng.integers(0, 3, scene.shape), scene)
    ceiling = fft_ceiling(64, (64, 96), stride=4)  # 16 cells
    assert fft_score(scene) < ceiling < fft_score(noisy)


def test_one_cell_segments_are_bounded_by_parseval_alone() -> None:
    """Of masks without bound on their outline, none has a mean magnitude above about a half."""
    h, w = 32, 48
    bound = np.sqrt(h * w / 4 / (h * w - 1))
    assert fft_ceiling(1, (h, w), 1) == pytest.approx(bound, rel=0.01)


@given(st.floats(1, 100), st.floats(1, 100))
def test_larger_segments_have_a_lower_ceiling(one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert fft_ceiling(large, (24, 32), 4) <= fft_ceiling(small, (24, 32), 4)


def test_segments_are_measured_in_pixels() -> None:
    assert fft_ceiling(64, (24, 32), 8) == fft_ceiling(8, (24, 32), 1)
    assert fft_ceiling(3, (24, 32), 8) == fft_ceiling(8, (24, 32), 8)  # a cell at least


@pytest.mark.parametrize(
    ("segment", "grid", "stride"), [(0, (8, 8), 1), (4, (1, 1), 1), (4, (8, 8), 0)]
)
def test_senseless_sizes_are_refused(segment: float, grid: tuple[int, int], stride: float) -> None:
    with pytest.raises(BadInput):
        fft_ceiling(segment, grid, stride)
