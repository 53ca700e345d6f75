"""The trace: look-ups, accuracy of any choice of exits, and the file."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.core.errors import BadInput, UnknownName
from offramp.metrics.trace import Trace
from tests.tiny import make_trace

EXITS = [("a", "x"), ("a", "y"), ("end", "own")]


@pytest.fixture
def trace(rng: np.random.Generator) -> Trace:
    unions = rng.integers(1, 9, (3, 4, 2))
    scores = rng.random((3, 4, 2))
    names = ["mean-top1", "entropy"]
    return make_trace(scores, rng.integers(0, unions + 1), unions, EXITS, names)


def test_a_trace_reads_back_to_the_last_bit(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "trace.npz")
    again = Trace.load(tmp_path / "trace.npz")
    for name in ("images", "exits", "names", "score_names", "size"):
        assert getattr(again, name) == getattr(trace, name)
    for name in ("scores", "intersections", "unions"):
        kept, read = getattr(trace, name), getattr(again, name)
        assert read.dtype == kept.dtype
        assert np.array_equal(read, kept)


def test_miou_follows_the_exit_that_each_image_takes(trace: Trace) -> None:
    taken = np.array([0, 2, 1, 0])
    inter = sum(trace.intersections[row, n] for n, row in enumerate(taken))
    union = sum(trace.unions[row, n] for n, row in enumerate(taken))
    assert trace.miou(taken) == pytest.approx((inter / union).mean())
    per_image = trace.miou_per_image(taken)
    assert per_image[1] == pytest.approx((trace.intersections[2, 1] / trace.unions[2, 1]).mean())


def test_the_miou_of_an_exit_is_that_of_taking_it_always(trace: Trace) -> None:
    assert trace.exit_miou(1) == trace.miou(np.array([1, 1, 1, 1]))


def test_scores_are_looked_up_by_name(trace: Trace) -> None:
    assert np.array_equal(trace.score(1, "entropy"), trace.scores[1, :, 1])
    assert trace.index("a", "y") == 1


def test_unknown_exits_and_scores_name_the_nearest(trace: Trace) -> None:
    with pytest.raises(UnknownName, match="did you mean 'a/x'"):
        trace.index("a", "xx")
    with pytest.raises(UnknownName, match="did you mean 'entropy'"):
        trace.score(0, "entrop")


@pytest.mark.parametrize("name", ["scores", "intersections", "unions"])
def test_arrays_that_do_not_fit_are_refused_by_name(trace: Trace, name: str) -> None:
    with pytest.raises(BadInput, match=f"wrong {name}"):
        replace(trace, **{name: getattr(trace, name)[:, :-1]})


def test_an_absent_trace_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="offramp record RUN"):
        Trace.load(tmp_path / "trace.npz")


def test_what_is_no_trace_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nonsense")
    (tmp_path / "b.npz").write_bytes(b"")
    np.savez(tmp_path / "c.npz", scores=np.zeros(3))
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    np.savez(tmp_path / "e.npz", head=np.array("[]"), scores=0, intersections=0, unions=0)
    for name in "abcde":
        with pytest.raises(BadInput, match=rf"{name}\.npz is not a trace"):
            Trace.load(tmp_path / f"{name}.npz")


def test_a_truncated_trace_is_refused_by_name(trace: Trace, tmp_path: Path) -> None:
    file = tmp_path / "trace.npz"
    trace.save(file)
    whole = file.read_bytes()
    for end in range(0, len(whole) - 1, 97):
        file.write_bytes(whole[:end])
        with pytest.raises(BadInput, match=r"trace\.npz is not a trace"):
            Trace.load(file)


def test_a_changed_byte_is_no_other_error_than_ours(trace: Trace, tmp_path: Path) -> None:
    file = tmp_path / "trace.npz"
    trace.save(file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        file.write_bytes(changed)
        with contextlib.suppress(BadInput):
            Trace.load(file)


def test_a_trace_of_another_format_is_refused(trace: Trace, tmp_path: Path) -> None:
    file = tmp_path / "trace.npz"
    trace.save(file)
    with np.load(file) as read:
        arrays = {**read, "head": np.array(str(read["head"]).replace('"format": 1', '"format": 2'))}
    np.savez(file, **arrays)
    with pytest.raises(BadInput, match=r"another format; expected 1"):
        Trace.load(file)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", head=np.array({"a": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match="is not a trace"):
        Trace.load(tmp_path / "a.npz")
