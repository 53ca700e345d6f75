"""A graph that names another file is noticed however the name is spelt."""

from pathlib import Path

import pytest

from offramp.core.errors import BundleError
from offramp.runtime.walk import check_file


@pytest.mark.parametrize("tag", [b"\x0a", b"\x8a\x00", b"\x8a\x80\x80\x00"])
@pytest.mark.parametrize("length", [b"\x08", b"\x88\x00", b"\x88\x80\x00"])
def test_every_spelling_of_another_file_is_noticed(
    tmp_path: Path, tag: bytes, length: bytes
) -> None:
    file = tmp_path / "a.onnx"
    file.write_bytes(b"\x08\x07" + tag + length + b"location\x12\x01a")
    with pytest.raises(BundleError, match=r"a\.onnx keeps numbers in another file"):
        check_file(file)


def test_a_name_that_holds_the_word_is_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    file.write_bytes(b"\x0a\x0aallocation\x12\x09location1")
    check_file(file)
