"""The exception tree, and the words in which it speaks."""

import pickle

import pytest

from offramp.core.errors import (
    BadInput,
    BundleError,
    DataFault,
    MissingExtra,
    OfframpError,
    ParityError,
    UnknownName,
)
from offramp.video.answer import Overloaded, TooLate


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (BadInput, (OfframpError, ValueError)),
        (UnknownName, (BadInput, LookupError)),
        (DataFault, (BadInput,)),
        (BundleError, (BadInput,)),
        (MissingExtra, (OfframpError, ImportError)),
        (ParityError, (OfframpError, RuntimeError)),
    ],
)
def test_each_error_refines_ours_and_a_builtin(kind: type, parents: tuple[type, ...]) -> None:
    assert issubclass(kind, parents[0])
    assert all(issubclass(kind, parent) for parent in parents)


def test_only_bad_input_leads_to_exit_status_2() -> None:
    assert not issubclass(ParityError, BadInput)
    assert not issubclass(MissingExtra, BadInput)


def test_a_message_says_what_expected_got_and_repair_in_order() -> None:
    error = BadInput("too small", expected="32", got="7", repair="enlarge it")
    assert str(error) == "too small; expected 32; got 7; enlarge it"


def test_parts_that_are_absent_leave_no_trace() -> None:
    assert str(BadInput("too small")) == "too small"
    assert str(BadInput("too small", got="7")) == "too small; got 7"


def test_an_unknown_name_lists_the_known_and_offers_the_nearest() -> None:
    text = str(UnknownName("exit", "layer9", ["layer1", "stem"]))
    assert "there is no exit 'layer9'" in text
    assert "one of layer1, stem" in text
    assert "did you mean 'layer1'?" in text


def test_a_name_like_no_other_gets_no_offer() -> None:
    assert "did you mean" not in str(UnknownName("exit", "zzzz", ["stem"]))


def test_no_known_names_are_said_to_be_none() -> None:
    assert "none is known" in str(UnknownName("exit", "a", []))


def test_known_names_may_come_from_an_iterator() -> None:
    assert "one of a, b" in str(UnknownName("exit", "c", iter(["a", "b"])))


def test_a_missing_library_names_the_extra_that_brings_it() -> None:
    text = str(MissingExtra("PyAV", "video", "reading video"))
    assert "reading video needs PyAV" in text
    assert "pip install 'offramp[video]'" in text


@pytest.mark.parametrize(
    "error",
    [
        BadInput("too small", expected="32", got="7"),
        UnknownName("exit", "a", ["b"]),
        MissingExtra("PyAV", "video", "reading video"),
        Overloaded(1.5),
        TooLate("4 ms too late"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_travels_between_processes_as_it_is(error: OfframpError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
