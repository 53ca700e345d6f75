"""Training: frozen stays frozen, an interrupt costs nothing, the best epoch is what is kept."""

import csv
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from offramp.core.errors import BadInput, DataFault, UnknownName
from offramp.data.dataset import Dataset
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.models.network import MultiExitNetwork, uncut_name
from offramp.training.loader import LabelledImages
from offramp.training.recipe import Distillation, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.stages import Stage, Stage1, Stage2
from offramp.training.train import train
from tests.tiny import write_dataset

T = TypeVar("T")

FILES = ("stage1.safetensors", "weights.safetensors")


class Interrupt:
    """A track that presses Ctrl+C at one step of one stage."""

    def __init__(self, label: str, at: int) -> None:
        self.label, self.at = label, at

    def __call__(self, items: Iterable[T], total: int, label: str) -> Iterator[T]:
        for number, item in enumerate(items):
            if (label, number) == (self.label, self.at):
                raise KeyboardInterrupt
            yield item


def begun(folder: Path, like: Run) -> Run:
    return Run.create(folder, "fastscnn", like.recipe, like.dataset)


def backbone(file: Path) -> dict[str, torch.Tensor]:
    return {name: t for name, t in load_file(file).items() if name.startswith("segments.")}


def test_stage_2_leaves_the_backbone_bit_for_bit(run: Run) -> None:
    before, after = (backbone(run.folder / name) for name in FILES)
    assert any(name.endswith("running_var") for name in before)
    assert any(name.endswith("num_batches_tracked") for name in before)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_stage_2_trains_every_head(run: Run, network: MultiExitNetwork) -> None:
    first = load_file(run.folder / "stage1.safetensors")
    fresh = begun_heads(run)
    for name, tensor in load_file(run.folder / "weights.safetensors").items():
        if name.startswith("heads.") and tensor.is_floating_point():
            assert not torch.equal(tensor, first.get(name, fresh[name])), name


def begun_heads(run: Run) -> dict[str, torch.Tensor]:
    """Build the heads as they were before stage 2."""
    torch.manual_seed(run.recipe.seed + 1)
    return dict(run.plain_network().with_heads(run.exits).state_dict())


def test_stage_1_trains_everything(run: Run) -> None:
    before = run.plain_network().state_dict()
    for name, tensor in load_file(run.folder / "stage1.safetensors").items():
        assert not torch.equal(tensor, before[name]), name


def test_frozen_means_frozen_whatever_mode_is_asked_for(network: MultiExitNetwork) -> None:
    stage = Stage2(network.with_heads({}), Distillation(), None)
    stage.train()
    assert stage.network.heads.training
    assert not any(module.training for module in stage.network.segments.modules())
    assert not any(parameter.requires_grad for parameter in stage.network.segments.parameters())
    network.eval()
    network.requires_grad_(True)


@pytest.fixture
def fresh(run: Run) -> MultiExitNetwork:
    return run.plain_network().with_heads(run.exits)


def a_batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 3, (2, 64, 96), generator=generator)


def propagated(stage: Stage, batch: int = 0) -> int:
    """Propagate each part of a batch's loss back; how many parts there are."""
    parts = 0
    for loss in stage.train().losses(*a_batch(), batch):
        loss.backward()
        parts += 1
    return parts


def test_stage_2_sends_gradients_to_all_early_heads_and_nowhere_else(
    fresh: MultiExitNetwork,
) -> None:
    stage = Stage2(fresh, Distillation(), None)
    assert propagated(stage) == sum(len(fresh.head_names(p)) for p in fresh.points[:-1])
    for name, parameter in fresh.named_parameters():
        assert (parameter.grad is not None) == name.startswith("heads."), name
    assert {id(p) for p in stage.trained()} == {id(p) for p in fresh.heads.parameters()}


TURNS = {
    "exit-aware": [{0}, {1}, {2}, {0}],
    "exit-aware-literal": [{0}, {0, 1}, {0, 2}, {0, 1}],
    "end-to-end": [{0, 1, 2}] * 4,
    "plain": [set()] * 4,
}


@pytest.mark.parametrize("scheme", TURNS)
def test_stage_1_trains_the_early_exits_of_its_scheme(run: Run, scheme: Any) -> None:
    network = run.plain_network()
    stage = Stage1(network, Pretraining(scheme=scheme), None)
    for batch, wanted in enumerate(TURNS[scheme]):
        network.zero_grad()
        assert propagated(stage, batch) == 1
        assert all(p.grad is not None for p in network.segments.parameters())
        heads = {
            index for index, point in enumerate(network.points[:-1])
            if next(network.head(point, "r1-b0-fcn").parameters()).grad is not None
        }  # fmt: skip
        assert heads == wanted


def test_end_to_end_weighs_each_exit(run: Run) -> None:
    network = run.plain_network().eval()
    alone = []
    for exit_ in range(4):
        weights = tuple(float(index == exit_) for index in range(4))
        how = Pretraining(scheme="end-to-end", exit_weights=weights)
        (loss,) = Stage1(network, how, None).eval().losses(*a_batch(), 0)
        alone.append(loss.item())
    how = Pretraining(scheme="end-to-end", exit_weights=(0.4, 0.3, 0.2, 0.1))
    stage = Stage1(network, how, None).eval()
    (loss,) = stage.losses(*a_batch(), 0)
    assert loss.item() == pytest.approx(np.dot((0.4, 0.3, 0.2, 0.1), alone), rel=1e-5)
    mious = {(point, "r1-b0-fcn"): 0.1 * n for n, point in enumerate(network.points)}
    assert stage.judge(mious) == pytest.approx(0.3 * 0.1 + 0.2 * 0.2 + 0.1 * 0.3)


def test_what_is_frozen_in_stage_1_neither_learns_nor_drifts(run: Run) -> None:
    network = run.plain_network()
    before = {name: value.clone() for name, value in network.segments.state_dict().items()}
    stage = Stage1(network, Pretraining(freeze=("stem", "bottleneck1.0")), None)
    optimizer = torch.optim.SGD(stage.trained(), lr=0.1)
    propagated(stage)
    optimizer.step()
    for name, value in network.segments.state_dict().items():
        same = uncut_name(f"segments.{name}").startswith(("stem.", "bottleneck1.0."))
        assert torch.equal(value, before[name]) == same or "num_batches" in name, name
    with pytest.raises(UnknownName, match=r"no block to freeze 'stam'.*did you mean 'stem'"):
        Stage1(network, Pretraining(freeze=("stam",)), None)


@pytest.mark.parametrize(
    "interrupts",
    [
        [("stage1", 3)],  # before there is anything to go on from
        [("stage1", 15), ("stage1", 13), ("stage2", 8)],  # in the middle of epochs, again
        [("stage2", 17)],  # at the very end
    ],
    ids=["first epoch", "three times", "last step"],
)
def test_an_interrupted_run_ends_at_the_same_weights_bit_for_bit(
    run: Run, tmp_path: Path, interrupts: list[tuple[str, int]]
) -> None:
    other = begun(tmp_path / "run", run)
    for label, step in interrupts:
        with pytest.raises(KeyboardInterrupt):
            train(other, Interrupt(label, step))
        other = Run.open(other.folder)
        assert "stage2" not in other.state.done
    train(other)
    for name in FILES:
        expected, found = load_file(run.folder / name), load_file(other.folder / name)
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert other.state.miou == run.state.miou


def test_workers_change_nothing(run: Run, tmp_path: Path) -> None:
    fewer = {"epochs": 2, "batch": 4}
    recipe = run.recipe.model_copy(
        update={
            "stage1": run.recipe.stage1.model_copy(update=fewer),
            "stage2": run.recipe.stage2.model_copy(update=fewer),
        }
    )
    found = []
    for workers, interrupts in ((0, []), (1, [Interrupt("stage1", 5)])):
        told = recipe.model_copy(update={"workers": workers})
        other = Run.create(tmp_path / f"{workers}", "fastscnn", told, run.dataset)
        for interrupt in interrupts:
            with pytest.raises(KeyboardInterrupt):
                train(other, interrupt)
        found.append(load_file(train(Run.open(other.folder)).folder / FILES[1]))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_an_interrupt_leaves_ctrl_c_working(run: Run, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(begun(tmp_path / "run", run), Interrupt("stage1", 1))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_is_not_trained_again(run: Run) -> None:
    stamps = [(run.folder / name).stat().st_mtime_ns for name in FILES]
    train(Run.open(run.folder))
    assert [(run.folder / name).stat().st_mtime_ns for name in FILES] == stamps


def logged(run: Run, stage: str, column: str) -> list[float]:
    with (run.folder / "log" / stage / "metrics.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


@torch.inference_mode()
def test_the_best_epoch_s_weights_are_kept_with_its_miou(
    run: Run, network: MultiExitNetwork, dataset: Dataset
) -> None:
    counts: dict[str, list[np.ndarray]] = {}
    for image, labels in LabelledImages(dataset, "val", network.spec.size, None, 0):
        state = network.begin(image[None])
        for index, point in enumerate(network.points):
            state = network.advance(index, state)
            for name in network.head_names(point):
                logits = network.read(index, state, name).logits
                answer = network.decode(logits, (64, 96))[0].numpy()
                truth = labels.numpy().astype(np.uint8)
                counts.setdefault(f"{point}/{name}", []).append(
                    np.stack(intersections_unions(answer, truth, 3))
                )
    found = {name: float(mean_iou(*np.sum(table, axis=0))) for name, table in counts.items()}
    assert found == pytest.approx(run.state.miou, abs=1e-3)
    early = [miou for name, miou in found.items() if not name.endswith("/own")]
    epochs = logged(run, "stage2", "val/miou")
    assert len(epochs) == run.recipe.stage2.epochs
    assert np.mean(early) == pytest.approx(max(epochs), abs=1e-3)
    assert found["end/own"] == pytest.approx(max(logged(run, "stage1", "val/miou")), abs=1e-3)


def test_later_epochs_that_are_worse_are_not_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in (Stage1, Stage2):
        monkeypatch.setattr(stage, "judge", lambda self, mious: -float(self.current_epoch))
    other = train(begun(tmp_path / "run", run))
    first = {key: logged(other, "stage2", f"val/{key}")[0] for key in other.state.miou}
    assert other.state.miou == pytest.approx(first)
    kept = load_file(other.folder / "weights.safetensors")
    last = torch.load(other.folder / "checkpoints" / "stage2.ckpt", weights_only=False)
    trained = [name for name in kept if name.startswith("heads.") and name.endswith(".weight")]
    assert not any(torch.equal(kept[n], last["state_dict"][f"network.{n}"]) for n in trained)


def test_training_lowers_the_loss(run: Run) -> None:
    losses = logged(run, "stage1", "train/loss")
    assert losses[-1] < losses[0]


def test_global_random_numbers_are_left_alone(run: Run, tmp_path: Path) -> None:
    other = begun(tmp_path / "run", run)
    before = torch.random.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train(other, Interrupt("stage1", 8))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_faulty_data_set_is_refused_with_its_files(tmp_path: Path, recipe: Recipe) -> None:
    data = Dataset.open(write_dataset(tmp_path / "data", {"train": 3, "val": 2}))
    (data.root / "masks" / "train" / "001.png").unlink()
    (data.root / "images" / "val" / "000.jpg").write_bytes(b"")
    run = Run.create(tmp_path / "run", "fastscnn", recipe, data)
    with pytest.raises(DataFault, match="has 2 faults") as caught:
        train(run)
    assert "masks/train/001.png: the file does not exist" in str(caught.value)
    assert "images/val/000.jpg: the file is empty" in str(caught.value)
    assert not (run.folder / "stage1.safetensors").exists()


def test_a_data_set_without_val_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    data = Dataset.open(write_dataset(tmp_path / "data", {"train": 3}))
    with pytest.raises(DataFault, match=r"no split in .* 'val'"):
        train(Run.create(tmp_path / "run", "fastscnn", recipe, data))


def test_a_single_image_to_train_on_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    data = Dataset.open(write_dataset(tmp_path / "data", {"train": 1, "val": 3}))
    with pytest.raises(BadInput, match="at least 2 images"):
        train(Run.create(tmp_path / "run", "fastscnn", recipe, data))
