"""A bundle opens only if every file in it is genuine."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp.core.bundle import MANIFEST, Bundle, hash_files, save_manifest
from offramp.core.errors import BadInput, BundleError
from offramp.core.seal import MOST_BYTES, seal_of


def flip(file: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def edit(folder: Path, **changes: object) -> None:
    """Change keys of the manifest, and seal it again."""
    file = folder / MANIFEST
    value = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({**value, "seal": seal_of(value)}))


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


@pytest.mark.parametrize("value", [1, 3, 2.0, True, "2", None, [2], 1.5])
def test_another_format_is_refused_before_all_else(copied: Path, value: object) -> None:
    edit(copied, format=value, later_key=True)
    with pytest.raises(BundleError, match=r"format that this version cannot read; expected 2"):
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


def test_the_seal_is_the_hash_of_sorted_json(bundle: Bundle) -> None:
    value = json.loads((bundle.folder / MANIFEST).read_text())
    seal = value.pop("seal")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert seal == hashlib.sha256(text.encode()).hexdigest() == bundle.manifest.seal


def _threshold(value: Any) -> None:
    value["plan"]["exits"][0]["rule"]["threshold"] += 1e-9


CHANGES: dict[str, Callable[[Any], object]] = {
    "a threshold": _threshold,
    "a class name": lambda value: value["model"]["names"].reverse(),
    "its parity": lambda value: value["parity"].update(images=1000),
    "the seal": lambda value: value.update(seal="0" * 64),
    "no seal": lambda value: value.pop("seal"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_value_breaks_the_seal(copied: Path, change: Callable[[Any], object]) -> None:
    value = json.loads((copied / MANIFEST).read_text())
    change(value)
    (copied / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(BundleError, match=r"manifest\.json was changed after it was sealed"):
        Bundle.open(copied)


def test_another_layout_of_the_same_values_is_the_same_manifest(
    copied: Path, bundle: Bundle
) -> None:
    value = json.loads((copied / MANIFEST).read_text())
    (copied / MANIFEST).write_text(json.dumps(dict(reversed(value.items()))))
    assert Bundle.open(copied).manifest == bundle.manifest


def test_a_manifest_is_saved_with_its_seal(copied: Path, bundle: Bundle) -> None:
    changed = bundle.manifest.model_copy(update={"full_macs": 7, "seal": "old"})
    saved = save_manifest(copied, changed)
    assert Bundle.open(copied).manifest == saved
    assert saved.full_macs == 7
    assert saved.seal not in ("old", bundle.manifest.seal)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_not_saved(copied: Path, bundle: Bundle, value: float) -> None:
    parity = bundle.manifest.parity.model_copy(update={"label_agreement": value})
    with pytest.raises(BadInput, match="cannot be written"):
        save_manifest(copied, bundle.manifest.model_copy(update={"parity": parity}))
    assert Bundle.open(copied).manifest == bundle.manifest


def test_every_file_but_the_manifest_is_hashed(copied: Path) -> None:
    hashes = hash_files(copied)
    assert set(hashes) == {path.name for path in copied.iterdir()} - {MANIFEST}
    assert (
        hashes["decoder.onnx"] == hashlib.sha256((copied / "decoder.onnx").read_bytes()).hexdigest()
    )


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"format":2,"a":NaN}', b'{"format":1e999}', b'{"format":2,"a":"\\ud800"}'],
)
def test_what_json_lacks_is_refused(copied: Path, content: bytes) -> None:
    (copied / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(copied)


def test_a_manifest_as_large_as_none_is_refused_unread(copied: Path) -> None:
    with (copied / MANIFEST).open("ab") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(BundleError, match=r"manifest\.json is too large"):
        Bundle.open(copied)


def test_a_linked_manifest_is_refused(copied: Path, tmp_path: Path) -> None:
    (copied / MANIFEST).rename(tmp_path / "real.json")
    (copied / MANIFEST).symlink_to(tmp_path / "real.json")
    with pytest.raises(BundleError, match=r"manifest\.json is not a plain file"):
        Bundle.open(copied)


def test_a_backup_by_hard_links_opens(copied: Path, tmp_path: Path, bundle: Bundle) -> None:
    backup = tmp_path / "backup.offramp"
    backup.mkdir()
    for file in copied.iterdir():
        os.link(file, backup / file.name)
    assert Bundle.open(backup).manifest == bundle.manifest


def test_a_listed_file_that_nothing_uses_is_refused(copied: Path) -> None:
    (copied / "weights.bin").write_bytes(b"far from any graph")
    edit(copied, files=hash_files(copied))
    with pytest.raises(BundleError, match=r"'weights\.bin' is listed, but nothing uses it"):
        Bundle.open(copied)
