"""A bundle opens only if every file in it is genuine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from offramp.core.bundle import MANIFEST, Bundle
from offramp.core.errors import BundleError


def flip(file: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def edit(folder: Path, **changes: object) -> None:
    """Change keys of the manifest."""
    file = folder / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def without(folder: Path, name: str) -> None:
    files = json.loads((folder / MANIFEST).read_text())["files"]
    del files[name]
    (folder / name).unlink()
    edit(folder, files=files)


def test_a_genuine_bundle_opens(copied: Path, bundle: Bundle) -> None:
    opened = Bundle.open(copied)
    assert opened.manifest == bundle.manifest
    assert opened.bytes == sum(file.stat().st_size for file in copied.iterdir())
    assert opened.path(opened.manifest.decoder) == copied / "decoder.onnx"


NAMES = ("segment_0.onnx", "segment_1.onnx", "head_0.onnx", "head_2.onnx", "decoder.onnx")


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_file_is_refused_by_name(copied: Path, name: str) -> None:
    flip(copied / name)
    with pytest.raises(BundleError, match=f"the file {name} was changed"):
        Bundle.open(copied)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_refused_by_name(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(BundleError, match=f"the file {name} is missing"):
        Bundle.open(copied)


@pytest.mark.parametrize("folder", [False, True])
def test_a_file_too_many_is_refused_by_name(copied: Path, folder: bool) -> None:
    extra = copied / "extra.onnx"
    extra.mkdir() if folder else extra.write_bytes(b"")
    with pytest.raises(BundleError, match=r"the file extra\.onnx does not belong to it"):
        Bundle.open(copied)


def test_a_link_is_refused_by_name_though_its_content_is_right(
    copied: Path, tmp_path: Path
) -> None:
    real = tmp_path / "elsewhere.onnx"
    (copied / "head_0.onnx").rename(real)
    (copied / "head_0.onnx").symlink_to(real)
    with pytest.raises(BundleError, match=r"head_0\.onnx is not a plain file"):
        Bundle.open(copied)


def test_a_folder_in_place_of_a_file_is_refused_by_name(copied: Path) -> None:
    (copied / "head_0.onnx").unlink()
    (copied / "head_0.onnx").mkdir()
    with pytest.raises(BundleError, match=r"head_0\.onnx is not a plain file"):
        Bundle.open(copied)


@pytest.mark.parametrize("value", [2, 0, "1", None, [1], 1.5])
def test_another_format_is_refused_before_all_else(copied: Path, value: object) -> None:
    edit(copied, format=value, later_key=True)
    with pytest.raises(BundleError, match=r"format that this version cannot read; expected 1"):
        Bundle.open(copied)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b"3", b"null"])
def test_a_manifest_that_is_none_is_refused_by_name(copied: Path, content: bytes) -> None:
    (copied / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(copied)


def test_an_absent_manifest_is_refused_by_name(copied: Path, tmp_path: Path) -> None:
    (copied / MANIFEST).unlink()
    for folder in (copied, tmp_path / "nowhere", copied / "decoder.onnx"):
        with pytest.raises(BundleError, match=r"is not a bundle; expected .*manifest\.json"):
            Bundle.open(folder)


SPOILS: dict[str, Callable[[Path], None]] = {
    "unknown key": lambda folder: edit(folder, colour="red"),
    "wrong kind": lambda folder: edit(folder, path_macs="many"),
    "path outside": lambda folder: edit(
        folder, decoder={"file": "../decoder.onnx", "takes": [], "gives": []}
    ),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_manifest_that_is_not_understood_is_refused_by_name(
    copied: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(copied)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(copied)


def test_a_graph_without_a_hash_is_refused_by_name(copied: Path) -> None:
    without(copied, "head_1.onnx")
    with pytest.raises(BundleError, match=r"no hash is given of head_1\.onnx"):
        Bundle.open(copied)
