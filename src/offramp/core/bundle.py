"""A bundle: the deployable folder, opened only after every file in it has proved genuine.

    NAME.offramp/
      manifest.json       what network, which plan, which graphs, SHA-256 of every other file,
                          and a seal over all this
      segment_0.onnx      frame (uint8 1×H×W×3) -> values that later graphs take
      head_0.onnx         feature -> logits (1×C×h×w), scores (one for each that the plan names)
      segment_1.onnx ...
      decoder.onnx        logits, size -> labels (uint8 1×H×W)

Where the plan stops short of the network's own end, one more segment and head lead there: no
plan runs them; they are what evaluation and monitoring compare the early exits with.

Further forms of the same network may lie beside these graphs, see docs/bundle.md.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from offramp.core.errors import BadInput, BundleError
from offramp.core.files import sha256, write_text
from offramp.core.model import ModelSpec
from offramp.core.plan import Plan
from offramp.core.seal import read_sealed, seal_of
from offramp.core.spec import Spec
from offramp.core.wiring import (
    CELLS,
    EXIT_BEFORE,
    FRAME,
    FRAME_BEFORE,
    check_wiring,
    files_of,
)

__all__ = [
    "CELLS",
    "EXIT_BEFORE",
    "FORMAT",
    "FRAME",
    "FRAME_BEFORE",
    "MANIFEST",
    "Bundle",
    "FormParity",
    "Graph",
    "Manifest",
    "Ncnn",
    "Parity",
    "hash_files",
    "save_manifest",
]

FORMAT = 2
MANIFEST = "manifest.json"


class Graph(Spec):
    """One ONNX file and the names of the values that it takes and gives, in order."""

    file: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.onnx$")
    takes: tuple[str, ...]
    gives: tuple[str, ...]


class Ncnn(Spec):
    """One ncnn model of all exits, in which every exit is a blob to be extracted.

    Attributes:
        param: the file of its layers.
        bin: the file of its weights.
        frame: the blob that takes the frame, float 3×H×W from 0 to 255.
        features: for each segment of the bundle, the blob that its head reads.
        exits: for each segment of the bundle, the blobs of its head: its logits, and its scores.
    """

    param: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.param$")
    bin: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.bin$")
    frame: str
    features: tuple[str, ...]
    exits: tuple[tuple[str, str], ...]


class FormParity(Spec):
    """How close a form's answers came to those of the network that it was exported from.

    Attributes:
        images: how many real images were compared.
        max_score_difference: largest absolute difference of a score.
        label_agreement: share of pixels with the same label.
        same_exits: share of images that took the same exit.
    """

    images: int
    max_score_difference: float
    label_agreement: float
    same_exits: float


class Parity(FormParity):
    """How close the answers of a bundle's segments and heads came to those of the network.

    Attributes:
        max_logit_difference: largest absolute difference of a logit.
    """

    max_logit_difference: float


class Manifest(Spec):
    """The content of `manifest.json`.

    Attributes:
        format: version of the layout.
        model: what network it is.
        plan: which exits, when to stop, what to expect.
        segments: one graph per exit of the plan, and one to the network's own end if that is not
            among them; a segment's first value feeds the exit's head.
        heads: one graph per segment: feature -> logits, scores; where a score compares with the
            exit or frame before, labels come in and go out besides.
        decoder: logits and size -> labels.
        precision: of the numbers in which the graphs compute: "f32", or "int8" where they were
            quantised.
        prefixes: a further form: one graph per segment: frame -> logits and scores of that exit,
            with no other head in it; empty where it was not asked for.
        single: a further form: one graph that stops by itself: frame, size -> labels, exit, scores.
        ncnn: a further form: one model for ncnn.
        weights: a further form: the file of the network's weights, for the engine torch.
        files: SHA-256 of every file but the manifest.
        path_macs: multiply-accumulates of an image that stops at each exit, heads that it read on
            its way included.
        full_macs: multiply-accumulates of the network without early exits.
        work: multiply-accumulates of each segment, and of its head: from them follows the work of
            any choice among the exits.
        parity: the comparison that ended the export.
        form_parity: the same of each further form, by its name.
        versions: of the programs that made the bundle.
        seal: over all the rest, see `core.seal`; empty in a manifest that was never saved.
    """

    format: Literal[2] = 2
    model: ModelSpec
    plan: Plan
    segments: tuple[Graph, ...]
    heads: tuple[Graph, ...]
    decoder: Graph
    precision: Literal["f32", "int8"] = "f32"
    prefixes: tuple[Graph, ...] = ()
    single: Graph | None = None
    ncnn: Ncnn | None = None
    weights: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+\.safetensors$")
    files: dict[str, str]
    path_macs: tuple[int, ...]
    full_macs: int
    work: tuple[tuple[int, int], ...] = ()
    parity: Parity
    form_parity: dict[str, FormParity] = Field(default_factory=dict)
    versions: dict[str, str]
    seal: str = ""


class Bundle:
    """An opened bundle.

    Args:
        folder: where it is.
        manifest: what it holds.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path) -> "Bundle":
        """Verify and open a bundle.

        Raises:
            BundleError: a file is missing, changed, extra or no plain file; or the manifest was
                changed, is not understood, or contradicts itself.
        """
        file = folder / MANIFEST
        if not file.exists() and not file.is_symlink():
            raise BundleError(
                f"{folder} is not a bundle",
                expected=f"a folder that holds {MANIFEST}",
                repair="make one: offramp export RUN PLAN --out BUNDLE",
            )
        value = read_sealed(file, FORMAT)
        try:
            manifest = Manifest.parse(value, str(file))
        except (BadInput, OverflowError, RecursionError) as error:
            raise BundleError(str(error)) from None
        check_wiring(manifest)
        _check_files(folder, manifest)
        return cls(folder, manifest)

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def path(self, graph: Graph) -> Path:
        """Tell where a graph's file is."""
        return self.folder / graph.file


def save_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Seal a manifest and write it into a bundle's folder, whole or not at all.

    Returns:
        The manifest with its seal.

    Raises:
        BadInput: a number in it is infinite or none, which JSON cannot hold.
    """
    value = manifest.model_dump(mode="json")
    try:
        value["seal"] = seal_of(value)
    except ValueError as error:
        raise BadInput("the manifest cannot be written", got=str(error)) from None
    write_text(folder / MANIFEST, json.dumps(value, indent=2) + "\n")
    return manifest.model_copy(update={"seal": value["seal"]})


def hash_files(folder: Path) -> dict[str, str]:
    """Hash every file of a bundle's folder but the manifest, by name."""
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the folder with the manifest's hashes, naming the first file that differs."""
    used, listed = files_of(manifest), set(manifest.files)
    for name in used:
        if name not in listed:
            raise BundleError(f"{folder}: no hash is given of {name}")
    for name in sorted(listed.difference(used)):
        raise BundleError(f"{folder}: the file {name!r} is listed, but nothing uses it")
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(listed - present):
        raise BundleError(f"{folder}: the file {name} is missing", repair=_REPAIR)
    for name in sorted(present - listed):
        raise BundleError(f"{folder}: the file {name} does not belong to it", repair=_REPAIR)
    for name, expected in sorted(manifest.files.items()):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{folder}: {name} is not a plain file", repair=_REPAIR)
        if sha256(path) != expected:
            raise BundleError(f"{folder}: the file {name} was changed", repair=_REPAIR)


_REPAIR = "copy or export the bundle again"
