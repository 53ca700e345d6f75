from collections import Counter

import numpy as np
import pytest

from offramp.core.errors import BadInput
from offramp.guarantees.division import divide


def test_every_image_is_in_one_part() -> None:
    search, test = divide(101, share=0.3, seed=4)
    assert len(search) == 30
    assert sorted([*search, *test]) == list(range(101))
    assert np.all(np.diff(search) > 0)
    assert np.all(np.diff(test) > 0)


def test_the_seed_decides() -> None:
    first, again, other = (divide(40, seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_no_clip_is_divided() -> None:
    groups = np.array([f"cam{n}" for n in np.random.default_rng(0).integers(0, 9, 200)])
    search, test = divide(200, groups=groups, share=0.4, seed=0)
    assert not set(groups[search]) & set(groups[test])
    assert len(set(groups[search])) == 4  # of nine clips
    assert sorted([*search, *test]) == list(range(200))


def test_names_decide_and_not_the_order_of_images() -> None:
    groups = np.array(list("aabbccddee"))
    mixed = np.random.default_rng(1).permutation(10)
    straight = set(groups[divide(10, groups=groups)[0]])
    assert set(groups[mixed][divide(10, groups=groups[mixed])[0]]) == straight


def test_images_without_a_clip_are_divided_one_by_one() -> None:
    search, test = divide(9, groups=[""] * 8 + ["a"])
    assert min(len(search), len(test)) == 4


def test_every_image_is_as_likely_as_any() -> None:
    drawn = Counter(int(i) for seed in range(400) for i in divide(6, seed=seed)[0])
    assert set(drawn) == set(range(6))
    assert all(150 < times < 250 for times in drawn.values())  # 200 ± 5 sigma


def test_no_part_is_empty() -> None:
    assert [len(part) for part in divide(2, share=0.01)] == [1, 1]
    assert [len(part) for part in divide(3, share=0.99)] == [2, 1]


def test_refuses() -> None:
    with pytest.raises(BadInput, match="too few clips"):
        divide(5, groups=["one"] * 5)
    with pytest.raises(BadInput, match="too few images"):
        divide(0)
    with pytest.raises(BadInput, match="share"):
        divide(5, share=1.0)
    with pytest.raises(BadInput, match="match"):
        divide(5, groups=["a", "b"])
