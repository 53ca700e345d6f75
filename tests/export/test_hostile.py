"""Spoilt bundles are refused in words, or hold what they held; hostile graphs crash nothing."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from offramp.core.bundle import MANIFEST, Bundle, hash_files, save_manifest
from offramp.core.errors import BundleError
from offramp.core.seal import seal_of
from offramp.core.wiring import files_of
from offramp.runtime.engines import open_engine
from offramp.runtime.sound import check_answers
from tests.export.hostile import spoil_bytes, spoil_json

SEEDS = 1000
CASES = 60
LIMIT_S = 240


def write(folder: Path, content: dict[str, bytes]) -> None:
    """Put a bundle's files back, and nothing else."""
    for path in folder.iterdir():
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            path.rmdir()
    for name, stored in content.items():
        (folder / name).write_bytes(stored)


def spoil_folder(folder: Path, rng: random.Random) -> None:
    """Swap, drop, add or link files."""
    first, second = rng.sample(sorted(path.name for path in folder.iterdir()), 2)
    kind = rng.randrange(6)
    if kind == 0:
        (folder / first).rename(folder / "other")
        (folder / second).rename(folder / first)
        (folder / "other").rename(folder / second)
    elif kind == 1:
        (folder / first).unlink()
    elif kind == 2:
        (folder / f"{first}.bak").write_bytes(b"")
    elif kind == 3:
        (folder / first).unlink()
        (folder / first).symlink_to(folder / second)
    elif kind == 4:
        (folder / first).unlink()
        (folder / first).mkdir()
    else:
        (folder / first).rename(folder / f".{first}")


def spoil(folder: Path, content: dict[str, bytes], rng: random.Random) -> bool:
    """Spoil a bundle in one of many ways; tells whether it was sealed again, as by an author."""
    kind = rng.randrange(4)
    if kind == 0:
        spoil_folder(folder, rng)
    elif kind == 1:
        name = rng.choice(sorted(content))
        (folder / name).write_bytes(spoil_bytes(content[name], rng))
    else:
        text = spoil_json(content[MANIFEST].decode(), rng, sealed=kind == 3)
        (folder / MANIFEST).write_text(text)
    return kind == 3


def test_spoilt_bundles_are_refused_or_hold_what_they_held(copied: Path) -> None:
    content = {path.name: path.read_bytes() for path in copied.iterdir()}
    manifest = Bundle.open(copied).manifest
    refusals, authored = [], 0
    for seed in range(SEEDS):
        write(copied, content)
        sealed = spoil(copied, content, random.Random(seed))
        try:
            found = Bundle.open(copied).manifest
        except BundleError as error:
            refusals.append(str(error))
            continue
        if sealed:  # another author's bundle, then; all that it names lies in its folder
            authored += 1
            assert all(Path(name).name == name for name in files_of(found)), seed
            assert found.seal == seal_of(json.loads((copied / MANIFEST).read_text())), seed
        else:
            assert found == manifest, seed
            assert hash_files(copied) == manifest.files, seed
    assert all(len(text.encode()) > 20 for text in refusals)  # and a terminal can show it
    assert len(refusals) > 0.7 * SEEDS
    assert authored < 0.2 * SEEDS


def test_hostile_graphs_are_refused_or_run(bundle: Bundle, tmp_path: Path) -> None:
    """Behind hashes and a seal of their own author, in a process of limited memory and time."""
    said: list[str] = []
    crashed: list[tuple[int, int]] = []
    while len(said) < CASES:
        span = [str(len(said)), str(CASES)]
        command = [sys.executable, "-m", "tests.export.hostile", bundle.folder, tmp_path, *span]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_S, env=environment, check=False
        )
        lines = ended.stdout.splitlines()  # ONNX Runtime prints there too
        said += [line.removeprefix("case ") for line in lines if line.startswith("case ")]
        if len(said) < CASES:  # the next case is what ended it
            crashed.append((len(said), ended.returncode))
            said.append(f"{len(said)} crashed: {ended.stderr[-300:]}")
    assert crashed == []
    assert [line for line in said if line.split()[1] not in ("refused", "answered")] == []
    assert sum("refused" in line for line in said) > CASES / 4


def resealed(folder: Path, name: str, change: Callable[[onnx.ModelProto], object]) -> Bundle:
    """Change a graph as its author would."""
    manifest = Bundle.open(folder).manifest
    model = onnx.load(folder / name)
    change(model)
    onnx.save(model, str(folder / name))
    (folder / MANIFEST).unlink()
    save_manifest(folder, manifest.model_copy(update={"files": hash_files(folder)}))
    return Bundle.open(folder)


def _end_with(model: onnx.ModelProto, index: int, kind: str, **attributes: object) -> None:
    """Put an operator behind an output."""
    output = model.graph.output[index]
    for node in model.graph.node:
        node.output[:] = [name if name != output.name else "inner" for name in node.output]
    model.graph.node.append(helper.make_node(kind, ["inner"], [output.name], **attributes))
    output.type.tensor_type.ClearField("shape")


def _typed(model: onnx.ModelProto, index: int, kind: int) -> None:
    _end_with(model, index, "Cast", to=kind)
    model.graph.output[index].type.tensor_type.elem_type = kind


LIES: dict[str, tuple[str, Callable[[onnx.ModelProto], object], str]] = {
    "two scores": (
        "head_0.onnx",
        lambda m: (
            _end_with(m, 1, "Concat", axis=0),
            m.graph.node[-1].input.append("inner"),
        ),
        "gives no such answer",
    ),
    "scores that are whole": ("head_0.onnx", lambda m: _typed(m, 1, 7), "gives no such answer"),
    "scores in a table": (
        "head_1.onnx",
        lambda m: _end_with(m, 1, "Flatten", axis=0),
        "gives no such answer",
    ),
    "labels of int64": ("decoder.onnx", lambda m: _typed(m, 0, 7), "gives no such answer"),
    "labels of no class": (
        "decoder.onnx",
        lambda m: _end_with(m, 0, "BitwiseNot"),
        "the class 255 of 3",
    ),
}


@pytest.mark.parametrize(("name", "change", "said"), LIES.values(), ids=LIES)
def test_answers_that_the_manifest_does_not_promise_are_refused(
    copied: Path, name: str, change: Callable[[onnx.ModelProto], object], said: str
) -> None:
    opened = resealed(copied, name, change)
    with pytest.raises(BundleError, match=said):
        check_answers(open_engine("onnxruntime", opened), opened.manifest)


def test_sound_answers_pass(bundle: Bundle, short_bundle: Bundle) -> None:
    for opened in (bundle, short_bundle):
        check_answers(open_engine("onnxruntime", opened), opened.manifest)
