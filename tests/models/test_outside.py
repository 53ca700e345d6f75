"""Networks from outside, from a factory in a file to labels: train, record, search, export, run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.core.head import OWN
from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.evaluation import answers, record
from offramp.export import export
from offramp.models.blocks import profile
from offramp.models.count import count
from offramp.models.network import END
from offramp.models.zoo import build
from offramp.profiling.record import record_run
from offramp.runtime.session import Session
from offramp.search import Goal, search
from offramp.training.recipe import Augment, Distillation, Exits, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.train import train

TORCHVISION = """
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

def factory(classes):
    return lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=classes
    )
"""

SMP = """
import segmentation_models_pytorch as smp

def factory(classes, depth=5):
    return smp.Unet("resnet18", encoder_weights=None, classes=classes, encoder_depth=depth)
"""

PLAIN = """
from torch import nn

def block(d_in, d_out, stride):
    return nn.Sequential(
        nn.Conv2d(d_in, d_out, 3, stride, 1), nn.BatchNorm2d(d_out), nn.ReLU(inplace=True),
        nn.Conv2d(d_out, d_out, 3, 1, 1), nn.BatchNorm2d(d_out), nn.ReLU(inplace=True),
    )

class Net(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        self.early = block(3, width, 2)
        self.middle = block(width, 2 * width, 2)
        self.late = block(2 * width, 4 * width, 2)
        self.skip = nn.Conv2d(width, 4 * width, 1)
        self.classify = nn.Conv2d(4 * width, classes, 1)
        self.depth = nn.Conv2d(4 * width, 1, 1)

    def forward(self, x):
        early = self.early(x)
        deep = self.late(self.middle(early))
        deep = nn.functional.interpolate(deep, size=early.shape[-2:], mode="bilinear")
        deep = deep + self.skip(early)
        logits = nn.functional.interpolate(
            self.classify(deep), size=x.shape[2:], mode="bilinear", align_corners=False
        )
        return {"logits": logits, "depth": self.depth(deep)}

def factory(classes, width=8):
    return Net(classes, width)
"""


@dataclass(frozen=True)
class Outside:
    """A network from outside.

    Attributes:
        code: the file that makes it.
        points: where exits go; none: at a quarter, a half and three quarters of the work.
        size: input size, "WxH".
    """

    code: str
    points: tuple[str, ...] = ()
    size: str = "96x64"


NETWORKS = {
    "torchvision": Outside(TORCHVISION, ("backbone.4", "backbone.9", "backbone.13")),
    "smp": Outside(SMP, size="96x60"),  # padded to multiples of 32
    "plain": Outside(PLAIN, ("early", "middle", "late"), size="88x60"),
}


@dataclass(frozen=True)
class Trained:
    """A network from outside, trained.

    Attributes:
        run: where it is.
        points: where its exits sit.
        quick: whether exporting all its pieces is a matter of seconds.
    """

    run: Run
    points: tuple[str, ...]
    quick: bool


@pytest.fixture(scope="module", params=NETWORKS)
def trained(
    request: pytest.FixtureRequest, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """Train each for an epoch a stage."""
    if request.param == "smp":
        pytest.importorskip("segmentation_models_pytorch")
    outside, folder = NETWORKS[request.param], tmp_path_factory.mktemp(request.param)
    file = folder / f"{request.param}_net.py"
    file.write_text(outside.code)
    name = f"{file}:factory"
    recipe = Recipe(size=outside.size)
    points = outside.points
    if not points:
        profiled = profile(build(name, len(dataset.names)), recipe.pixels)
        points = tuple(block.name for block in profiled.place(4) if block.name != END)
    recipe = Recipe(
        size=outside.size,
        exits=Exits(points=points, heads=("r4-b0-fcn",)),
        augment=Augment(scale=(0.7, 1.0)),
        stage1=Pretraining(epochs=1, batch=4, lr=5e-3),
        stage2=Distillation(epochs=1, batch=4, lr=5e-3),
    )
    return Trained(
        train(Run.create(folder / "run", name, recipe, dataset)), points, request.param == "plain"
    )


def test_three_exits_are_trained(trained: Trained) -> None:
    assert len(trained.points) == 3
    assert tuple(trained.run.state.exits) == trained.points
    assert set(trained.run.state.miou) == {
        *(f"{point}/r4-b0-fcn" for point in trained.points),
        f"{END}/{OWN}",
    }
    assert trained.run.state.done == ("stage1", "stage2")


def test_it_can_be_opened_by_its_folder_alone(trained: Trained) -> None:
    run = Run.open(trained.run.folder)
    wanted, opened = trained.run.load_network(), run.load_network()
    state = opened.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in wanted.state_dict().items())


def test_the_bundle_s_labels_are_the_network_s(trained: Trained, tmp_path: Path) -> None:
    run = trained.run
    network, data = run.load_network(), run.dataset
    if trained.quick:
        trace, costs = record_run(run, threads=1)
    else:  # what is not timed need not be exported piece by piece
        trace, costs = record(network, data, "calib"), count(network)
    assert np.isfinite(trace.scores).all()
    plan = search(trace, costs, Goal(max_miou_loss=0.02, early_exits=1)).plan
    bundle = export(network, plan, run.frames(4), tmp_path / "b.offramp")
    session = Session(bundle)
    frames: list[Array] = [data.read(sample)[0] for sample in data.samples("test")]
    agreeing = []
    for frame in frames:
        size = frame.shape[:2]
        result = session.segment(frame)
        taken = plan.exits[result.exit]
        (ours,) = answers(network, frame, size, [(taken.point, taken.head)])
        (whole,) = answers(network, frame, size, [(END, OWN)])
        agreeing += [result.labels == ours, session.full(frame).labels == whole]
    assert np.mean(agreeing) > 0.9999
