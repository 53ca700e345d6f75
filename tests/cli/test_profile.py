"""`offramp profile` and `offramp models`: the reference figures, and where exits go."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from offramp.models import zoo
from tests.cli.test_cli import answer, call

AT_512 = ("--classes", 21, "--size", "512x512")
CITYSCAPES = ("--classes", 19, "--size", "2048x1024")
ONE_CLASS = ("--classes", 1, "--size", "512x512")
SMALL = ("fastscnn", "--classes", 2, "--size", "96x64")

OWN = """
from torch import nn

def factory(classes, width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, classes, 1),
    )
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The name of a network in a file."""
    (tmp_path / "net.py").write_text(OWN)
    return f"{tmp_path / 'net.py'}:factory"


def knobs(**values: object) -> list[str]:
    return [word for key, value in values.items() for word in ("--knob", f"{key}={value}")]


def assert_adds_up(found: dict[str, Any]) -> None:
    """The blocks sum to the whole, and the exits lie on their path."""
    paths = {"end": found["macs"]}
    total = 0
    for segment in found["segments"]:
        total += segment["macs"]
        assert segment["path_macs"] == total
        paths[segment["name"]] = total
    assert total == found["macs"]
    assert sum(segment["parameters"] for segment in found["segments"]) == found["parameters"]
    assert found["exits"][-1]["after"] == "end"
    assert all(exit_["after"] in paths for exit_ in found["exits"])
    assert [paths[e["after"]] for e in found["exits"]] == sorted(
        paths[e["after"]] for e in found["exits"]
    )


# ------------------------------------------------------------------------ reference figures


def test_lenet() -> None:
    found = answer("profile", "lenet", "--classes", 10, "--size", "28x28")
    assert found["macs"] == 281_640
    first, end = found["exits"]
    assert (first["after"], first["head"], first["path_macs"]) == ("block1", "fc", 95_040)
    assert (end["after"], end["head"], end["path_macs"]) == ("end", "own", 281_640)
    assert_adds_up(found)


@pytest.mark.parametrize(
    ("name", "gmacs", "parameters"),
    [
        ("fcn_resnet50", 138.37, 32_957_013),
        ("deeplabv3_resnet50", 163.58, 39_638_869),
        ("fcn_mobilenetv2", 8.62, 2_043_973),
    ],
)
def test_dilated_networks_are_those_of_mess(name: str, gmacs: float, parameters: int) -> None:
    found = answer("profile", name, *AT_512)
    assert round(found["macs"] / 1e9, 2) == gmacs
    assert found["parameters"] == parameters
    assert [e["after"] for e in found["exits"]] == [*zoo.ZOO[name].exits, "end"]
    assert_adds_up(found)


@pytest.mark.parametrize(
    ("name", "gmacs", "parameters"),
    [
        ("bisenetv2", 98.413, 3_358_627),
        ("ddrnet23_slim", 36.281, 5_695_987),
        ("hrnet_w18_small_v2", 76.857, 3_939_579),
    ],
)
def test_real_time_networks_are_the_published_ones(
    name: str, gmacs: float, parameters: int
) -> None:
    found = answer("profile", name, *CITYSCAPES)
    assert found["macs"] == pytest.approx(gmacs * 1e9, rel=0.01)
    assert found["parameters"] == parameters
    assert found["size"] == found["padded_size"] == [1024, 2048]
    assert_adds_up(found)


@pytest.mark.parametrize("a", [1.0, 0.75, 0.5, 0.25, 0.125])
def test_fastscnn_grows_with_the_square_of_its_width(a: float) -> None:
    found = answer("profile", "fastscnn", *ONE_CLASS, *knobs(width=a))
    assert found["parameters"] == 1_051_136 * a**2 + 71_536 * a + 1
    assert_adds_up(found)


@pytest.mark.parametrize(
    ("turned", "parameters", "mmacs"),
    [
        ({}, 1_122_673, 829.59),
        ({"repetition": 2}, 743_281, None),
        ({"repetition": 1}, 363_889, 558.37),
        ({"width": 0.125, "expansion": 2}, 10_247, 17.26),
    ],
)
def test_fastscnn_is_that_of_iot(
    turned: dict[str, float], parameters: int, mmacs: float | None
) -> None:
    found = answer("profile", "fastscnn", *ONE_CLASS, *knobs(**turned))
    assert found["parameters"] == parameters
    assert mmacs is None or round(found["macs"] / 1e6, 2) == mmacs


# ----------------------------------------------------------------------------------- places


@pytest.mark.parametrize("exits", [1, 2, 4, 7, 32])
def test_exits_go_after_the_first_block_that_reaches_their_share(exits: int) -> None:
    found = answer("profile", *SMALL, "--exits", exits)
    expected = []
    for i in range(1, exits + 1):
        reach = [s for s in found["segments"] if s["path_macs"] * exits >= i * found["macs"]]
        if reach[0]["name"] not in expected:
            expected.append(reach[0]["name"])
    assert [e["after"] for e in found["exits"]] == expected
    assert_adds_up(found)


def test_exits_go_where_they_are_named() -> None:
    found = answer("profile", *SMALL, "--after", "bottleneck2", "--after", "stem.1")
    assert [e["after"] for e in found["exits"]] == ["stem.1", "bottleneck2", "end"]
    assert [s["name"] for s in found["segments"]] == ["stem.1", "bottleneck2", "end"]
    assert_adds_up(found)


@pytest.mark.parametrize(("heads", "count"), [("light", 6), ("full", 56), ("r2-b1-dlb", 1)])
def test_heads_are_costed_at_every_early_exit(heads: str, count: int) -> None:
    *early, end = answer("profile", *SMALL, "--heads", heads)["exits"]
    assert end["heads"] == []
    for exit_ in early:
        assert exit_["head"] is None
        assert len({head["name"] for head in exit_["heads"]}) == count
        assert all(head["macs"] > 0 and head["parameters"] > 0 for head in exit_["heads"])


@pytest.mark.parametrize("heads", ["light", "full", "fc"])
def test_a_classifying_network_has_one_head(heads: str) -> None:
    found = answer("profile", "lenet", "--classes", 10, "--size", "28x28", "--heads", heads)
    assert [head["name"] for head in found["exits"][0]["heads"]] == ["fc"]


@pytest.mark.parametrize(
    ("name", "size", "padded", "note"),
    [
        ("hrnet_w18_small_v2", "100x70", [96, 128], "at 128x96 (padded from 100x70), "),
        ("fastscnn", "100x70", [70, 100], "at 100x70, "),
    ],
)
def test_padding_is_told(name: str, size: str, padded: list[int], note: str) -> None:
    told = ("profile", name, "--classes", 2, "--size", size)
    found = answer(*told)
    assert found["padded_size"] == padded
    assert found["size"] == [70, 100]
    assert note in call(*told).stdout


# ------------------------------------------------------------------------------------- plot


def test_the_plot_names_the_blocks(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "work.svg"
    found = answer("profile", *SMALL, "--exits", 3, "--plot", file)
    assert found["plot"] == str(file)
    assert ET.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    text = file.read_text()  # letters are drawn as paths, and named in a comment before them
    assert all(f"<!-- {segment['name']} -->" in text for segment in found["segments"])


@pytest.mark.parametrize("name", ["work.png", "work", "work.svg.gz"])
def test_a_plot_of_another_kind_is_refused_before_anything_else(name: str, tmp_path: Path) -> None:
    result = call("profile", *SMALL, "--plot", tmp_path / name, status=2)
    assert "ends in .svg" in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------ networks from outside


def test_a_network_from_a_file(own: str) -> None:
    found = answer("profile", own, "--classes", 3, "--size", "96x64", *knobs(width=16))
    assert found["parameters"] == (3 * 9 + 1) * 16 + (16 * 9 + 1) * 16 + (16 + 1) * 3
    assert found["segments"][0]["channels"] == 16
    assert_adds_up(found)


def test_a_network_of_timm() -> None:
    found = answer("profile", "timm:test_resnet", "--classes", 3, "--size", "96x64", "--exits", 3)
    blocks = ["level1", "level2", "level3", "level4", "end"]
    assert [segment["name"] for segment in found["segments"]] == blocks[-len(found["segments"]) :]
    assert_adds_up(found)


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--exits", 3, "--after", "stem"), "exits are placed twice"),
        (("--after", "botleneck1"), "did you mean 'bottleneck1'"),
        (("--after", "classifier"), "cannot cut after 'classifier'"),
        (("--after", "stem", "--after", "stem"), "given twice"),
        (("--after", "end"), "no block to cut after 'end'"),
        (("--knob", "widht=1.0"), "did you mean 'width'"),
        (("--knob", "width"), "a knob without a value"),
        (("--knob", "width=wide"), "knob 'width' of fastscnn"),
        (("--knob", "width=.nan"), "fastscnn cannot be built like that"),
        (("--knob", "width=-1.0"), "fastscnn cannot be that small"),
        (("--knob", "channels=-1"), "fastscnn cannot be built like that"),
        (("--knob", "channels=2"), "cannot be run on an image of 96x64"),
        (("--knob", "width={a"), "is not YAML"),
        (("--heads", "r3-b0-fcn"), "no head 'r3-b0-fcn'"),
        (("--exits", 0), "--exits"),
        (("--exits", 33), "--exits"),
        (("--size", "8x8"), "not an image size"),
        (("--classes", 0), "--classes"),
    ],
)
def test_bad_input_is_named(arguments: tuple[object, ...], message: str) -> None:
    assert message in call("profile", *SMALL, *arguments, status=2).stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fastscn", "did you mean 'fastscnn'"),
        ("timm:test_resnett", "did you mean 'timm:test_resnet'|no model of timm"),
        ("timm:vit_tiny_patch16_224", "cannot be run on an image of 96x64"),
        ("nowhere.py:net", "there is no file "),
        ("{own}.py", "no function|there is no"),
        ("{file}:fractory", "did you mean 'factory'"),
        ("{file}", "is given without a function"),
        ("lenet", "LeNet cannot be run on an image of 96x64"),
    ],
)
def test_a_network_that_will_not_do_is_named(name: str, message: str, own: str) -> None:
    file = own.removesuffix(":factory")
    told = (name.format(own=own, file=file), "--classes", 2, "--size", "96x64")
    stderr = call("profile", *told, status=2).stderr
    assert any(part in stderr for part in message.split("|")), stderr


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def net(classes: int) -> None:", "cannot be run"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("def net(classes, depth):\n    pass", "it needs depth too"),
        ("def net(classes):\n    return None", "must make a network"),
        ("def net(classes):\n    import nothing_of_that_name", "nothing_of_that_name"),
        ("def net(classes):\n    return [][1]", "IndexError"),
        (
            "from torch import nn\nclass Net(nn.Module):\n"
            "    def __init__(self, classes):\n        super().__init__()\n"
            "    def forward(self, x):\n        raise KeyError('stage')\n"
            "def net(classes):\n    return Net(classes)",
            "Net cannot be run",
        ),
    ],
)
def test_a_file_that_will_not_do_is_named(code: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(code + "\n")
    told = ("profile", f"{file}:net", "--classes", 2, "--size", "96x64")
    assert message in call(*told, status=2).stderr


def test_a_head_that_there_is_not_is_refused_of_a_classifying_network_too() -> None:
    told = ("profile", "lenet", "--classes", 10, "--size", "28x28", "--heads", "light1")
    assert "no head 'light1'" in call(*told, status=2).stderr


# -------------------------------------------------------------------------------------- models


def test_models_lists_all_with_their_points() -> None:
    listed = {model["name"]: model for model in answer("models")["models"]}
    assert list(listed) == list(zoo.ZOO)
    for name, entry in zoo.ZOO.items():
        points = [tuple(point.values()) for point in listed[name]["cut_points"]]
        assert points == [tuple(point) for point in entry.points]
        assert listed[name]["exits"] == list(entry.exits)
        assert listed[name]["knobs"] == dict(entry.knobs)
        assert listed[name]["parameters"] > 0
    assert listed["fcn_resnet50"]["parameters"] == 32_957_013


def test_models_prints_each_with_its_points() -> None:
    printed = call("models").stdout
    for name, entry in zoo.ZOO.items():
        assert all(f"{name} {block}" in printed for block in entry.blocks)
