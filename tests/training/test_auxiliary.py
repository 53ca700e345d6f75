"""Learned scores: trained on a frozen network, the same each time, and better than a constant."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from offramp.core.errors import BadInput, DataFault
from offramp.core.score import LEARNED
from offramp.data.dataset import Dataset
from offramp.evaluation import record
from offramp.metrics.ranks import rank_correlation
from offramp.metrics.trace import Trace
from offramp.models.auxiliary import Auxiliary
from offramp.policies.learned import Targets, judged
from offramp.training import auxiliary as learning
from offramp.training.auxiliary import learn
from offramp.training.run import Run
from tests.tiny import write_dataset
from tests.training.test_train import Interrupt

ALL_HEADS = 7


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Learn in fewer steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "STEPS", 150)
        yield


def copied(run: Run, folder: Path) -> Run:
    shutil.copytree(run.folder, folder)
    return Run.open(folder)


@pytest.fixture(scope="module")
def learned(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the run, with auxiliary networks."""
    taken = copied(run, tmp_path_factory.mktemp("learned") / "run")
    learn(taken)
    return taken


@pytest.fixture(scope="module")
def known(learned: Run) -> Trace:
    """What the network says of the images that its auxiliary networks learned from."""
    return record(learned.load_network(), learned.dataset, "train")


def mious(trace: Trace) -> np.ndarray:
    """Compute E×N."""
    rows = range(len(trace.exits))
    return np.stack([trace.miou_per_image(np.full(len(trace.images), row)) for row in rows])


def test_a_run_has_an_auxiliary_network_for_every_head(learned: Run, run: Run) -> None:
    assert run.load_network().learned == ()
    network = learned.load_network()
    assert network.learned == LEARNED
    assert network.auxiliaries is not None
    assert not network.training
    parts = [part for part in network.modules() if isinstance(part, Auxiliary)]
    assert len(parts) == ALL_HEADS
    spreads = {float(part.spread.sum()) for part in parts}
    assert len(spreads) == ALL_HEADS


def test_the_network_is_left_as_it_was(learned: Run, run: Run, trace: Trace) -> None:
    names = ("weights.safetensors", "run.json")
    for name in names:
        assert (learned.folder / name).read_bytes() == (run.folder / name).read_bytes()
    again = record(learned.load_network(), learned.dataset, "calib")
    assert np.array_equal(again.intersections, trace.intersections)
    assert again.score_names == (*trace.score_names, *(spec.name for spec in LEARNED))
    assert np.array_equal(again.scores[:, :, : -len(LEARNED)], trace.scores)


def test_regressor_and_classifier_beat_a_constant(known: Trace) -> None:
    truth = mious(known)
    guess = np.stack([known.score(row, "regressor") for row in range(ALL_HEADS)])
    assert ((guess - truth) ** 2).mean() < 0.5 * truth.var(axis=1).mean()
    correlations = [rank_correlation(*pair) for pair in zip(guess, truth, strict=True)]
    assert np.mean(correlations) > 0.4
    separations = [one.separation for one in judged(known, ["classifier"])]
    assert np.nanmean(separations) > 0.9


def test_the_end_is_good_enough_and_the_last_choice(known: Trace) -> None:
    assert (known.score(ALL_HEADS - 1, "classifier") > 0.9).all()
    assert known.score(ALL_HEADS - 1, "exit-choice") == pytest.approx(1)


def test_targets_are_those_of_a_trace(learned: Run, known: Trace) -> None:
    network = learned.load_network()
    seen = learning._observe(network, learned.dataset, "train", lambda items, *_: items)
    assert seen.exits == known.exits
    np.testing.assert_allclose(seen.gains, mious(known), rtol=0, atol=1e-12)
    assert all(len(digests) == len(known.images) for digests in seen.digests.values())


def test_learning_again_or_after_an_interrupt_learns_the_same(
    learned: Run, run: Run, tmp_path: Path
) -> None:
    other = copied(run, tmp_path / "run")
    for at in (("reading train", 3), ("learning scores", 2)):
        with pytest.raises(KeyboardInterrupt):
            learn(other, track=Interrupt(*at))
        assert not other.auxiliary_file.exists()
    torch.manual_seed(99)  # which it does not depend on
    network = learn(other)
    first, second = load_file(learned.auxiliary_file), load_file(other.auxiliary_file)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert network.auxiliaries is not None
    given = network.auxiliaries.state_dict()
    assert all(torch.equal(first[name], given[name]) for name in first)


def test_other_images_teach_something_else(learned: Run, run: Run, tmp_path: Path) -> None:
    other = copied(run, tmp_path / "run")
    learn(other, "val")
    first, second = load_file(learned.auxiliary_file), load_file(other.auxiliary_file)
    assert not all(torch.equal(first[name], second[name]) for name in first)


def test_images_for_thresholds_are_not_learned_from(learned: Run) -> None:
    with pytest.raises(BadInput, match="'calib' is not to be learned from; expected train or val"):
        learn(learned, "calib")


def test_images_without_labels_teach_nothing(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    data = write_dataset(tmp_path / "data")
    for mask in Dataset.open(data).samples("train"):
        assert mask.mask is not None
        Image.fromarray(np.full((64, 96), 255, np.uint8)).save(mask.mask)
    other = copied(run, tmp_path / "run")
    other.update(other.state.model_copy(update={"data": str(data)}))
    with pytest.raises(DataFault, match="no image has a labelled pixel"):
        learn(other)


def test_too_many_images_are_thinned_evenly(learned: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, spec = learned.dataset.samples("train"), learned.state.model
    assert learning._spread(samples, ALL_HEADS, spec) == samples
    monkeypatch.setattr(learning, "MOST_BYTES", 4 * (4 * ALL_HEADS * 7 * 64) + 1)
    assert learning._spread(samples, ALL_HEADS, spec) == [samples[n] for n in (0, 4, 7, 11)]


def test_auxiliary_networks_of_other_heads_are_refused(learned: Run, tmp_path: Path) -> None:
    other = copied(learned, tmp_path / "run")
    content = bytearray(other.auxiliary_file.read_bytes())
    other.auxiliary_file.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match="do not fit"):
        other.load_network()
    shutil.copy(other.folder / "weights.safetensors", other.auxiliary_file)
    with pytest.raises(BadInput, match="do not fit"):
        other.load_network()


def test_what_a_digest_tells_is_learned_for_images_never_seen() -> None:
    generator = torch.Generator().manual_seed(3)
    digests = torch.rand(600, 7, 8, 8, generator=generator) * torch.rand(600, 7, 1, 1)
    miou = digests[:, 4].mean(dim=(1, 2)).double().numpy() + 0.2
    best = np.digitize(miou, [0.4, 0.6])
    told = Targets(miou > 0.45, miou, best, 0)
    half = Targets(told.good[:400], told.miou[:400], told.exit[:400], 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        auxiliary = Auxiliary(3, 3, 0)
        learning._fit(auxiliary, digests[:400], half)
    with torch.no_grad():
        said = auxiliary.judge(digests[400:])
    good, guess = torch.from_numpy(told.good[400:]), said[:, 1].sigmoid().numpy()
    assert float(((said[:, 0] > 0) == good).double().mean()) > 0.93
    assert float(np.abs(guess - miou[400:]).mean()) < 0.02
    assert float((said[:, 2:].argmax(dim=1).numpy() == best[400:]).mean()) > 0.9
