"""Torch keeps the engine's contract on the weights of a bundle, and computes in bf16 where it can.

What needs a card is skipped without one; what a capture does with the host's constants is tested
on torch's device "meta", which computes no values.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, BundleError
from offramp.core.score import ScoreSpec
from offramp.data.images import Array, resize_image
from offramp.export.forms import compare_form
from offramp.export.weights_form import write_weights
from offramp.models.captured import Brought
from offramp.models.network import MultiExitNetwork
from offramp.runtime.engine import Engine, Reading, State
from offramp.runtime.session import Session
from offramp.runtime.torch import CudaEngine, TorchEngine
from offramp.scores import score as score_of
from tests.contracts.engine import EngineContract, walk
from tests.formed import replanned, with_form

CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def bundle(
    bundle: Bundle, network: MultiExitNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The shared bundle with the form torch."""
    return with_form("torch", bundle, network, tmp_path_factory.mktemp("torch") / "torch.offramp")


class TorchContract(EngineContract):
    def watch(self, engine: Engine) -> list[str] | None:
        assert isinstance(engine, TorchEngine)
        ran: list[str] = []
        network = engine._network
        for index, (point, head) in enumerate(engine._exits):
            for part, name in (
                (network.segments[index], "segment"),
                (network.head(point, head), "head"),
            ):
                told = f"{name} {index}"
                part.register_forward_hook(lambda *_, told=told: ran.append(told))
        decode = network.decode
        network.decode = lambda *given: (ran.append("decoder"), decode(*given))[1]  # type: ignore[method-assign]
        return ran

    def test_an_answer_outlives_those_after_it(self, engine: Engine, frame: Array) -> None:
        first = walk(engine, frame)
        kept = [reading.logits.clone() for reading in first]  # NumPy warns of copying a tensor
        walk(engine, 255 - frame)
        for reading, logits in zip(first, kept, strict=True):
            assert torch.equal(reading.logits, logits)


class TestTorch(TorchContract):
    @pytest.fixture
    def engine(self, bundle: Bundle) -> Engine:
        return TorchEngine(bundle, 1)


@CARD
class TestCuda(TorchContract):
    @pytest.fixture
    def engine(self, bundle: Bundle) -> Engine:
        """Make an engine whose logits come to the host, where the contract looks at them."""
        engine = CudaEngine(bundle, 1)
        read = engine.read

        def fetched(index: int, state: State, until: float | None = None) -> Reading:
            reading = read(index, state, until)
            return replace(reading, logits=reading.logits.cpu())

        engine.read = fetched  # type: ignore[method-assign]
        return engine

    def watch(self, engine: Engine) -> None:
        """A graph that was captured calls nothing that could be watched."""


@CARD
def test_graphs_answer_as_the_steps_that_they_were_captured_from(
    bundle: Bundle, frames: list[Array]
) -> None:
    for precision, close in (("f32", 1e-4), ("bf16", 0.2)):
        if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            continue
        cuda = CudaEngine(bundle, 1, precision)
        for frame in frames[:3]:
            frame = resize_image(frame, bundle.manifest.model.size)
            pairs = zip(walk(cuda, frame), walk(TorchEngine(bundle, 1), frame), strict=True)
            for ours, theirs in pairs:
                np.testing.assert_allclose(ours.logits.cpu(), theirs.logits, rtol=0, atol=close)


def test_without_a_card_the_engine_says_so(bundle: Bundle) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(BadInput, match=r"finds no CUDA device; .* use the engine torch"):
        CudaEngine(bundle)


def test_it_takes_the_exits_that_the_network_does(
    bundle: Bundle, network: MultiExitNetwork, frames: list[Array]
) -> None:
    parity = compare_form("torch", network, bundle, frames)
    assert parity.same_exits == 1.0
    assert parity.label_agreement == 1.0
    assert parity.max_score_difference < 1e-6


def test_a_session_answers_with_labels_on_the_host(bundle: Bundle, frames: list[Array]) -> None:
    torch_session, session = Session(bundle, "torch", threads=1), Session(bundle)
    for frame in frames[2:5]:
        ours, theirs = torch_session.segment(frame), session.segment(frame)
        assert type(ours.labels) is np.ndarray
        assert ours.exit == theirs.exit
        assert (ours.labels == theirs.labels).mean() > 0.999


def test_threads_that_are_not_asked_for_are_left_alone(bundle: Bundle) -> None:
    before = torch.get_num_threads()
    assert TorchEngine(bundle).label.endswith(f"{before} threads")
    assert torch.get_num_threads() == before
    with pytest.raises(BadInput, match="number of threads"):
        TorchEngine(bundle, 0)


def test_a_bundle_without_weights_is_told_how_to_get_them(bundle: Bundle) -> None:
    bare = Bundle(bundle.folder, bundle.manifest.model_copy(update={"weights": None}))
    with pytest.raises(BundleError, match=r"holds no weights for torch; .*--form torch"):
        TorchEngine(bare, 1)


def test_scores_that_compare_see_the_labels_that_came_before(
    bundle: Bundle, network: MultiExitNetwork, frames: list[Array], tmp_path: Path
) -> None:
    names = ("exit-agreement", "frame-agreement")
    exits = (("stem", "r1-b0-fcn"), ("bottleneck2", "r4-b1-fcn"), ("end", "own"))
    plan = replanned(bundle.manifest.plan, names, *exits)
    manifest = bundle.manifest.model_copy(update={"plan": plan})
    manifest = manifest.model_copy(update=write_weights(network, manifest, tmp_path))
    engine = TorchEngine(Bundle(tmp_path, manifest), 1)
    frame = resize_image(frames[0], network.spec.size)
    walked, exit_before = network.begin(torch.tensor(frame)[None]), np.full((1, 1, 1), 255)
    state, told = engine.begin(frame), None
    frame_before = np.random.default_rng(1).integers(0, 3, (1, 7, 5), dtype=np.uint8)
    for place, point in enumerate(network.points):
        walked = network.advance(place, walked)
        if point not in dict(exits):
            continue
        index = list(dict(exits)).index(point)
        state = engine.advance(index, state)
        reading = engine.read(index, state.beside(told, frame_before))
        logits = network.head(point, dict(exits)[point])(walked.feature).detach()
        cells = logits[0].numpy().argmax(0)
        np.testing.assert_array_equal(reading.cells, cells[None])
        for before, got in zip((exit_before, frame_before), reading.scores, strict=True):
            assert got == pytest.approx(agreeing(cells, before[0]), abs=1e-6)
        exit_before = told = reading.cells


def agreeing(cells: Array, others: Array) -> float:
    """Count the cells that have the label of the cell in their place on another grid."""
    height, width = cells.shape
    pairs = [
        cells[row, column] == others[row * len(others) // height, column * len(others[0]) // width]
        for row in range(height)
        for column in range(width)
    ]
    return float(np.mean(pairs))


@pytest.fixture
def lowered(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> TorchEngine:
    """An engine in bf16, which torch can imitate on any processor."""
    monkeypatch.setattr(TorchEngine, "_has_bf16", lambda self: True)
    return TorchEngine(bundle, 1, "bf16")


def test_bf16_answers_nearly_alike_and_scores_are_of_its_own_logits(
    lowered: TorchEngine, bundle: Bundle, frames: list[Array]
) -> None:
    assert lowered.precision == "bf16"
    frame = resize_image(frames[0], bundle.manifest.model.size)
    pairs = zip(walk(lowered, frame), walk(TorchEngine(bundle, 1, "f32"), frame), strict=True)
    for ours, exact in pairs:
        assert ours.logits.dtype == torch.float32
        gap = (ours.logits - exact.logits).abs().max() / exact.logits.abs().max()
        assert 1e-6 < gap < 0.1
        powers = np.exp(ours.logits[0].double().numpy())
        mean = (powers.max(0) / powers.sum(0)).mean()
        assert ours.scores[0] == pytest.approx(mean, abs=1e-6)  # bf16 itself holds 8 bits


def test_bf16_is_refused_where_the_processor_would_imitate_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorchEngine, "_has_bf16", lambda self: False)
    with pytest.raises(BadInput, match="expected f32; got bf16; what computes here has no bf16"):
        TorchEngine(bundle, 1, "bf16")
    with pytest.raises(BadInput, match="got int8"):
        TorchEngine(bundle, 1, "int8")


def test_a_processor_with_bf16_is_known_by_what_it_can(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TorchEngine(bundle, 1, "f32")
    for able in ({}, {"avx512_f": True}, {"avx512_bf16": False}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        assert not engine._has_bf16()
    for able in ({"avx512_bf16": True}, {"bf16": True}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        assert engine._has_bf16()


def test_what_comes_from_the_host_is_brought_once() -> None:
    moves: list[str] = []

    def step(x: torch.Tensor) -> torch.Tensor:
        rows = torch.eye(3)
        rows[0, 1] = 2.0
        moves.append("made")
        there = rows.to(x)
        there.add_(1)  # what is kept must not change with it
        return torch.matmul(there, x).relu() + torch.full((3, 1), 2.0, device="meta")

    x, brought = torch.zeros(3, 4, device="meta"), Brought("meta")
    with brought.again():
        first = step(x)
    kept = dict(brought.kept)
    assert [tuple(value.shape) for value in kept.values()] == [(3, 3), (3, 1)]
    with brought.again():
        again = step(x)
    assert first.shape == again.shape == (3, 4)
    assert brought.kept == kept  # nothing was brought anew
    assert len(moves) == 2


def test_a_score_of_many_constants_brings_nothing_the_second_time() -> None:
    brought, spec = Brought("meta"), ScoreSpec.parse("fft")
    logits = torch.zeros(1, 3, 8, 12, device="meta")
    with brought.again():
        score_of(spec, logits)
    kept = set(brought.kept)
    assert len(kept) >= 3  # sines of both sides, weights
    with brought.again():
        score_of(spec, logits)
    assert set(brought.kept) == kept
