"""Two processes train what one would on both their images, and neither waits for ever."""

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.errors import BadInput, DataFault
from offramp.data.dataset import Dataset
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.training import peers
from offramp.training.launch import Team, launch
from offramp.training.loader import LabelledImages, train_loader, val_loader
from offramp.training.losses import enet_weights
from offramp.training.recipe import Distillation, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.stages import Stage1
from offramp.training.train import train
from tests.training import together

T = TypeVar("T")

LIMIT_S = 120
"""After so many seconds a process that does not end is a failure; it ends in a fraction of it."""


def told(recipe: Recipe) -> Recipe:
    """A recipe for two processes, whose steps can be followed by hand."""
    sgd = {"batch": 2, "lr": 0.02, "optimizer": "sgd", "weight_decay": 0.0}
    stages = {
        "stage1": Pretraining(epochs=3, **sgd),
        "stage2": Distillation(epochs=1, **sgd),
    }
    return recipe.model_copy(update={"devices": 2, **stages})


@pytest.mark.parametrize(("count", "processes"), [(12, 2), (12, 5), (7, 3)])
def test_an_epoch_is_dealt_out(dataset: Dataset, count: int, processes: int) -> None:
    images = LabelledImages(dataset, "train", (32, 48), None, 4)
    images.samples = images.samples[:count]
    left_out = set()
    for epoch in range(6):
        images.epoch = epoch
        shares = [list(train_loader(images, 2, 0, r, processes).sampler) for r in range(processes)]
        assert {len(share) for share in shares} == {count // processes}
        together_ = [index for share in shares for index in share]
        assert len(set(together_)) == len(together_)
        left_out |= set(range(count)) - set(together_)
        alone = list(train_loader(images, 2, 0).sampler)
        assert together_ != sorted(together_)
        assert set(together_) <= set(alone)
    assert (len(left_out) > count % processes) == (count % processes > 0)


def test_a_last_batch_of_one_is_left_out_of_a_share(dataset: Dataset) -> None:
    images = LabelledImages(dataset, "train", (32, 48), None, 4)
    images.samples = images.samples[:10]
    for rank in range(2):
        assert [len(labels) for _, labels in train_loader(images, 4, 0, rank, 2)] == [4]


@pytest.mark.parametrize("processes", [1, 2, 4, 6])
def test_each_validation_image_is_in_one_share(dataset: Dataset, processes: int) -> None:
    images = LabelledImages(dataset, "val", (32, 48), None, 4)
    shares = [list(val_loader(images, 2, 0, rank, processes).sampler) for rank in range(processes)]
    assert sorted(index for share in shares for index in share) == list(range(6))
    assert all(shares)


def test_alone_nothing_is_averaged() -> None:
    network = together.Small()
    network.loss(together.images()).backward()
    before = [p.grad for p in network.parameters()]
    peers.mean_gradients(network.parameters())
    assert all(a is b.grad for a, b in zip(before, network.parameters(), strict=True))
    assert (peers.rank(), peers.count()) == (0, 1)


def test_too_few_images_for_the_processes_are_refused(run: Run, tmp_path: Path) -> None:
    recipe = run.recipe.model_copy(update={"devices": 7})
    other = Run.create(tmp_path / "run", "fastscnn", recipe, run.dataset)
    with pytest.raises(DataFault, match=r"7 processes needs at least 14 images; got 12 in train"):
        train(other)


def test_machines_must_know_how_to_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"NODE_RANK": "1", "MASTER_ADDR": "first", "MASTER_PORT": "4000"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    team = Team.of(1, 2)
    assert (team.node, team.address, team.port) == (1, "first", 4000)
    assert Team.of(1, 1).address == "127.0.0.1"
    for name, wrong in (("NODE_RANK", "2"), ("MASTER_PORT", ""), ("MASTER_ADDR", "")):
        monkeypatch.setenv(name, wrong)
        with pytest.raises(BadInput, match="NODE_RANK from 0 to 1"):
            Team.of(1, 2)
        monkeypatch.setenv(name, names[name])


class Steps:
    """A track that notes what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def __call__(self, items: Iterable[T], total: int, label: str) -> Iterator[T]:
        for item in items:
            self.seen.append((label, total))
            yield item


@pytest.mark.slow
def test_processes_average_and_add_up_and_one_that_fails_ends_all(tmp_path: Path) -> None:
    steps = Steps()
    with pytest.raises(BadInput, match="the second process is out of luck"):
        launch(together.meet, tmp_path, Team.of(2, 1), steps)
    assert steps.seen == [("waiting", 5)] * 5
    network = together.Small()
    network.loss(together.images()).backward()  # of all images at once
    expected = {name: p.grad for name, p in network.named_parameters()}
    network.some(together.images()).mean().backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        for name, gradient in found["gradients"].items():
            if name.startswith("all."):
                torch.testing.assert_close(gradient, expected[name])
            elif name.startswith("some."):
                torch.testing.assert_close(gradient, network.get_parameter(name).grad / 2)
            else:
                assert gradient is None, name
        assert found["counts"] == [[1, 2**61 + 1]]
        assert [mean.tolist() for mean in found["means"]] == [[2, 2], [1 + 2 * rank] * 2]


@pytest.fixture(scope="module")
def trained(
    recipe: Recipe, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, dict[str, Any]]:
    """A run of two processes, interrupted by Ctrl+C and resumed, with what --json said."""
    folder = tmp_path_factory.mktemp("distributed")
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(told(recipe).model_dump(mode="json", exclude={"devices"})))
    arguments = ["train", "--data", str(dataset.file), "--model", "fastscnn"]
    arguments += ["--out", str(folder / "run"), "--recipe", str(file), "--set", "devices=2"]
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # under nohup
    code = f"{heard}; from offramp.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as started:
        assert started.stderr is not None
        lines: list[str] = []
        for line in iter(started.stderr.readline, ""):
            lines.append(line)
            if "stage1 epoch 2/3" in line:
                break
        os.killpg(started.pid, signal.SIGINT)
        out, err = started.communicate(timeout=LIMIT_S)
    assert started.returncode == 130, [*lines, err]
    assert out == ""
    assert "Traceback" not in err
    result = CliRunner().invoke(app, [*arguments, "--resume", "--json"])
    assert result.exit_code == 0, result.output
    return Run.open(folder / "run"), json.loads(result.stdout)


@pytest.mark.slow
def test_the_run_s_miou_is_that_of_its_weights(trained: tuple[Run, dict[str, Any]]) -> None:
    run, answer = trained
    assert run.state.done == ("stage1", "stage2")
    said = {f"{exit_['point']}/{exit_['head']}": exit_["miou"] for exit_ in answer["exits"]}
    assert said == run.state.miou
    counts: dict[str, np.ndarray] = {}
    network = run.load_network()
    with torch.inference_mode():
        for image, labels in LabelledImages(run.dataset, "val", network.spec.size, None, 0):
            state = network.begin(image[None])
            for index, point in enumerate(network.points):
                state = network.advance(index, state)
                for name in network.head_names(point):
                    answer_ = network.decode(network.read(index, state, name).logits, (64, 96))
                    truth = labels.numpy().astype(np.uint8)
                    found = np.stack(intersections_unions(answer_[0].numpy(), truth, 3))
                    counts[f"{point}/{name}"] = counts.get(f"{point}/{name}", 0) + found
    alone = {name: float(mean_iou(*table)) for name, table in counts.items()}
    assert alone == pytest.approx(run.state.miou, abs=1e-4)


@pytest.mark.slow
def test_two_processes_step_as_two_networks_whose_gradients_are_averaged_by_hand(
    trained: tuple[Run, dict[str, Any]],
) -> None:
    run, _ = trained
    with torch.random.fork_rng():
        expected = two_by_hand(run)
    file = run.folder / "checkpoints" / "stage1.ckpt"
    found = torch.load(file, weights_only=False)["state_dict"]
    start = run.plain_network().state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(found[f"network.{name}"], value, rtol=1e-3, atol=1e-4)
    moved = max(float((expected[n] - start[n]).abs().max()) for n in start if "weight" in n)
    assert moved > 1e-2  # so that the comparison says something


def two_by_hand(run: Run) -> dict[str, torch.Tensor]:
    """Train stage 1 as two networks, one image share each, in plain torch."""
    recipe, how = run.recipe, run.recipe.stage1
    images = LabelledImages(run.dataset, "train", recipe.pixels, recipe.augment, recipe.seed)
    weights = enet_weights(images.class_pixels())
    first = run.plain_network()
    stages = [Stage1(network, how, weights).train() for network in (first, copy.deepcopy(first))]
    optimizers = [torch.optim.SGD(s.trained(), lr=how.lr, momentum=how.momentum) for s in stages]
    steps = how.epochs * 3
    drawn: dict[int, torch.Tensor] = {}
    for step in range(steps):
        images.epoch, within = divmod(step, 3)
        seeds = np.random.SeedSequence((recipe.seed, images.epoch))
        order = np.random.default_rng(seeds).permutation(12)
        for rank, stage in enumerate(stages):
            if within == 0:  # dropout differs between the processes, and between epochs
                torch.manual_seed(recipe.seed * 100_003 + images.epoch + (rank << 40))
                drawn[rank] = torch.get_rng_state()
            torch.set_rng_state(drawn[rank])
            pairs = [images[index] for index in order[rank::2][2 * within : 2 * within + 2]]
            x, y = (torch.stack(list(column)) for column in zip(*pairs, strict=True))
            torch.stack(list(stage.losses(x, y, step))).sum().backward()
            drawn[rank] = torch.get_rng_state()
        for pair in zip(*(stage.trained() for stage in stages), strict=True):
            assert (pair[0].grad is None) == (pair[1].grad is None)
            if pair[0].grad is not None:
                mean = (pair[0].grad + pair[1].grad) / 2
                pair[0].grad, pair[1].grad = mean, mean.clone()
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = how.lr * (1 - step / steps) ** how.power
            optimizer.step()
            optimizer.zero_grad()
        if within == 2:
            for ours, theirs in zip(*(s.network.buffers() for s in stages), strict=True):
                if ours.is_floating_point():
                    both = (ours + theirs) / 2
                    ours.copy_(both), theirs.copy_(both)
    return first.state_dict()
