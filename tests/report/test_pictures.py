import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from offramp.core.errors import BadInput
from offramp.core.files import write_text
from offramp.core.head import HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.progress import silent
from offramp.data.dataset import Dataset
from offramp.evaluation import record
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.models.network import attach
from offramp.report import pictures
from offramp.report.examples import Example
from offramp.report.material import NamedPlan
from tests.tiny import at_least

EXITS = [("a", "r1-b0-fcn"), ("end", "own")]


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.b = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("val", "calib"):
        for kind in ("images", "masks"):
            (tmp_path / kind / split).mkdir(parents=True)
        for n in range(2):
            image = rng.integers(0, 256, (48, 700, 3), dtype=np.uint8)
            mask = rng.integers(0, 2, (48, 700), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / f"images/{split}/{split}{n}.png")
            Image.fromarray(mask).save(tmp_path / f"masks/{split}/{split}{n}.png")
    text = "val: images/val\ncalib: images/calib\nnames: {0: floor, 1: box}\n"
    write_text(tmp_path / "dataset.yaml", text)
    return Dataset.open(tmp_path)


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        spec = ModelSpec(name="small", names=("floor", "box"), size=(32, 64))
        return attach(Small(), spec, {"a": [HeadSpec.parse("r1-b0-fcn")]}).eval()


def named(exits, setting):
    nothing = Expectation(miou=0, miou_per_image=0, macs=1, latency_ms=0)
    thresholds = [0.9] * (len(exits) - 1) + [None]
    planned = [
        PlannedExit(point=p, head=h, rule=at_least(t))
        for (p, h), t in zip(exits, thresholds, strict=True)
    ]
    plan = Plan(setting=setting, scores=("mean-top1",), exits=tuple(planned), expected=nothing,
                full=nothing, size=(32, 64), images=2)  # fmt: skip
    return NamedPlan("p", plan, tuple(range(len(exits))), np.zeros(2, dtype=np.intp), ())


def test_pictures_show_the_answers_that_the_trace_judged(data, network, monkeypatch):
    trace = record(network, data, "val")
    seen = []
    monkeypatch.setattr(
        pictures, "overlay", lambda image, labels, palette: seen.append(labels) or image
    )
    assert pictures.find_split(data, trace) == "val"
    plan = named(EXITS, "input-dependent")
    walks = pictures.walk_examples(
        network, data, "val", plan, trace, [Example(1, "easy", 0)], silent
    )
    _, truth = data.read(data.samples("val")[1])
    early, end, shown_truth = seen
    np.testing.assert_array_equal(shown_truth, truth)
    for labels, answer in zip((early, end), walks[0].answers, strict=True):
        miou = mean_iou(*intersections_unions(labels, truth, 2))
        assert float(miou) == pytest.approx(answer.miou)
    assert [a.role for a in walks[0].answers] == ["stop", "unread"]
    assert [a.threshold for a in walks[0].answers] == [0.9, None]
    assert walks[0].answers[0].score == pytest.approx(trace.score(0, "mean-top1")[1])


def test_the_networks_end_is_shown_beside_a_plan_without_it(data, network):
    trace = record(network, data, "calib")
    plan = named(EXITS[:1], "budgeted")
    examples = [Example(0, "typical", 0)]
    walk = pictures.walk_examples(network, data, "calib", plan, trace, examples, silent)[0]
    assert [(a.name, a.role) for a in walk.answers] == [
        ("a/r1-b0-fcn", "stop"),
        ("end/own", "unread"),
    ]
    assert walk.name == "calib0.png"
    content = base64.b64decode(walk.answers[0].picture.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (480, 33)


def test_a_trace_of_other_images_is_refused(data, tables):
    with pytest.raises(BadInput, match=r"no split of .* 4 images from 0\.png"):
        pictures.find_split(data, tables.trace)
