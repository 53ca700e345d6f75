"""What every engine must do; an implementation subclasses `EngineContract` and gives `engine`."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.core.score import ScoreSpec
from offramp.data.images import Array, resize_image
from offramp.models.network import MultiExitNetwork
from offramp.runtime.engine import Engine, OutOfTime, Reading
from offramp.runtime.engines import ENGINES
from offramp.runtime.recording import exits_to_end
from offramp.runtime.walk import GraphWalk

CLOSE = 1e-4
PAST = -1.0
"""A moment on the clock of `time.perf_counter` that is over."""


class EngineContract:
    """The walk of an engine agrees with that of the network that its bundle came from."""

    cancels = False
    """Whether the engine can cancel a running step."""

    @pytest.fixture
    def engine(self, bundle: Bundle) -> Engine:
        """Make the engine on the shared bundle."""
        raise NotImplementedError

    @pytest.fixture
    def frame(self, frames: list[Array], network: MultiExitNetwork) -> Array:
        """A frame of the input size."""
        return resize_image(frames[0], network.spec.size)

    def watch(self, engine: Engine) -> list[str] | None:
        """Have the engine tell from now on what it runs, as "segment 0"; none: it cannot."""
        return None

    @torch.inference_mode()
    def test_every_exit_answers_as_the_network_does(
        self, engine: Engine, bundle: Bundle, network: MultiExitNetwork, frame: Array
    ) -> None:
        scores = [ScoreSpec.parse(name) for name in bundle.manifest.plan.scores]
        heads = dict(exits_to_end(bundle.manifest.plan))
        theirs, ours, exit_ = engine.begin(frame), network.begin(torch.tensor(frame)[None]), 0
        for index, point in enumerate(network.points):
            ours = network.advance(index, ours)
            if point not in heads:
                continue
            theirs = engine.advance(exit_, theirs)
            reading = engine.read(exit_, theirs)
            expected = network.read(index, ours, heads[point], scores)
            np.testing.assert_allclose(reading.logits, expected.logits, rtol=0, atol=CLOSE)
            read = [float(expected.scores[score.name]) for score in scores]
            np.testing.assert_allclose(reading.scores, read, rtol=0, atol=CLOSE)
            exit_ += 1
        assert exit_ == len(bundle.manifest.segments)

    @pytest.mark.parametrize("size", [(64, 96), (65, 97), (32, 20), (128, 192)])
    def test_decoding_agrees_with_the_network(
        self,
        engine: Engine,
        network: MultiExitNetwork,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        logits = rng.normal(0, 3, (1, network.spec.classes, 8, 12)).astype(np.float32)
        labels = engine.decode(logits, size)
        expected = network.decode(torch.from_numpy(logits), size)[0].numpy()
        assert labels.dtype == np.uint8
        assert labels.shape == size
        assert (labels == expected).mean() > 0.999

    def test_a_score_is_a_plain_number(self, engine: Engine, frame: Array) -> None:
        reading = engine.read(0, engine.advance(0, engine.begin(frame)))
        assert {type(score) for score in reading.scores} == {float}

    def test_reading_twice_or_not_at_all_changes_nothing(
        self, engine: Engine, frame: Array
    ) -> None:
        state = engine.advance(0, engine.begin(frame))
        once, again = engine.read(0, state), engine.read(0, state)
        assert once.scores == again.scores
        later = engine.read(1, engine.advance(1, state))
        unread = engine.read(1, engine.advance(1, engine.advance(0, engine.begin(frame))))
        assert np.array_equal(later.logits, unread.logits)

    def test_two_frames_under_way_do_not_meet(
        self, engine: Engine, frame: Array, rng: np.random.Generator
    ) -> None:
        other = rng.integers(0, 256, frame.shape, dtype=np.uint8)
        alone = engine.read(0, engine.advance(0, engine.begin(frame)))
        first, second = engine.begin(frame), engine.begin(other)
        engine.advance(0, second)
        held = engine.advance(0, first)
        engine.read(0, engine.advance(0, second))
        assert engine.read(0, held).scores == alone.scores

    @pytest.mark.parametrize("shape", [(63, 96, 3), (96, 64, 3), (64, 96), (64, 96, 4)])
    def test_a_frame_of_another_size_is_refused(
        self, engine: Engine, shape: tuple[int, ...]
    ) -> None:
        with pytest.raises(BadInput, match="a frame of another size"):
            engine.begin(np.zeros(shape, dtype=np.uint8))

    def test_a_frame_that_is_a_view_is_taken(self, engine: Engine, frame: Array) -> None:
        turned = np.ascontiguousarray(frame[:, ::-1])
        scores = [
            engine.read(0, engine.advance(0, engine.begin(f))).scores
            for f in (turned, frame[:, ::-1])
        ]
        assert scores[0] == scores[1]

    def test_a_frame_that_cannot_be_written_to_is_taken(self, engine: Engine, frame: Array) -> None:
        locked = frame.copy()
        locked.flags.writeable = False
        assert walk(engine, locked)[-1].scores == walk(engine, frame)[-1].scores

    def test_an_answer_outlives_those_after_it(self, engine: Engine, frame: Array) -> None:
        first = walk(engine, frame)
        kept = [np.array(reading.logits) for reading in first]
        walk(engine, 255 - frame)
        for reading, logits in zip(first, kept, strict=True):
            assert np.array_equal(reading.logits, logits)

    def test_several_threads_get_the_answers_of_one(
        self, engine: Engine, frame: Array, rng: np.random.Generator
    ) -> None:
        others = [rng.integers(0, 256, frame.shape, dtype=np.uint8) for _ in range(3)]
        given = [frame, *others] * 3
        alone = [walk(engine, one) for one in given]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda one: walk(engine, one), given))
        for ours, theirs in zip(together, alone, strict=True):
            for reading, expected in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(reading.logits, expected.logits, rtol=0, atol=CLOSE)
                np.testing.assert_allclose(reading.scores, expected.scores, rtol=0, atol=CLOSE)

    def test_nothing_runs_but_what_was_asked_for(self, engine: Engine, frame: Array) -> None:
        ran = self.watch(engine)
        if ran is None:
            pytest.skip("what this engine runs cannot be watched")
        state = engine.begin(frame)
        assert ran == []
        state = engine.advance(0, state)
        assert ran == ["segment 0"]
        engine.decode(engine.read(0, state).logits, frame.shape[:2])
        assert ran == ["segment 0", "head 0", "decoder"]
        engine.advance(1, state)
        assert ran == ["segment 0", "head 0", "decoder", "segment 1"]

    def test_a_step_whose_time_is_up_leaves_the_state_good(
        self, engine: Engine, frame: Array
    ) -> None:
        ran, expected = self.watch(engine), walk(engine, frame)
        if ran is not None:
            ran.clear()
        state = engine.advance(0, engine.begin(frame), time.perf_counter() + 60)
        for step in (engine.advance, engine.read):
            index = 1 if step == engine.advance else 0
            if self.cancels:
                with pytest.raises(OutOfTime):
                    step(index, state, PAST)
            else:
                step(index, state, PAST)
        if self.cancels and ran is not None:
            assert ran == ["segment 0"]
        assert engine.read(0, state).scores == expected[0].scores
        later = engine.read(1, engine.advance(1, state))
        assert np.array_equal(later.logits, expected[1].logits)

    def test_steps_that_end_just_in_time_or_just_not_do_no_harm(
        self, engine: Engine, frame: Array
    ) -> None:
        expected = walk(engine, frame)[1]
        state = engine.advance(0, engine.begin(frame))
        for microseconds in range(0, 2000, 50):
            until = time.perf_counter() + microseconds / 1e6
            try:
                soon = engine.read(1, engine.advance(1, state, until), until)
            except OutOfTime:
                assert self.cancels
            else:
                assert np.array_equal(soon.logits, expected.logits)
            after = engine.read(1, engine.advance(1, state, time.perf_counter() + 60))
            assert np.array_equal(after.logits, expected.logits)

    def test_an_engine_says_what_it_is(self, engine: Engine) -> None:
        assert engine.label
        assert ENGINES[engine.name].find() is type(engine)
        assert engine.precision in ("f32", "bf16", "int8")


def walk(engine: Engine, frame: Array) -> list[Reading]:
    """Go to the plan's third exit, which is the last in the shared bundle, and read all."""
    state, readings = engine.begin(frame), []
    for index in range(3):
        state = engine.advance(index, state)
        readings.append(engine.read(index, state.beside(None, None)))
    return readings


def watched(engine: GraphWalk) -> list[str]:
    """Have an engine of loaded graphs tell what it runs."""
    ran: list[str] = []

    class Told:
        def __init__(self, graph: Any, name: str) -> None:
            self.graph, self.name, self.shape = graph, name, graph.shape

        def run(self, values: Any, until: float | None = None) -> dict[str, Any]:
            given: dict[str, Any] = self.graph.run(values, until)
            ran.append(self.name)
            return given

    for name, graphs in (("segment", engine._segments), ("head", engine._heads)):
        graphs[:] = [Told(graph, f"{name} {index}") for index, graph in enumerate(graphs)]
    engine._decoder = Told(engine._decoder, "decoder")
    return ran
