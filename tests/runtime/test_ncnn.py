"""ncnn keeps the engine's contract on one model of all exits, and computes only what is asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ncnn", reason="needs the extra 'ncnn'")
pytest.importorskip("pnnx", reason="needs the extra 'ncnn'")

import ncnn

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, BundleError
from offramp.data.images import Array, resize_image
from offramp.export.forms import compare_form
from offramp.models.network import MultiExitNetwork
from offramp.runtime.engine import Engine
from offramp.runtime.ncnn import NcnnEngine
from offramp.runtime.session import Session
from tests.contracts.engine import EngineContract
from tests.formed import with_form


@pytest.fixture(scope="module")
def bundle(
    bundle: Bundle, network: MultiExitNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The shared bundle with the form ncnn."""
    return with_form("ncnn", bundle, network, tmp_path_factory.mktemp("ncnn") / "ncnn.offramp")


class TestNcnn(EngineContract):
    @pytest.fixture
    def engine(self, bundle: Bundle) -> Engine:
        return NcnnEngine(bundle, 1)


def test_it_takes_the_exits_that_the_network_does(
    bundle: Bundle, network: MultiExitNetwork, frames: list[Array]
) -> None:
    parity = compare_form("ncnn", network, bundle, frames)
    assert parity.same_exits == 1.0
    assert parity.label_agreement > 0.999
    assert parity.max_score_difference < 1e-4


def test_a_session_answers_as_in_onnx_runtime(bundle: Bundle, frames: list[Array]) -> None:
    ours, theirs = Session(bundle, "ncnn", threads=1), Session(bundle)
    for frame in frames[:4]:
        one, other = ours.segment(frame), theirs.segment(frame)
        assert one.exit == other.exit
        assert (one.labels == other.labels).mean() > 0.999


class Layer:
    """A line of a model's text: kind, name, how many blobs it takes and gives, and which."""

    def __init__(self, line: str) -> None:
        self.kind, self.name, takes, gives, *rest = line.split()
        self.takes, self.gives = rest[: int(takes)], rest[int(takes) :][: int(gives)]
        self.options = rest[int(takes) + int(gives) :]

    def __str__(self) -> str:
        blobs = [str(len(self.takes)), str(len(self.gives)), *self.takes, *self.gives]
        return " ".join([self.kind, self.name, *blobs, *self.options])


def layers_of(param: Path) -> list[Layer]:
    return [Layer(line) for line in param.read_text(encoding="utf-8").splitlines()[2:]]


def needed(layers: list[Layer], blob: str) -> set[str]:
    """Name the layers that a blob depends on, by going back from it."""
    names: set[str] = set()
    waiting = [blob]
    while waiting:
        wanted = waiting.pop()
        maker = next(layer for layer in layers if wanted in layer.gives)
        if maker.name not in names:
            names.add(maker.name)
            waiting.extend(maker.takes)
    return names


class Watched(ncnn.Net):  # type: ignore[misc]
    """A model in which a layer of ours stands behind each other one, and notes that it ran."""

    def __init__(self, param: Path, bin_: Path, scratch: Path) -> None:
        super().__init__()
        self.opt.num_threads = 1
        self.ran: list[str] = []
        self.kept: list[Any] = []
        lines = []
        for layer in layers_of(param):
            lines.append(layer)
            if layer.kind in ("Input", "MemoryData", "Split"):
                continue
            (blob,) = layer.gives
            layer.gives = [f"{blob}_of_{layer.name}"]
            lines.append(Layer(f"Noting {layer.name}_ran 1 1 {layer.gives[0]} {blob}"))
        blobs = {blob for layer in lines for blob in layer.gives}
        text = ["7767517", f"{len(lines)} {len(blobs)}", *map(str, lines)]
        (scratch / "watched.param").write_text("\n".join(text) + "\n")
        assert self.register_custom_layer("Noting", self._make, self.kept.remove) == 0
        assert self.load_param(str(scratch / "watched.param")) == 0
        assert self.load_model(str(bin_)) == 0

    def _make(self) -> Any:
        ran = self.ran

        class Noting(ncnn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.one_blob_only = self.support_inplace = True

            def forward_inplace(self, blob: Any, option: Any) -> int:
                ran.append(self.name.removesuffix("_ran"))
                return 0

        self.kept.append(Noting())
        return self.kept[-1]


def test_each_step_computes_what_its_blob_depends_on_once_and_nothing_else(
    bundle: Bundle, frames: list[Array], tmp_path: Path
) -> None:
    engine, form = NcnnEngine(bundle, 1), bundle.manifest.ncnn
    assert form is not None
    param = bundle.folder / form.param
    layers = layers_of(param)
    silent = {x.name for x in layers if x.kind in ("Input", "MemoryData", "Split")}
    watched = Watched(param, bundle.folder / form.bin, tmp_path)
    engine._net, ran = watched, watched.ran
    state = engine.begin(resize_image(frames[0], bundle.manifest.model.size))
    assert ran == []
    done: set[str] = set()
    for index in range(3):
        for read, blobs in ((False, form.features[index : index + 1]), (True, form.exits[index])):
            ran.clear()
            if read:
                engine.read(index, state)
            else:
                state = engine.advance(index, state)
            wanted = set().union(*(needed(layers, blob) for blob in blobs)) - silent - done
            assert sorted(ran) == sorted(wanted)
            done |= wanted
            assert wanted or (index, read) == (2, True) or not read
    assert done == {layer.name for layer in layers} - silent
    assert len(done) > 40


def test_heads_that_are_not_read_do_not_run(
    bundle: Bundle, frames: list[Array], tmp_path: Path
) -> None:
    engine, form = NcnnEngine(bundle, 1), bundle.manifest.ncnn
    assert form is not None
    layers = layers_of(bundle.folder / form.param)
    watched = Watched(bundle.folder / form.param, bundle.folder / form.bin, tmp_path)
    engine._net = watched
    state = engine.begin(resize_image(frames[0], bundle.manifest.model.size))
    for index in range(3):
        state = engine.advance(index, state)
    engine.read(2, state)
    assert set(watched.ran) <= needed(layers, form.exits[2][0]) | needed(layers, form.exits[2][1])
    assert not set(watched.ran) & (needed(layers, form.exits[0][0]) - needed(layers, "out6"))


@pytest.mark.parametrize("shape", [(5, 1, 1), (4, 1, 6), (4, 6, 1), (2, 5, 7)])
def test_answers_of_few_cells_are_enlarged_without_looking_beside_them(
    bundle: Bundle, shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    cells = rng.normal(size=shape).astype(np.float32)
    height, width = 17, 23
    expected = np.empty((shape[0], height, width))
    for channel, plane in enumerate(cells.astype(np.float64)):
        rows = np.clip((np.arange(height) + 0.5) * shape[1] / height - 0.5, 0, shape[1] - 1)
        columns = np.clip((np.arange(width) + 0.5) * shape[2] / width - 0.5, 0, shape[2] - 1)
        down = [np.interp(rows, np.arange(shape[1]), column) for column in plane.T]
        across = [np.interp(columns, np.arange(shape[2]), row) for row in np.transpose(down)]
        expected[channel] = across
    labels = NcnnEngine(bundle, 1).decode(cells[None], (height, width))
    assert (labels == expected.argmax(0)).mean() > 0.99


def test_numbers_of_16_bits_are_off(bundle: Bundle) -> None:
    engine = NcnnEngine(bundle, 1)
    on = {name for name in dir(engine._net.opt) if "16" in name and getattr(engine._net.opt, name)}
    assert on == set()
    with pytest.raises(BadInput, match=r"engine ncnn cannot compute this bundle .* got bf16"):
        NcnnEngine(bundle, 1, "bf16")


def test_a_bundle_without_the_form_is_told_how_to_get_it(bundle: Bundle) -> None:
    bare = Bundle(bundle.folder, bundle.manifest.model_copy(update={"ncnn": None}))
    with pytest.raises(BundleError, match=r"holds no model for ncnn; .*--form ncnn"):
        NcnnEngine(bare, 1)


def test_a_model_that_ncnn_cannot_load_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    form = bundle.manifest.ncnn
    assert form is not None
    param = (bundle.folder / form.param).read_text()
    (tmp_path / form.param).write_text(param.replace("Convolution ", "Konvolution "))
    (tmp_path / form.bin).write_bytes((bundle.folder / form.bin).read_bytes())
    with pytest.raises(BundleError, match=r"network\.ncnn\.param cannot be loaded by ncnn"):
        NcnnEngine(Bundle(tmp_path, bundle.manifest), 1)


def test_a_model_without_the_blobs_of_the_manifest_is_refused(
    bundle: Bundle, frames: list[Array]
) -> None:
    form = bundle.manifest.ncnn
    assert form is not None
    frame = resize_image(frames[0], bundle.manifest.model.size)
    for field, value in (("frame", "nothing"), ("features", ("nothing",) * 3)):
        manifest = bundle.manifest.model_copy(
            update={"ncnn": form.model_copy(update={field: value})}
        )
        engine = NcnnEngine(Bundle(bundle.folder, manifest), 1)
        with pytest.raises(BundleError, match="nothing"):
            engine.advance(0, engine.begin(frame))
