"""Chosen designs along the backbone: shares against sums by hand, boxes that do not overlap."""

import itertools

import pytest

from offramp.core.head import FULL, HeadSpec
from offramp.core.plan import Expectation, Plan, PlannedExit, Setting
from offramp.report.designs import (
    BOX,
    WIDTH,
    DrawnDesign,
    DrawnExit,
    box_places,
    draw_designs,
    drawn_design,
    head_layers,
)
from offramp.report.style import point_colours
from tests.tiny import at_least, make_costs

COSTS = make_costs(
    [10, 20, 50], {"early": {"r4-b0-fcn": 4}, "late": {"r2-b2-rapid-fcn": 6}, "end": {"own": 20}}
)
ALL = [("early", "r4-b0-fcn", 0.5), ("late", "r2-b2-rapid-fcn", 0.3), ("end", "own", 0.2)]
"""Of 100 units of work 10, 20 and 50 are the backbone's, 20 the head's."""


def plan(setting: Setting, exits: list[tuple[str, str, float]]) -> Plan:
    deciding = setting == "input-dependent" and len(exits) > 1
    planned = [
        PlannedExit(
            point=point,
            head=head,
            rule=at_least(0.75 if deciding and index < len(exits) - 1 else None),
            share=share,
        )
        for index, (point, head, share) in enumerate(exits)
    ]
    done = Expectation(miou=0.55, miou_per_image=0.5, macs=40, latency_ms=1)
    full = Expectation(miou=0.6, miou_per_image=0.5, macs=100, latency_ms=2)
    return Plan(setting=setting, scores=("mean-top1",), exits=tuple(planned), expected=done,
                full=full, size=COSTS.size, images=10)  # fmt: skip


def test_segments_are_as_dark_as_images_run_them() -> None:
    design = drawn_design("mine", plan("input-dependent", ALL), COSTS)
    runs = [pytest.approx(value) for value in (1.0, 0.5, 0.2)]
    assert design.segments == tuple(zip(COSTS.points, (0.1, 0.2, 0.5), runs, strict=True))
    assert design.macs == pytest.approx(0.4)
    once = drawn_design("once", plan("budgeted", [("early", "r4-b0-fcn", 1.0)]), COSTS)
    assert [runs for _, _, runs in once.segments] == [1, 0, 0]
    through = drawn_design("any", plan("anytime", [ALL[0], ALL[2]]), COSTS)
    assert [runs for _, _, runs in through.segments] == [1, 1, 1]


def test_exits_sit_where_the_work_is_done() -> None:
    exits = drawn_design("mine", plan("input-dependent", ALL), COSTS).exits
    assert [e.place for e in exits] == pytest.approx([0.1, 0.3, 0.8])
    assert [e.work for e in exits] == pytest.approx([0.04, 0.06, 0.2])
    assert [e.rule for e in exits] == ["≥ 0.75", "≥ 0.75", ""]
    assert [e.share for e in exits] == [0.5, 0.3, 0.2]


def test_a_head_is_drawn_layer_by_layer() -> None:
    assert head_layers("r2-b3-rapid-dlb") == (
        "1×1, channels ÷2",
        "3×3, dilation 2",
        "3×3, dilation 4",
        "3×3, dilation 8",
        "DeepLabV3 head",
    )
    assert head_layers("r1-b0-fcn") == ("FCN head",)
    assert head_layers("fc") == ("fully connected",)
    assert head_layers("own") == ("network's own",)
    assert len({head_layers(spec.name) for spec in FULL}) == 56
    for spec in FULL:
        assert len(head_layers(spec.name)) == (spec.reduction > 1) + spec.blocks + 1
        assert HeadSpec.parse(spec.name) == spec


def test_boxes_neither_overlap_nor_leave_the_figure() -> None:
    spots = (0.0, 0.02, 0.3, 0.31, 0.9, 0.99, 1.0)
    for places in itertools.combinations_with_replacement(spots, 6):
        exits = tuple(DrawnExit("p", place, ("x",), 0.1, "", "", 0.2) for place in places)
        left = box_places(DrawnDesign("d", "anytime", (), exits, 1.0, 0.5))
        assert left[0] > -1e-9
        assert left[-1] + BOX < WIDTH + 1e-9
        assert all(b - a > BOX - 1e-9 for a, b in itertools.pairwise(left))
    (alone,) = box_places(
        DrawnDesign("d", "budgeted", (), (DrawnExit("p", 0.5, ("x",), 0.1, "", "", 1),), 1.0, 0.5)
    )
    assert alone + BOX / 2 == pytest.approx(WIDTH / 2)


def test_every_setting_is_drawn_and_the_same_designs_give_the_same_figure() -> None:
    designs = [
        drawn_design("budgeted", plan("budgeted", [ALL[1]]), COSTS),
        drawn_design("anytime", plan("anytime", [ALL[0], ALL[2]]), COSTS),
        drawn_design("rl", plan("input-dependent", ALL), COSTS),
    ]
    colours = point_colours(COSTS.points)
    text = draw_designs(designs, colours)
    assert text.startswith("<svg")
    for point in ("early", "late", "end"):
        assert colours[point] in text
    assert text == draw_designs(designs, colours)
    assert len(draw_designs(designs[:1], colours)) < len(text)
