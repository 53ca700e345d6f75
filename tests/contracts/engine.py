"""What every engine must do; an implementation subclasses `EngineContract` and gives `engine`."""

import numpy as np
import pytest
import torch

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.core.score import ScoreSpec
from offramp.data.images import Array, resize_image
from offramp.export.parity import exits_to_end
from offramp.models.network import MultiExitNetwork
from offramp.runtime.engine import Engine

CLOSE = 1e-4


class EngineContract:
    """The walk of an engine agrees with that of the network that its bundle came from."""

    @pytest.fixture
    def engine(self, bundle: Bundle) -> Engine:
        """Make the engine on the shared bundle."""
        raise NotImplementedError

    @pytest.fixture
    def frame(self, frames: list[Array], network: MultiExitNetwork) -> Array:
        """A frame of the input size."""
        return resize_image(frames[0], network.spec.size)

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
        assert engine.read(0, engine.advance(0, first)).scores == alone.scores

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

    def test_an_engine_says_what_it_is(self, engine: Engine) -> None:
        assert engine.label
