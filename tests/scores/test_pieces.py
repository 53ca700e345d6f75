"""The arithmetic behind the scores, against scipy and numpy on drawn maps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from offramp.scores import labels
from offramp.scores.edges import covered, edge_band
from offramp.scores.spectrum import mean_magnitude
from offramp.scores.steps import at_least, positive
from tests.scores import plain

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
label_maps = shapes.flatmap(
    lambda s: hnp.arrays(np.float32, s, elements=st.sampled_from([0, 1, 2]))
)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def as_map(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None, None]


@settings(deadline=None)
@given(hnp.arrays(np.float32, 8, elements=finite), st.floats(0, 1, width=32))
def test_steps_are_comparisons(values: np.ndarray, bound: float) -> None:
    values[0] = bound
    given_ = torch.from_numpy(values)
    assert np.array_equal(positive(given_).numpy() == 1, values > 0)
    assert np.array_equal(at_least(given_, bound).numpy() == 1, values >= np.float32(bound))


@settings(deadline=None)
@given(hnp.arrays(np.float32, (2, 5, 3, 4), elements=st.one_of(finite, st.integers(-1, 1))))
def test_labels_are_the_first_of_the_best(logits: np.ndarray) -> None:
    got = labels(torch.from_numpy(logits))
    assert got.dtype == torch.uint8
    assert np.array_equal(got.numpy(), logits.argmax(axis=1))


@settings(deadline=None)
@given(label_maps, st.integers(1, 6))
def test_the_band_is_a_thickened_edge(drawn: np.ndarray, stride: int) -> None:
    reach = 1 if stride == 1 else stride // 2
    square = np.ones((2 * reach + 1, 2 * reach + 1))
    expected = ndimage.binary_dilation(plain.touches(drawn), square)
    assert np.array_equal(edge_band(as_map(drawn), stride)[0, 0].numpy() == 1, expected)


@settings(deadline=None)
@given(shapes, st.integers(1, 3), st.integers(0, 9), st.integers(0, 10_000))
def test_counting_stands_for_the_median(
    shape: tuple[int, int], stride: int, tenths: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    confidence = (rng.integers(0, 11, shape) / 10).astype(np.float32)  # with many ties
    band = rng.integers(0, 2, shape)
    median = ndimage.median_filter(confidence, size=4 * stride + 1, mode="nearest")
    expected = np.where(band, median, confidence) >= np.float32(tenths / 10)
    got = covered(as_map(confidence), as_map(band), tenths / 10, stride)
    assert np.array_equal(got[0, 0].numpy() == 1, expected)


@settings(deadline=None)
@given(label_maps)
def test_the_spectrum_is_that_of_numpy(drawn: np.ndarray) -> None:
    got = mean_magnitude(as_map(drawn), 3).item()
    assert got == pytest.approx(plain.roughness(drawn), abs=2e-6)


def test_one_class_has_no_spectrum_and_a_chessboard_the_largest_peak() -> None:
    assert mean_magnitude(torch.ones(1, 1, 6, 8), 3).item() == pytest.approx(0, abs=1e-7)
    board = as_map(np.indices((6, 8)).sum(axis=0) % 2)
    # each mask's energy is 24, of which one half is constant: one peak of sqrt(12) among 47
    assert mean_magnitude(board, 3).item() == pytest.approx(np.sqrt(12) / 47, rel=1e-5)
