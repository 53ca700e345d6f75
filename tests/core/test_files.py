"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from offramp.core.errors import BadInput
from offramp.core.files import read_json, sha256, write_json, write_text, written, written_folder


class _Stop(Exception):
    pass


def leave_half(file: Path, error: BaseException) -> None:
    with written(file) as partial:
        partial.write_text("half")
        raise error


def leave_half_a_folder(folder: Path) -> None:
    with written_folder(folder) as partial:
        (partial / "new.txt").write_text("new")
        raise _Stop


def test_a_block_that_ends_well_replaces_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a" / "note.txt"
    write_text(file, "old")
    write_text(file, "new ß")
    assert file.read_text(encoding="utf-8") == "new ß"
    assert list(file.parent.iterdir()) == [file]


def test_a_block_that_raises_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    write_text(file, "old")
    with pytest.raises(_Stop):
        leave_half(file, _Stop())
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_final_name_does_not_exist_while_the_block_runs(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    with written(file) as partial:
        partial.write_text("half")
        assert not file.exists()
    assert file.read_text() == "half"


def test_an_interrupt_counts_as_raising(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    with pytest.raises(KeyboardInterrupt):
        leave_half(file, KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with written_folder(folder) as partial:
        (partial / "old.txt").write_text("old")
    with written_folder(folder) as partial:
        (partial / "new.txt").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_stays_as_it_was_when_the_block_raises(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with written_folder(folder) as partial:
        (partial / "old.txt").write_text("old")
    with pytest.raises(_Stop):
        leave_half_a_folder(folder)
    assert [path.name for path in folder.iterdir()] == ["old.txt"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_written_folder_can_be_read_by_others(tmp_path: Path) -> None:
    with written_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_json_comes_back_as_it_went(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "b": "ü"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"nonsense"])
def test_what_is_no_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.json cannot be read as JSON"):
        read_json(file)


def test_absent_json_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.json does not exist"):
        read_json(tmp_path / "none.json")


def test_a_hash_is_the_published_one(tmp_path: Path) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
