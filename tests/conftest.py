"""What tests share: a tiny data set, a run trained on it, and what follows from it, made once."""

import contextlib
import functools
import gc
import importlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.core.bundle import Bundle
from offramp.core.costs import Costs
from offramp.core.files import write_text
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.evaluation import record
from offramp.export import export
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork
from offramp.profiling.latency import measure
from offramp.runtime.ort import share_pool
from offramp.search.expectation import expect
from offramp.search.levels import levels
from offramp.training.recipe import Augment, Distillation, Exits, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.train import train
from tests.once import once
from tests.tiny import at_least, write_dataset

HEADS = ("r1-b0-fcn", "r4-b1-fcn")
POINTS = ("stem", "bottleneck1", "bottleneck2")

TINY_RECIPE = Recipe(
    size="96x64",
    knobs={"width": 0.25, "expansion": 2, "repetition": 1},
    exits=Exits(points=POINTS, heads=HEADS),
    augment=Augment(scale=(0.7, 1.0)),
    stage1=Pretraining(epochs=6, batch=2, lr=5e-3),
    stage2=Distillation(epochs=3, batch=2, lr=5e-3),
)


def pytest_collection_finish() -> None:
    """Look for garbage less often: among all that torch imports it takes a fifth of the time."""
    gc.set_threshold(200_000, 20, 100)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process waits for another's last test.

    Of that, the search comes first: what one process has compiled, others find on disk.
    """

    def late(item: pytest.Item) -> tuple[bool, bool]:
        return item.get_closest_marker("slow") is None, item.path.parent.name != "search"

    items.sort(key=late)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: the pool of a process keeps the size that it gets first."""
    share_pool(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_log() -> None:
    """Begin each test with a log that no command has taken for itself."""
    log = logging.getLogger("offramp")
    log.handlers[:] = []
    log.propagate = True
    log.setLevel(logging.NOTSET)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is remembered between runs, such as the fastest engine, out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_registry() -> Iterator[None]:
    """Let torch's exporter read its table of operators once, not for each graph: most of its time.

    It is torch's private matter, so where it is not found every graph just takes its second more.
    """
    with pytest.MonkeyPatch.context() as patch:
        with contextlib.suppress(ImportError, AttributeError):
            registration = importlib.import_module("torch.onnx._internal.exporter._registration")
            registry = registration.ONNXRegistry
            once = functools.cache(registry.from_torchlib)
            patch.setattr(registry, "from_torchlib", staticmethod(once))
        yield


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A sound data set of 12, 6, 8 and 6 images; do not write into it."""
    return Dataset.open(once(tmp_path_factory, "data", write_dataset) / "dataset.yaml")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A few seconds of FastSCNN of quarter width, with two heads at three points."""
    return TINY_RECIPE


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, recipe: Recipe) -> Run:
    """A run trained to its end; do not write into it."""

    def make(folder: Path) -> None:
        train(Run.create(folder / "run", "fastscnn", recipe, dataset))

    return Run.open(once(tmp_path_factory, "runs", make) / "run")


@pytest.fixture(scope="session")
def network(run: Run) -> MultiExitNetwork:
    """The trained network in eval mode; do not train it."""
    return run.load_network()


@pytest.fixture(scope="session")
def trace(
    tmp_path_factory: pytest.TempPathFactory, network: MultiExitNetwork, dataset: Dataset
) -> Trace:
    """What the trained network says of the calibration images."""

    def make(folder: Path) -> None:
        record(network, dataset, "calib").save(folder / "trace.npz")

    return Trace.load(once(tmp_path_factory, "trace", make) / "trace.npz")


@pytest.fixture(scope="session")
def costs(tmp_path_factory: pytest.TempPathFactory, network: MultiExitNetwork) -> Costs:
    """The cost table of the trained network; its pieces are timed twice."""

    def make(folder: Path) -> None:
        measured = measure(network, rounds=2, warm_up=1)
        write_text(folder / "costs.json", measured.model_dump_json())

    file = once(tmp_path_factory, "costs", make) / "costs.json"
    return Costs.model_validate_json(file.read_text())


@pytest.fixture(scope="session")
def plan(trace: Trace, costs: Costs) -> Plan:
    """Stop after the stem, at bottleneck2 or at the end: some images at each of the first two."""
    exits = [("stem", "r1-b0-fcn"), ("bottleneck2", "r4-b1-fcn"), ("end", "own")]
    return planned(trace, costs, exits)


@pytest.fixture(scope="session")
def short_plan(trace: Trace, costs: Costs) -> Plan:
    """Budgeted: always stop after the stem, short of the network's own end."""
    return planned(trace, costs, [("stem", "r4-b1-fcn")])


@pytest.fixture(scope="session")
def frames(dataset: Dataset) -> list[Array]:
    """The calibration images, in two sizes."""
    return [image for image, _ in dataset.pairs("calib")]


@pytest.fixture(scope="session")
def bundle(
    tmp_path_factory: pytest.TempPathFactory,
    network: MultiExitNetwork,
    plan: Plan,
    frames: list[Array],
) -> Bundle:
    """The plan as a bundle; copy it before you change it."""

    def make(folder: Path) -> None:
        export(network, plan, frames, folder / "tiny.offramp")

    return Bundle.open(once(tmp_path_factory, "bundle", make) / "tiny.offramp")


@pytest.fixture(scope="session")
def short_bundle(
    tmp_path_factory: pytest.TempPathFactory,
    network: MultiExitNetwork,
    short_plan: Plan,
    frames: list[Array],
) -> Bundle:
    """The short plan as a bundle, which holds one more segment and head to the end."""

    def make(folder: Path) -> None:
        export(network, short_plan, frames[:2], folder / "short")

    return Bundle.open(once(tmp_path_factory, "short_bundle", make) / "short")


def planned(trace: Trace, costs: Costs, exits: list[tuple[str, str]]) -> Plan:
    """Plan `exits` so that each but the last stops the surer third of the images, or so."""
    thresholds: list[float | None] = []
    for pair in exits[:-1]:
        choice = levels(trace.score(trace.index(*pair), "mean-top1"))
        thresholds.append(float(choice[2 * len(choice) // 3]))
    nothing = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)
    raw = Plan(
        setting="input-dependent" if thresholds else "budgeted",
        scores=("mean-top1",),
        exits=tuple(
            PlannedExit(point=point, head=head, rule=at_least(threshold))
            for (point, head), threshold in zip(exits, [*thresholds, None], strict=True)
        ),
        expected=nothing,
        full=nothing,
        size=trace.size,
        images=len(trace.images),
    )
    return expect(raw, trace, costs)


@pytest.fixture
def rng() -> np.random.Generator:
    """Numbers that are the same in every run."""
    return np.random.default_rng(20)


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle's folder, to be tampered with."""
    folder = tmp_path / "copy.offramp"
    folder.mkdir()
    for file in bundle.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
