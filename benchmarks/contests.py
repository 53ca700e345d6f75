"""Bundles with random weights, and what each path through them is raced against.

A path asks no head but its own. Its rival computes the same in one piece: for engines that run
ONNX graphs a graph of just that path (the form "prefixes") and torch's export of the uncut network
down to the labels; for torch and ncnn a bundle that has just that exit.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from offramp.core.bundle import Bundle, Graph, hash_files, save_manifest
from offramp.core.errors import BadInput, OfframpError
from offramp.core.files import written_folder
from offramp.core.head import PLAIN
from offramp.core.model import ModelSpec, Size
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import AtLeast
from offramp.data.dataset import Dataset
from offramp.export import export
from offramp.export.forms import write_forms
from offramp.export.graphs import write_module
from offramp.export.quantise import quantise
from offramp.models.network import MultiExitNetwork, build_network
from offramp.models.zoo import entry
from offramp.runtime.engines import open_engine
from offramp.runtime.paths import Lap, Paths, noise
from offramp.runtime.walk import GraphWalk

EXITS = 3
CLASSES = 21
END, WHOLE = "end", "whole"
Race = dict[tuple[str, str], Callable[[], Lap]]
"""By "split" or "single", and where the path leads."""

logger = logging.getLogger(__name__)


def points(name: str) -> tuple[str, ...]:
    """Name the exits of a network: its first three usual ones, and its own end."""
    return (*entry(name).exits[:EXITS], END)


def write(name: str, size: Size, folder: Path) -> None:
    """Write all that the races of a network need, but what is there already."""
    for number, kept in enumerate((points(name), *((point,) for point in points(name)))):
        made = folder / ("multi" if number == 0 else f"only_{kept[0]}")
        if not made.is_dir():
            network = _network(name, size, kept)
            forms = ("prefixes",) if number == 0 else ()
            with written_folder(made) as partial_folder:
                out = partial_folder / "b"
                export(network, _plan(network, kept), [noise(size)], out, forms)
                _add_forms(network, out)
            if number == 0:
                with written_folder(folder / WHOLE) as whole:
                    _write_whole(network, whole)
    if not (folder / "int8").is_dir():
        _write_int8(Bundle.open(folder / "multi" / "b"), folder / "int8")


def random_bundle(name: str, size: Size, out: Path) -> Bundle:
    """Export a network with random weights and its usual exits."""
    network = _network(name, size, points(name))
    return export(network, _plan(network, points(name)), [noise(size)], out)


def race(folder: Path, engine: str, precision: str, threads: int) -> tuple[str, Race]:
    """Open a network's bundle and its rivals in an engine; returns the engine's label too.

    Raises:
        OfframpError: the engine cannot run them here.
    """
    bundle = Bundle.open(folder / "int8" if precision == "int8" else folder / "multi" / "b")
    paths = Paths(bundle, open_engine(engine, bundle, threads, precision))
    names = [*paths.points[:-1], END]
    found: Race = {("split", n): partial(paths.straight, i) for i, n in enumerate(names)}
    if isinstance(paths.engine, GraphWalk):
        one_piece = _OnePiece(bundle, bundle.manifest.prefixes, paths.engine, threads)
        found |= {("single", n): partial(one_piece.lap, i) for i, n in enumerate(names)}
        if precision != "int8":
            graph = Graph(file="whole.onnx", takes=("frame",), gives=("logits", "scores"))
            whole = _OnePiece(
                Bundle(folder / WHOLE, bundle.manifest), (graph,), paths.engine, threads, False
            )
            found["split", WHOLE] = paths.full
            found["single", WHOLE] = partial(whole.lap, 0)
    else:
        for name in names:
            only = Paths.open(folder / f"only_{name}" / "b", engine, threads, precision)
            found["single", name] = partial(only.straight, 0)
        found["split", WHOLE], found["single", WHOLE] = paths.full, found["single", END]
    return paths.engine.label, found


class _OnePiece:
    """Graphs from the frame to an answer, in the engine and the settings of a bundle's own.

    An engine takes them as the heads of a bundle without segments.
    """

    def __init__(
        self,
        bundle: Bundle,
        graphs: Sequence[Graph],
        like: GraphWalk,
        threads: int,
        decodes: bool = True,
    ) -> None:
        manifest = bundle.manifest.model_copy(update={"segments": (), "heads": tuple(graphs)})
        told = Bundle(bundle.folder, manifest)
        self.engine = open_engine(like.name, told, threads, like.precision)
        self.size = manifest.model.size
        self.frame = noise(self.size)
        self.decodes = decodes

    def lap(self, index: int) -> Lap:
        """Run one graph, and enlarge its answer where it does not do so itself."""
        start = time.perf_counter()
        reading = self.engine.read(index, self.engine.begin(self.frame))
        if self.decodes:
            self.engine.decode(reading.logits, self.size)
        return Lap(1000 * (time.perf_counter() - start))


class _Whole(torch.nn.Module):
    """The uncut network from the frame to labels; a score is given for the engines' sake."""

    def __init__(self, network: MultiExitNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = self.network.begin(frame)
        for index in range(len(self.network.points)):
            state = self.network.advance(index, state)
        logits = self.network.read(len(self.network.points) - 1, state, "own").logits
        return self.network.decode(logits, self.network.spec.size), torch.zeros(1)


@torch.no_grad()
def _network(name: str, size: Size, kept: Sequence[str]) -> MultiExitNetwork:
    """Build a network with random weights, and settle its batch statistics on noise."""
    torch.manual_seed(0)
    spec = ModelSpec(name=name, names=tuple(f"class {n}" for n in range(CLASSES)), size=size)
    network = build_network(spec, {point: [PLAIN] for point in kept if point != END})
    images = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8)
    state = network.train().begin(images)
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        for head in network.head_names(point):
            network.read(index, state, head)
    return network.eval()


def _plan(network: MultiExitNetwork, kept: Sequence[str]) -> Plan:
    """Plan exits that no image takes but the last."""
    heads = [(point, PLAIN.name) for point in kept if point != END]
    *early, last = [*heads, (END, "own")] if END in kept else heads
    rule = AtLeast(threshold=2.0)  # no score reaches it
    nothing = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)
    return Plan(
        setting="input-dependent" if early else "budgeted",
        scores=("mean-top1",),
        exits=(
            *(PlannedExit(point=p, head=h, rule=rule) for p, h in early),
            PlannedExit(point=last[0], head=last[1], share=1.0),
        ),
        expected=nothing,
        full=nothing,
        size=network.spec.size,
        images=0,
    )


def _add_forms(network: MultiExitNetwork, out: Path) -> None:
    """Add what torch and ncnn run to a bundle, where they can run it."""
    for form in ("torch", "ncnn"):
        try:
            manifest = write_forms([form], network, Bundle.open(out).manifest, out)
        except OfframpError as error:  # the race on that engine is left out, with its reason
            logger.warning("%s: no form %s: %s", out, form, error)
            continue
        save_manifest(out, manifest.model_copy(update={"files": hash_files(out)}))


@torch.inference_mode()
def _write_whole(network: MultiExitNetwork, folder: Path) -> None:
    plain = build_network(network.spec, {}).eval()
    frame = torch.zeros(1, *network.spec.size, 3, dtype=torch.uint8)
    file = folder / "whole.onnx"
    write_module(_Whole(plain), (frame,), file, ["frame"], ["logits", "scores"])
    decoder = folder.parent / "multi" / "b" / "decoder.onnx"
    (folder / "decoder.onnx").write_bytes(decoder.read_bytes())


def _write_int8(bundle: Bundle, out: Path) -> None:
    """Quantise a bundle, calibrated on noise: of time that says as much as images would."""
    with written_folder(out.with_name("noise")) as data:
        for kind, mode in (("images", "RGB"), ("masks", "L")):
            shape = (*bundle.manifest.model.size, 3)[: len(mode) if mode == "RGB" else 2]
            (data / kind / "train").mkdir(parents=True)
            for number in range(4):
                pixels = np.random.default_rng(number).integers(0, CLASSES, shape, dtype=np.uint8)
                Image.fromarray(pixels * (12 if mode == "RGB" else 1)).save(
                    data / kind / "train" / f"{number}.png"
                )
        names = dict(enumerate(bundle.manifest.model.names))
        told = {"path": ".", "train": "images/train", "names": names}
        (data / "dataset.yaml").write_text(yaml.safe_dump(told))
    with written_folder(out) as folder:
        data_set = Dataset.open(out.with_name("noise"))
        quantise(bundle, data_set, data_set.samples("train"), folder)
        manifest = bundle.manifest.model_copy(
            update={"precision": "int8", "weights": None, "ncnn": None, "form_parity": {}}
        )
        manifest = write_forms(["prefixes"], None, manifest, folder)  # type: ignore[arg-type]
        save_manifest(folder, manifest.model_copy(update={"files": hash_files(folder)}))


def require_networks(names: Sequence[str]) -> None:
    """Refuse networks that have too few usual exits.

    Raises:
        BadInput: one of them has.
    """
    for name in names:
        if len(points(name)) < EXITS + 1:
            raise BadInput(f"{name} has no {EXITS} usual exits")
