"""Sizes as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.core.model import ModelSpec, format_size, parse_size

side = st.integers(32, 8192)


def test_a_size_reads_width_before_height() -> None:
    assert parse_size("640x384") == (384, 640)
    assert parse_size(" 640×384 ") == (384, 640)


def test_one_number_is_a_square() -> None:
    assert parse_size("512") == (512, 512)


@given(side, side)
def test_a_written_size_reads_back(height: int, width: int) -> None:
    assert parse_size(format_size((height, width))) == (height, width)


@pytest.mark.parametrize(
    "text", ["", "x", "640x", "640x384x3", "-64x64", "64.5", "15x64", "64x8193", "0", "٣x64 px"]
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput, match="WxH in pixels, as in 640x384"):
        parse_size(text)


def test_a_model_has_as_many_classes_as_names() -> None:
    assert ModelSpec(name="fastscnn", names=("a", "b"), size=(64, 96)).classes == 2
