"""The trace that is recorded is what each exit says, image by image."""

import numpy as np
import pytest
import torch

from offramp.core.errors import DataFault, UnknownName
from offramp.core.score import RECORDED, class_scores
from offramp.data.dataset import Dataset
from offramp.data.images import resize_image
from offramp.evaluation import answers, record
from offramp.metrics.confusion import intersections_unions
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork
from offramp.scores import score
from tests.tiny import NAMES, write_dataset


def test_a_trace_has_every_exit_image_and_score(trace: Trace) -> None:
    heads = ("r1-b0-fcn", "r4-b1-fcn")
    early = [(point, head) for point in ("stem", "bottleneck1", "bottleneck2") for head in heads]
    assert trace.exits == (*early, ("end", "own"))
    assert trace.score_names == tuple(spec.name for spec in (*RECORDED, *class_scores(3)))
    assert trace.names == NAMES
    assert trace.size == (64, 96)
    assert [name.rsplit("/")[-1] for name in trace.images] == [f"{n:03d}.png" for n in range(8)]
    assert np.isfinite(trace.scores).all()


@torch.inference_mode()
def test_rows_are_what_the_exit_says_of_the_image(
    trace: Trace, network: MultiExitNetwork, dataset: Dataset
) -> None:
    sample = dataset.samples("calib")[3]  # one that is larger than the input
    image, truth = dataset.read(sample)
    state = network.begin(torch.tensor(resize_image(image, (64, 96)))[None])
    for index in range(3):
        state = network.advance(index, state)
    logits = network.head("bottleneck2", "r4-b1-fcn")(state.feature)
    row = trace.index("bottleneck2", "r4-b1-fcn")
    expected = [float(score(spec, logits)) for spec in (*RECORDED, *class_scores(3))]
    assert trace.scores[row, 3].tolist() == pytest.approx(expected, abs=1e-6)
    labels = network.decode(logits, (80, 120))[0].numpy()
    inter, union = intersections_unions(labels, truth, 3)
    assert trace.intersections[row, 3].tolist() == inter.tolist()
    assert trace.unions[row, 3].tolist() == union.tolist()


def test_pixels_are_counted_at_the_mask_s_own_size_without_the_ignored(
    trace: Trace, dataset: Dataset
) -> None:
    for n, (_, truth) in enumerate(dataset.pairs("calib")):
        valid = int((truth != 255).sum())
        wrong_twice = trace.unions[:, n].sum(axis=1) - valid
        assert (trace.intersections[:, n].sum(axis=1) + wrong_twice == valid).all()


def test_recording_twice_gives_the_same(
    trace: Trace, network: MultiExitNetwork, dataset: Dataset
) -> None:
    again = record(network, dataset, "calib")
    assert np.array_equal(again.scores, trace.scores)
    assert np.array_equal(again.unions, trace.unions)


def test_answers_are_those_that_the_trace_counted(
    trace: Trace, network: MultiExitNetwork, dataset: Dataset
) -> None:
    image, truth = next(iter(dataset.pairs("calib")))
    exits = [("stem", "r1-b0-fcn"), ("bottleneck2", "r4-b1-fcn"), ("end", "own")]
    given = answers(network, image, truth.shape, exits)
    assert len(given) == 3
    for labels, pair in zip(given, exits, strict=True):
        inter, _ = intersections_unions(labels, truth, 3)
        assert inter.tolist() == trace.intersections[trace.index(*pair), 0].tolist()


def test_an_unknown_split_is_refused(network: MultiExitNetwork, dataset: Dataset) -> None:
    with pytest.raises(UnknownName, match="did you mean 'calib'"):
        record(network, dataset, "calb")


def test_an_image_that_cannot_be_read_is_refused_by_name(
    network: MultiExitNetwork, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = Dataset.open(write_dataset(tmp_path_factory.mktemp("data"), {"calib": 2}))
    data.samples("calib")[1].image.write_bytes(b"")
    with pytest.raises(DataFault, match=r"calib/001\.png: the file is empty"):
        record(network, data, "calib")
