import numpy as np
import pytest

from offramp.core.errors import BadInput
from offramp.data.colour import boundaries, overlay

PALETTE = [(200, 0, 0), (0, 100, 255)]


def test_inside_mixes_by_opacity_and_the_boundary_shows_more_colour():
    image = np.full((3, 6, 3), 100, dtype=np.uint8)
    labels = np.zeros((3, 6), dtype=np.uint8)
    labels[:, 3:] = 1
    mixed = overlay(image, labels, PALETTE, 0.5)
    assert mixed.dtype == np.uint8
    np.testing.assert_array_equal(mixed[1, 0], [150, 50, 50])
    np.testing.assert_array_equal(mixed[1, 5], [50, 100, 177])
    expected = 100 + 0.9 * (np.array(PALETTE[0]) - 100)
    np.testing.assert_allclose(mixed[1, 2], expected, atol=1.5)
    assert boundaries(labels).sum(axis=1).tolist() == [2, 2, 2]


def test_what_has_no_colour_stays_as_it_is():
    image = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    labels = np.array([[255, 255, 7, 7], [255, 255, 7, 7]], dtype=np.uint8)
    np.testing.assert_array_equal(overlay(image, labels, PALETTE), image)
    np.testing.assert_array_equal(overlay(image, labels % 2, PALETTE, 0.0), image)


def test_full_opacity_is_the_palette_and_nothing_overflows():
    image = np.full((4, 4, 3), 255, dtype=np.uint8)
    labels = np.tile(np.array([0, 1], dtype=np.uint8), (4, 2))
    np.testing.assert_array_equal(overlay(image, labels, PALETTE, 1.0), np.array(PALETTE)[labels])
    white = [(255, 255, 255)] * 2
    np.testing.assert_array_equal(overlay(image, labels, white, 0.3), image)


def test_misfits_are_refused():
    image, labels = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)
    with pytest.raises(BadInput, match="do not fit the image"):
        overlay(image, labels, PALETTE)
    with pytest.raises(BadInput, match="opacity"):
        overlay(image, labels[:, :4], PALETTE, 1.5)
