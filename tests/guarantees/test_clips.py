import numpy as np
import pytest

from offramp.core.errors import BadInput
from offramp.guarantees.clips import members, units

NAN = float("nan")


def test_without_clips_images_count() -> None:
    counted = units(np.array([[0.1, NAN, -0.2], [0.3, NAN, 1.0]]))
    assert counted.losses.tolist() == [[0.1, -0.2], [0.3, 1.0]]
    assert (counted.kind, counted.dropped) == ("images", 1)


def test_a_clip_counts_once_however_long_it_is() -> None:
    losses = np.array([[0.0, 0.6, 0.2, 0.4, 1.0, NAN, NAN]])
    groups = ["b", "a", "b", "b", "c", "c", "d"]
    counted = units(losses, groups)
    assert counted.losses[0] == pytest.approx([0.6, 0.2, 1.0])  # a, b, c; d has no labels at all
    assert (counted.kind, counted.dropped) == ("clips", 2)
    assert counted.losses.mean() == pytest.approx(0.6)  # not the 0.44 of the frames


def test_clips_of_one_image_are_images() -> None:
    losses = np.random.default_rng(0).uniform(-1, 1, (3, 8))
    assert units(losses, np.arange(8)).losses == pytest.approx(losses)


def test_an_image_without_a_clip_counts_alone() -> None:
    losses = np.array([[0.1, 0.2, 0.3, 0.5]])
    counted = units(losses, ["", "a", "", "a"])
    assert sorted(counted.losses[0]) == pytest.approx([0.1, 0.3, 0.35])
    assert counted.kind == "clips"
    assert units(losses, [""] * 4).kind == "images"
    assert members(["", "b", "a", "", "b"]).tolist() == [2, 1, 0, 3, 1]


def test_rounding_does_not_lead_out_of_range() -> None:
    counted = units(np.ones((1, 49)), ["one"] * 49)
    assert counted.losses.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("losses", "groups", "match"),
    [
        (np.array([[0.1, 1.5]]), None, "1.5"),
        (np.array([[0.1, NAN], [0.1, 0.2]]), None, "nan"),
        (np.array([[NAN, NAN]]), None, "labelled"),
        (np.zeros((0, 3)), None, "configurations"),
        (np.zeros(3), None, "configurations"),
        (np.zeros((1, 0)), None, "labelled"),
        (np.zeros((1, 3)), ["a", "b"], "clips"),
    ],
)
def test_refuses(losses: np.ndarray, groups: list[str] | None, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        units(losses, groups)
