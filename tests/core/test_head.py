"""The head space of MESS eq. 1."""

from itertools import product

import pytest

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import FULL, LIGHT, HeadSpec


def test_there_are_56_distinct_heads_with_56_names() -> None:
    assert len(FULL) == len(set(FULL)) == len({spec.name for spec in FULL}) == 56


def test_every_choice_is_in_the_space() -> None:
    choices = product((1, 2, 4, 8), (0, 1, 2, 3), (False, True), ("fcn", "dlb"))
    assert {HeadSpec(r, b, rapid, kind) for r, b, rapid, kind in choices} == set(FULL)


@pytest.mark.parametrize("spec", FULL, ids=lambda spec: spec.name)
def test_a_name_reads_back(spec: HeadSpec) -> None:
    assert HeadSpec.parse(spec.name) == spec


def test_without_blocks_rapid_and_plain_are_one() -> None:
    twin = HeadSpec(2, 0, True, "fcn")
    assert twin == HeadSpec(2, 0, False, "fcn")
    assert twin.name == "r2-b0-fcn"
    assert hash(twin) == hash(HeadSpec(2, 0, False, "fcn"))


def test_with_blocks_they_are_two() -> None:
    assert HeadSpec(2, 1, True) != HeadSpec(2, 1, False)


def test_a_name_reads_as_documented() -> None:
    assert HeadSpec.parse("r2-b3-rapid-dlb") == HeadSpec(2, 3, True, "dlb")


@pytest.mark.parametrize("name", ["", "r3-b0-fcn", "r1-b4-fcn", "r1-b0-fcn ", "own", "r1-b1-FCN"])
def test_what_is_no_head_is_refused(name: str) -> None:
    with pytest.raises(UnknownName):
        HeadSpec.parse(name)


def test_a_misspelt_head_is_offered_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="did you mean 'r2-b3-rapid-fcn'"):
        HeadSpec.parse("r2-b3-rapd-fcn")


@pytest.mark.parametrize(("reduction", "blocks"), [(3, 0), (0, 0), (1, 4), (1, -1)])
def test_a_choice_outside_the_space_is_refused(reduction: int, blocks: int) -> None:
    with pytest.raises(BadInput, match="no such head"):
        HeadSpec(reduction, blocks)


def test_the_fully_connected_head_stands_beside_the_space() -> None:
    spec = HeadSpec(kind="fc")
    assert spec.name == "fc"
    assert HeadSpec.parse("fc") == spec == HeadSpec(rapid=True, kind="fc")
    assert spec not in FULL


def test_the_fully_connected_head_is_offered_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'fc'"):
        HeadSpec.parse("fcc")


@pytest.mark.parametrize(("reduction", "blocks"), [(2, 0), (1, 1), (3, 0)])
def test_the_fully_connected_head_has_no_other_choices(reduction: int, blocks: int) -> None:
    with pytest.raises(BadInput, match=r"no such head; expected reduction .*; got \d and \d"):
        HeadSpec(reduction, blocks, kind="fc")


@pytest.mark.parametrize(
    ("reduction", "d_in", "width", "reduces"),
    [
        (1, 64, 64, False),
        (8, 64, 8, True),
        (8, 16, 4, True),
        (2, 9, 4, True),
        (2, 4, 4, True),
        (1, 4, 4, False),
        (1, 3, 4, True),
    ],
)
def test_a_head_keeps_four_channels_at_least(
    reduction: int, d_in: int, width: int, reduces: bool
) -> None:
    spec = HeadSpec(reduction)
    assert (spec.width(d_in), spec.reduces(d_in)) == (width, reduces)


def test_the_light_heads_are_six_of_the_space() -> None:
    assert len(set(LIGHT)) == 6
    assert set(LIGHT) <= set(FULL)
