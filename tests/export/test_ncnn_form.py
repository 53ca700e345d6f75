"""The form ncnn: what is converted answers as the network; what cannot be is refused by name."""

import copy
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("ncnn", reason="needs the extra 'ncnn'")
pytest.importorskip("pnnx", reason="needs the extra 'ncnn'")

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, ParityError
from offramp.core.head import HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.score import LEARNED, RECORDED, ScoreSpec, class_scores
from offramp.data.images import Array, resize_image
from offramp.export import ncnn_form
from offramp.export.ncnn_form import BIN, PARAM, write_ncnn
from offramp.models.network import MultiExitNetwork, attach, build_network
from offramp.runtime.ncnn import NcnnEngine
from tests.formed import replanned

FILES = sorted([BIN, PARAM])


def converted(network: MultiExitNetwork, bundle: Bundle, folder: Path, *scores: str) -> Bundle:
    """Convert a network with one head at its first position."""
    first = network.points[0]
    exits = ((first, network.head_names(first)[0]), ("end", "own"))
    plan = replanned(bundle.manifest.plan, scores, *exits)
    plan = plan.model_copy(update={"size": network.spec.size})
    manifest = bundle.manifest.model_copy(update={"model": network.spec, "plan": plan})
    manifest = manifest.model_copy(update=write_ncnn(network, manifest, folder))
    assert sorted(file.name for file in folder.iterdir()) == FILES
    return Bundle(folder, manifest)


@torch.inference_mode()
def largest_gaps(network: MultiExitNetwork, bundle: Bundle, frame: Array) -> tuple[float, float]:
    """Compare logits, relative to the largest, and scores of both exits."""
    engine, plan = NcnnEngine(bundle, 1), bundle.manifest.plan
    state, walked, gaps = engine.begin(frame), network.begin(torch.tensor(frame)[None]), []
    heads = {planned.point: planned.head for planned in plan.exits}
    specs = [ScoreSpec.parse(name) for name in plan.scores]
    for place, point in enumerate(network.points):
        walked = network.advance(place, walked)
        if point in heads:
            index = list(heads).index(point)
            state = engine.advance(index, state)
            ours = engine.read(index, state)
            theirs = network.read(place, walked, heads[point], specs)
            logits = theirs.logits.numpy()
            assert ours.logits.shape == logits.shape
            gap = np.abs(ours.logits - logits).max() / np.abs(logits).max()
            expected = np.array([float(theirs.scores[spec.name]) for spec in specs])
            gaps.append((float(gap), float(np.abs(np.array(ours.scores) - expected).max())))
    assert len(gaps) == 2
    return max(gap for gap, _ in gaps), max(gap for _, gap in gaps)


def test_every_score_of_an_answer_alone_is_computed_in_ncnn(
    bundle: Bundle, network: MultiExitNetwork, frames: list[Array], tmp_path: Path
) -> None:
    network = copy.deepcopy(network)
    network.add_auxiliaries()
    names = [spec.name for spec in (*RECORDED, *class_scores(3), *LEARNED)]
    made = converted(network, bundle, tmp_path, *names)
    for frame in frames[:3]:
        logits, scores = largest_gaps(network, made, resize_image(frame, network.spec.size))
        assert logits < 1e-4
        assert scores < 1e-4


@pytest.mark.parametrize(
    ("name", "size", "knobs", "point"),
    [
        ("fastscnn", (90, 70), {"width": 0.25, "expansion": 2, "repetition": 1}, "bottleneck1"),
        ("lenet", (28, 28), {}, "block1"),
    ],
    ids=["padded", "luma, one cell"],
)
def test_other_intakes_are_part_of_the_model(
    bundle: Bundle,
    rng: np.random.Generator,
    tmp_path: Path,
    name: str,
    size: tuple[int, int],
    knobs: dict[str, float],
    point: str,
) -> None:
    spec = ModelSpec(name=name, names=("a", "b", "c", "d"), size=size, knobs=knobs)
    torch.manual_seed(3)
    network = build_network(spec, {point: [HeadSpec.parse("r1-b0-fcn")]}).eval()
    made = converted(network, bundle, tmp_path, "mean-top1")
    frame = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    logits, scores = largest_gaps(network, made, frame)
    assert logits < 1e-4
    assert scores < 1e-4


def test_it_is_quiet_and_leaves_nothing_but_the_model(
    bundle: Bundle,
    network: MultiExitNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    scratch, here, out = (tmp_path / name for name in ("scratch", "here", "out"))
    for folder in (scratch, here, out):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(here)
    converted(network, bundle, out, "mean-top1")
    assert capfd.readouterr() == ("", "")
    assert list(scratch.iterdir()) == list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["exit-agreement", "frame-agreement"])
def test_a_score_that_compares_is_refused_by_name(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadInput, match=f"the score '{name}' cannot be computed in ncnn"):
        converted(network, bundle, tmp_path, "mean-top1", name)
    assert list(tmp_path.iterdir()) == []


class Odd(nn.Module):
    """A network with a layer that ncnn has not, in its second half."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 4, 1)
        self.second = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.second(torch.special.i0(self.first(x).clamp(-1, 1)))
        return answer


def test_a_network_with_a_layer_that_ncnn_lacks_is_refused_by_name(
    bundle: Bundle, tmp_path: Path
) -> None:
    spec = ModelSpec(name="odd", names=("a", "b", "c"), size=(32, 48))
    network = attach(Odd(), spec, {"first": [HeadSpec.parse("r1-b0-fcn")]}).eval()
    with pytest.raises(BadInput, match=r"the feature at 'end' cannot be computed in ncnn; .*i0"):
        converted(network, bundle, tmp_path, "mean-top1")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_answers_otherwise_is_refused(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = ncnn_form.convert

    def spoil(module: nn.Module, frame: Tensor, folder: Path) -> None:
        convert(module, frame, folder)
        text = (folder / PARAM).read_text()
        (folder / PARAM).write_text(text.replace("9=1\n", "9=0\n", 1))  # the first ReLU is left out

    monkeypatch.setattr(ncnn_form, "convert", spoil)
    with pytest.raises(ParityError, match="the feature at 'stem' differs in ncnn: by"):
        converted(network, bundle, tmp_path, "mean-top1")
    assert list(tmp_path.iterdir()) == []


def test_a_converter_that_fails_is_quoted(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converter = tmp_path / "pnnx"
    converter.write_text("#!/bin/sh\necho out of cheese >&2\nexit 3\n")
    converter.chmod(0o755)
    monkeypatch.setattr("pnnx.EXEC_PATH", str(converter))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BadInput, match="pnnx cannot convert the network; got out of cheese"):
        converted(network, bundle, out, "mean-top1")
