"""Own networks: every fault of the file is told, and the rest goes through a run's whole life."""

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from offramp.core.errors import BadInput, UnknownName
from offramp.core.model import ModelSpec
from offramp.data.dataset import Dataset
from offramp.models import zoo
from offramp.models.own import absolute, is_own, load_factory, own_knobs
from offramp.training.recipe import Distillation, Exits, Pretraining, Recipe
from offramp.training.run import Run
from offramp.training.train import train

NET = """
import dataclasses
import torch
from torch import nn
from neighbour import WIDTH

@dataclasses.dataclass
class Options:
    width: int = WIDTH

class Net(nn.Module):
    def __init__(self, classes, width=WIDTH, slope=0.5, name="x", deep=False, extra=None):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, width, 3, 4, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        return self.last(self.two(self.one(x)))

def net(classes: int, width: int = WIDTH, slope: float = 0.5, *, deep: bool = False):
    return Net(classes, width)

def any_number(*args, **kwargs):
    return Net(*args)

def nothing():
    return Net(2)

def needs(classes, depth, *, width):
    return Net(classes)

def named(*, classes):
    return Net(classes)

def no_module(classes):
    return [classes]

not_callable = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("WIDTH = 8\n")
    file = tmp_path / "my net.py"
    file.write_text(NET)
    return file


@pytest.mark.parametrize(
    ("name", "own"),
    [("net.py:f", True), ("a/net.py", True), ("/a.py:", True), ("fastscnn", False),
     ("timm:net.py", False), ("net.pyc:f", False), ("", False), (".py:f", True)],
)  # fmt: skip
def test_own_networks_are_told_by_their_file(name: str, own: bool) -> None:
    assert is_own(name) == own
    assert own or absolute(name) == name


def test_paths_are_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("a/../net.py:f") == f"{tmp_path}/net.py:f"
    assert absolute(absolute("net.py:f")) == f"{tmp_path}/net.py:f"
    assert absolute("net.py") == f"{tmp_path}/net.py:"


@pytest.mark.parametrize("factory", ["net", "Net", "any_number"])
def test_a_factory_makes_a_network(file: Path, factory: str) -> None:
    module = zoo.build(f"{file}:{factory}", 3)
    assert module(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 4, 4)


def test_knobs_are_what_has_a_default(file: Path) -> None:
    wanted = {"width": 8, "slope": 0.5, "deep": False}
    assert own_knobs(load_factory(f"{file}:net")) == wanted
    knobs = ["width", "slope", "name", "deep", "extra"]
    assert list(own_knobs(load_factory(f"{file}:Net"))) == knobs
    assert own_knobs(load_factory(f"{file}:any_number")) == {}
    assert zoo.entry(f"{file}:net").knobs == wanted
    assert zoo.build(f"{file}:net", 2, width=4, slope=1, deep=True).one[0].out_channels == 4


@pytest.mark.parametrize(
    ("knob", "value", "expected"),
    [
        ("width", 8.0, "a whole number"),
        ("width", "8", "a whole number"),
        ("width", True, "a whole number"),
        ("width", None, "a whole number"),
        ("slope", "0.5", "a number"),
        ("slope", True, "a number"),
        ("deep", 1, "true or false"),
        ("name", 3, "a str"),
    ],
)
def test_a_knob_of_the_wrong_kind_is_refused(
    file: Path, knob: str, value: object, expected: str
) -> None:
    with pytest.raises(BadInput, match=f"knob '{knob}' of .*my net.py:Net; expected {expected}"):
        zoo.build(f"{file}:Net", 2, **{knob: value})


def test_other_knobs(file: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'width'"):
        zoo.build(f"{file}:net", 2, widht=4)
    assert isinstance(zoo.build(f"{file}:Net", 2, extra=[1, 2]), nn.Module)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (
            "",
            r"given without a function; expected .*my net.py:factory; it defines Options, Net, net",
        ),
        ("nett", "no function in .*my net.py 'nett'; .*did you mean 'net'"),
        ("not_callable", "there is no function in .* 'not_callable'"),
        ("nothing", "nothing cannot be called; .*all else with defaults; got it takes nothing"),
        ("needs", "needs cannot be called; .*; got it needs depth, width too"),
        ("named", "named cannot be called; .*; got it takes nothing by position"),
        ("no_module", "must make a network; expected a torch.nn.Module; got list"),
    ],
)
def test_what_is_no_factory_is_refused(file: Path, factory: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        zoo.build(f"{file}:{factory}", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:", "cannot be run; got SyntaxError"),
        (
            "import nowhere_to_be_found",
            "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("", "there is no function in .* 'f'; none is known"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(BadInput, match=message):
        zoo.entry(f"{tmp_path}/bad.py:f")


def test_a_file_that_was_repaired_is_run_again(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    with pytest.raises(BadInput, match=r"there is no file .*late.py; expected path/to/file.py:fac"):
        load_factory(f"{file}:f")
    file.write_text("1 / 0")
    with pytest.raises(BadInput, match="cannot be run"):
        load_factory(f"{file}:f")
    file.write_text("def f(classes): ...")
    assert load_factory(f"{file}:f").__name__ == "f"


def test_a_relative_path_means_the_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(f"def f(classes): return '{name}'")
        monkeypatch.chdir(tmp_path / name)
        assert load_factory("net.py:f")(2) == name  # type: ignore[comparison-overlap]
        assert load_factory("net.py:f") is load_factory(f"{tmp_path / name}/net.py:f")


def test_what_a_file_adds_to_the_path_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "net.py").write_text("import sys\nsys.path.insert(0, '/its/own')\ndef f(c): ...")
    load_factory(f"{tmp_path}/net.py:f")
    assert "/its/own" in sys.path
    assert str(tmp_path) not in sys.path


# ----------------------------------------------------------------------------- timm, and whole runs


@pytest.mark.parametrize(
    "name", ["timm:test_resnet", "timm:resnet10t", "timm:lcnet_035", "timm:test_mambaout"]
)
@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_timm_s_models_are_backbones(name: str, channels: int) -> None:
    module = zoo.build(name, 3, channels=channels).eval()
    logits = module(torch.zeros(1, channels, 64, 96))
    assert logits.shape[:2] == (1, 3)
    assert 64 // logits.shape[2] >= 4


@pytest.mark.parametrize("name", ["timm:resnet81", "timm:", "fastscn", ""])
def test_an_unknown_network_is_told(name: str) -> None:
    with pytest.raises(UnknownName, match="there is no model"):
        zoo.build(name, 3)


QUICK = Recipe(
    size="48x33",
    exits=Exits(heads=("r4-b0-fcn",)),
    stage1=Pretraining(epochs=1, batch=4),
    stage2=Distillation(epochs=1, batch=4),
)


@pytest.mark.parametrize(
    ("name", "points"), [("timm:test_resnet", ()), ("FILE:net", ()), ("FILE:Net", ("one",))]
)
def test_a_run_of_any_network(
    tmp_path: Path, dataset: Dataset, file: Path, name: str, points: tuple[str, ...]
) -> None:
    name = name.replace("FILE", str(file))
    exits = Exits(points=points or None, heads=("r4-b0-fcn",))
    recipe = QUICK.model_copy(update={"exits": exits})
    run = train(Run.create(tmp_path / "run", name, recipe, dataset))
    assert run.state.exits
    assert all(math.isfinite(miou) for miou in run.state.miou.values())
    again = Run.open(tmp_path / "run")
    one, two = run.load_network(), again.load_network()
    frame = torch.randint(0, 256, (1, 33, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        answers = []
        for network in (one, two):
            state = network.begin(frame)
            for index in range(len(network.points)):
                state = network.advance(index, state)
            answers.append(network.read(index, state, "own").logits)
    assert torch.equal(*answers)
    assert again.state.model.name == name


def test_a_run_that_cannot_be_is_refused_before_it_is_begun(
    tmp_path: Path, dataset: Dataset, file: Path
) -> None:
    for name, message in [
        (f"{file}:nett", "did you mean"),
        (f"{file}:no_module", "must make a network"),
        ("timm:nothing", "no model of timm"),
        (f"{tmp_path}/none.py:f", "there is no file"),
    ]:
        with pytest.raises(BadInput, match=message):
            Run.create(tmp_path / "run", name, QUICK, dataset)
    assert not (tmp_path / "run").exists()


def test_a_run_in_a_relative_file_opens_from_anywhere(
    tmp_path: Path, dataset: Dataset, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    run = Run.create(tmp_path / "run", "my net.py:net", QUICK, dataset)
    monkeypatch.chdir("/")
    assert run.state.model == ModelSpec.model_validate_json(run.state.model.model_dump_json())
    assert run.plain_network().points[-1] == "end"
