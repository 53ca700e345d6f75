"""The form torch holds the weights of just what a plan runs, and gives the network back."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from offramp.core.bundle import Bundle, Manifest
from offramp.core.errors import BadInput, BundleError, UnknownName
from offramp.core.head import HeadSpec
from offramp.core.score import ScoreSpec
from offramp.export.weights_form import WEIGHTS, write_weights
from offramp.models.network import MultiExitNetwork, build_network
from offramp.models.rebuilt import load_weights
from tests.formed import replanned

FACTORY = """
from torch import nn

def small(classes, width=4):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 4, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(width, classes, 1),
    )
"""


def write(network: MultiExitNetwork, manifest: Manifest, folder: Path) -> Bundle:
    manifest = manifest.model_copy(update=write_weights(network, manifest, folder))
    return Bundle(folder, manifest)


def test_it_holds_the_planned_heads_alone_and_every_weight_of_the_path(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path
) -> None:
    written = write(network, bundle.manifest, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [WEIGHTS] == [written.manifest.weights]
    held = load_file(tmp_path / WEIGHTS)
    heads = {key.split(".")[1:3][0] + " " + key.split(".")[2] for key in held if "heads." in key}
    assert heads == {"stem r1-b0-fcn", "bottleneck2 r4-b1-fcn"}
    path = sum(value.numel() for value in network.segments.state_dict().values())
    for point, head in (("stem", "r1-b0-fcn"), ("bottleneck2", "r4-b1-fcn")):
        path += sum(value.numel() for value in network.head(point, head).state_dict().values())
    assert sum(value.numel() for value in held.values()) == path


@torch.inference_mode()
def test_the_network_comes_back_cut_where_the_bundle_is(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path
) -> None:
    back = load_weights(write(network, bundle.manifest, tmp_path))
    assert back.points == ("stem", "bottleneck2", "end")
    assert network.points == ("stem", "bottleneck1", "bottleneck2", "end")
    assert not back.training
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    ours, theirs = back.begin(image), network.begin(image)
    for place, point in enumerate(network.points):
        theirs = network.advance(place, theirs)
        if point in back.points:
            index = back.points.index(point)
            ours = back.advance(index, ours)
            (head,) = back.head_names(point)
            expected = network.head(point, head)(theirs.feature)
            assert torch.equal(back.read(index, ours, head).logits, expected)


@torch.inference_mode()
def test_learned_scores_judge_the_positions_that_they_were_trained_on(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path
) -> None:
    network = copy.deepcopy(network)
    network.add_auxiliaries()
    specs = [ScoreSpec.parse(name) for name in ("exit-choice", "classifier")]
    exits = (("bottleneck1", "r1-b0-fcn"), ("end", "own"))  # positions 1 and 3 of 4
    plan = replanned(bundle.manifest.plan, tuple(spec.name for spec in specs), *exits)
    manifest = bundle.manifest.model_copy(update={"plan": plan})
    back = load_weights(write(network, manifest, tmp_path))
    logits = torch.randn(1, 3, 8, 12)
    for index, (place, (_, head)) in enumerate(zip((1, 3), exits, strict=True)):
        assert network.auxiliaries is not None
        assert back.auxiliaries is not None
        expected = network.auxiliaries.of(place, head)(logits)
        assert back.auxiliaries.of(index, head)(logits) == expected
        assert 0 < float(expected["exit-choice"]) <= 1


def test_a_learned_score_that_was_not_trained_is_refused(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path
) -> None:
    plan = replanned(bundle.manifest.plan, ("classifier",), ("end", "own"))
    with pytest.raises(BadInput, match="nothing was trained for the learned score 'classifier'"):
        write_weights(network, bundle.manifest.model_copy(update={"plan": plan}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_your_own_needs_its_file(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "small_net.py"
    file.write_text(FACTORY)
    model = bundle.manifest.model.model_copy(
        update={"name": f"{file}:small", "knobs": {"width": 8}}
    )
    network = build_network(model, {"1": [HeadSpec.parse("r1-b0-fcn")]}).eval()
    plan = replanned(bundle.manifest.plan, ("mean-top1",), ("1", "r1-b0-fcn"), ("end", "own"))
    manifest = bundle.manifest.model_copy(update={"model": model, "plan": plan})
    out = tmp_path / "out"
    out.mkdir()
    written = write(network, manifest, out)
    assert load_weights(written).points == ("1", "end")
    gone = model.model_copy(update={"name": f"{tmp_path}/gone.py:small"})
    elsewhere = written.manifest.model_copy(update={"model": gone})
    with pytest.raises(BadInput, match=r"there is no file .*gone\.py"):
        load_weights(Bundle(out, elsewhere))


def test_a_network_that_its_description_does_not_build_is_refused(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path
) -> None:
    model = bundle.manifest.model
    wider = model.model_copy(update={"knobs": {**model.knobs, "width": 0.5}})
    with pytest.raises(BadInput, match="fastscnn is another network when it is built again"):
        write_weights(network, bundle.manifest.model_copy(update={"model": wider}), tmp_path)
    nameless = model.model_copy(update={"name": "of my own making"})
    with pytest.raises(UnknownName, match="no model 'of my own making'"):
        write_weights(network, bundle.manifest.model_copy(update={"model": nameless}), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["cut", "nonsense", "gone", "another", "2", 4, 2])
def test_weights_that_do_not_fit_are_refused(
    bundle: Bundle, network: MultiExitNetwork, tmp_path: Path, fault: str | int
) -> None:
    written = write(network, bundle.manifest, tmp_path)
    file, manifest = tmp_path / WEIGHTS, written.manifest
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif fault == "nonsense":
        file.write_bytes(b"nonsense")
    elif fault == "gone":
        file.unlink()
    elif fault == "another":
        plan = replanned(manifest.plan, ("mean-top1",), ("stem", "r4-b1-fcn"), ("end", "own"))
        manifest = manifest.model_copy(update={"plan": plan})
    else:
        told = {"positions": 4, "places": [0, fault, 3]}
        save_file(load_file(file), file, metadata={"auxiliaries": json.dumps(told)})
    with pytest.raises(BundleError, match=r"weights\.safetensors does not fit the network; got"):
        load_weights(Bundle(tmp_path, manifest))
