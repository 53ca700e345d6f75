"""The space of static knobs: IOT's levels, and what each network and each level opens."""

from itertools import product

import pytest

from offramp.models.zoo import ZOO
from offramp.tuning.knobs import Setting, Space, at_least

SIZE = (512, 512)


def space(model: str = "fastscnn", level: str = "expert", size=SIZE, **fixed) -> Space:
    return Space.of(ZOO[model].knobs, size, level, fixed)


def test_iots_resolutions_are_among_the_sizes() -> None:
    sides = [size[0] for size in space().sizes]
    assert sides[0] == 512
    assert {256, 224, 192, 160, 128, 96} <= set(sides)
    assert sides == sorted(sides, reverse=True)


def test_iots_knobs_have_iots_levels() -> None:
    assert space().levels == {
        "channels": (3, 1),
        "width": (1.0, 0.75, 0.5, 0.25, 0.125),
        "expansion": (6, 4, 2),
        "repetition": (3, 2, 1),
        "pyramid": (True, False),
    }


@pytest.mark.parametrize(
    ("model", "stages"),
    [
        ("fastscnn", "luma width expansion repetition pyramid"),
        ("bisenetv2", "luma width expansion repetition"),
        ("deeplabv3_mobilenetv2", "width"),
        ("ddrnet23_slim", "luma width repetition"),
    ],
)
def test_a_network_has_the_stages_of_its_knobs(model: str, stages: str) -> None:
    whole = ("resolution-untrained", "resolution", *stages.split(), "combination")
    assert space(model).stages == whole


def test_levels_of_effort_open_more_and_more() -> None:
    names = ("entry", "intermediate", "expert")
    entry, middle, expert = (set(space(level=name).stages) for name in names)
    assert entry == {"resolution-untrained", "resolution", "luma"}
    assert middle - entry == {"width", "combination"}
    assert expert - middle == {"expansion", "repetition", "pyramid"}


def test_a_recipe_may_begin_lower() -> None:
    lower = space(width=0.5, pyramid=False)
    assert lower.levels["width"] == (0.5, 0.25, 0.125)
    assert "pyramid" not in lower.levels
    assert dict(lower.native.knobs)["pyramid"] is False


def test_stages_turn_one_knob_each() -> None:
    found = space()
    for stage in found.stages:
        for setting in found.proposals(stage):
            turned = sum(a != b for a, b in zip(setting.knobs, found.native.knobs, strict=True))
            assert turned + (setting.size != found.native.size) == 1


def test_combinations_are_the_product_without_what_did_not_survive() -> None:
    found = space(size=(64, 96))
    dead, lost = {("width", 0.125), ("pyramid", False)}, {found.sizes[1]}
    got = list(found.combinations(dead, lost))
    ladders = [[(k, v) for v in values if (k, v) not in dead] for k, values in found.levels.items()]
    wanted = set(product([s for s in found.sizes if s not in lost], *ladders))
    order = list(found.levels)
    assert {(s.size, *sorted(s.knobs, key=lambda k: order.index(k[0]))) for s in got} == wanted
    assert len(got) == len(wanted)


def test_names_say_what_differs_and_tell_all_apart() -> None:
    found = space(size=(192, 320))
    setting = found.native.at((96, 160)).turned("width", 0.5).turned("pyramid", False)
    assert found.name(setting) == "160x96-width0.5-no-pyramid"
    assert found.name(found.native.turned("channels", 1)) == "320x192-luma"
    everything = list(found.combinations(set(), set()))
    assert len({found.name(s) for s in everything}) == len(everything)


def test_at_least_compares_every_knob() -> None:
    big = Setting((64, 64), (("width", 0.5), ("pyramid", True)))
    assert at_least(big, big)
    assert at_least(big, big.at((64, 32)).turned("width", 0.25))
    assert not at_least(big.turned("width", 0.25), big)
    assert not at_least(big.turned("pyramid", False), big)
