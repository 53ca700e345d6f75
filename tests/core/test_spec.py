"""Records refuse what they do not know, and say what is nearest."""

from typing import Any

import pytest
from pydantic import Field, ValidationError

from offramp.core.errors import BadInput, UnknownName
from offramp.core.spec import Spec


class Inner(Spec):
    epochs: int = Field(default=1, ge=1)
    learning_rate: float = 0.1


class Outer(Spec):
    name: str
    inner: Inner = Inner()
    many: dict[str, Inner] = Field(default_factory=dict)
    row: tuple[Inner, ...] = ()
    maybe: Inner | None = None


def test_plain_data_becomes_a_record() -> None:
    spec = Outer.parse({"name": "a", "inner": {"epochs": 3}}, "file.yaml")
    assert spec == Outer(name="a", inner=Inner(epochs=3))


def test_an_unknown_key_names_the_place_and_the_nearest_key() -> None:
    with pytest.raises(UnknownName, match=r"no key in file\.yaml 'nmae'.*did you mean 'name'"):
        Outer.parse({"nmae": "a", "name": "b"}, "file.yaml")


@pytest.mark.parametrize(
    "value",
    [
        {"inner": {"epoch": 3}},
        {"many": {"first": {"epoch": 3}}},
        {"row": [{}, {"epoch": 3}]},
        {"maybe": {"epoch": 3}},
    ],
    ids=["record", "table", "list", "optional"],
)
def test_an_unknown_key_within_is_compared_with_the_keys_there(value: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match="did you mean 'epochs'") as caught:
        Outer.parse({"name": "a", **value}, "file.yaml")
    assert "maybe" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(BadInput, match=r"file\.yaml: 'name' is not usable"):
        Outer.parse({}, "file.yaml")


def test_a_value_of_the_wrong_kind_says_where_and_what() -> None:
    with pytest.raises(BadInput, match=r"'inner\.epochs' is not usable.*integer.*got 'many'"):
        Outer.parse({"name": "a", "inner": {"epochs": "many"}}, "file.yaml")


def test_a_value_out_of_range_says_the_range() -> None:
    with pytest.raises(BadInput, match="greater than or equal to 1; got 0"):
        Outer.parse({"name": "a", "inner": {"epochs": 0}}, "file.yaml")


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Inner().epochs = 2
