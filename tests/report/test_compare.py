"""Figures of a comparison: the records behind them, and that what is drawn is there."""

import math
import re

import numpy as np
import pytest

from offramp.core.rule import AtLeast, AtMost, Levels, Range, Rule, Table
from offramp.report import compare_figures
from offramp.report.compare_page import comparison_page
from offramp.report.compare_records import (
    FAMILIES,
    families,
    family_of,
    intervals,
    strategy_scores,
)
from offramp.report.style import point_colours
from offramp.search.compare import Comparison, compare, halves
from offramp.search.goal import Goal
from offramp.search.strategies import KNOWN, Strategy, usual
from offramp.search.tally import follow
from tests.search.simulated import COSTS, like_recorded

NAMES = (
    "threshold:mean-top1",
    "threshold:entropy",
    "range:fft",
    "per-class",
    "regressor",
    "classifier",
    "table:entropy",
    "table:entropy+fft",
    "threshold:frame-agreement",
)


@pytest.fixture(scope="module")
def found() -> Comparison:
    strategies = [Strategy.parse(name) for name in NAMES]
    return compare(halves(like_recorded(7)), COSTS, (0, 1, 2, 3), strategies, Goal(min_miou=0.5))


def test_every_strategy_has_a_family_and_every_family_a_look() -> None:
    names = {strategy.name for strategy in usual(like_recorded(7))} | set(KNOWN)
    assert {family_of(name) for name in names} == set(FAMILIES)
    assert set(FAMILIES) == set(compare_figures.FAMILY)
    looks = list(compare_figures.FAMILY.values())
    assert len({colour for colour, _ in looks}) == len({mark for _, mark in looks}) == len(looks)


def test_the_best_of_a_family_is_the_cheapest_that_met_the_goal(found: Comparison) -> None:
    learned = next(family for family in families(found) if family.name == "auxiliary network")
    assert {row.policy for row in learned.rows} == {"regressor", "classifier"}
    assert learned.best.fitted.macs == min(row.fitted.macs for row in learned.rows)


INFINITE = math.inf


@pytest.mark.parametrize(
    ("rule", "stops"),
    [
        (AtLeast(threshold=0.4), [(0.4, INFINITE)]),
        (AtMost(threshold=0.4), [(-INFINITE, 0.4)]),
        (Range(low=0.1, high=0.2), [(0.1, 0.2)]),
        (Range(low=1, high=0), []),
        (Levels(thresholds=(0.5, 0.6)), [(0, INFINITE)]),
        (
            Table(edges=((1, 2, 3),), stop=(True, True, False, True)),
            [(-INFINITE, 2), (3, math.inf)],
        ),
        (Table(edges=((),), stop=(False,)), []),
    ],
)
def test_scores_that_stop(rule: Rule, stops: list[tuple[float, float]]) -> None:
    assert list(intervals(rule)) == stops


@pytest.mark.parametrize("name", [name for name in NAMES if "+" not in name])
def test_drawn_bands_are_where_the_strategy_stopped_its_images(
    found: Comparison, name: str
) -> None:
    row = next(row for row in found.rows if row.policy == name)
    record = strategy_scores(row, found.held_out)
    assert record is not None
    assert row.fit is not None
    taken = follow(found.held_out, row.fit)
    for index, exit in enumerate(record.exits):
        within = np.zeros(len(taken), dtype=bool)
        for low, high in exit.stops:
            within |= (exit.score >= low) & (exit.score <= high)
        assert ((taken == index) == (exit.reached & within)).all()
        assert exit.miou == pytest.approx(
            found.held_out.trace.miou_per_image(np.full(len(taken), index))
        )


def test_two_scores_together_have_no_picture(found: Comparison) -> None:
    row = next(row for row in found.rows if row.policy == "table:entropy+fft")
    assert strategy_scores(row, found.held_out) is None


def test_figures_are_svg_and_drawn_alike_twice(found: Comparison) -> None:
    grouped = families(found)
    colours = point_colours(COSTS.points)
    for cost in ("macs", "latency"):
        for draw in (compare_figures.draw_planes, compare_figures.draw_families):
            text = draw(found, grouped, cost)  # type: ignore[arg-type]
            assert text == draw(found, grouped, cost)  # type: ignore[arg-type]
            for family in grouped:  # each family in its colour
                assert compare_figures.FAMILY[family.name][0] in text
    record = strategy_scores(found.strategies[0], found.held_out)
    assert record is not None
    scores = compare_figures.draw_scores(record, colours)
    assert all(colours[point] in scores for point in ("a", "b", "c"))


def test_a_bar_is_as_long_as_the_share_that_stops_there(found: Comparison) -> None:
    row = found.strategies[0]
    colours = point_colours(COSTS.points)
    text = compare_figures.draw_exits([row], colours)
    widths = []
    for point in row.points:
        bars = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: {colours[point]}', text)
        spans = [[float(x) for x in re.findall(r"[ML] ([\d.]+) ", bar)] for bar in bars]
        widths.append(max(max(xs) - min(xs) for xs in spans[:1]))
    total = sum(widths)
    assert [width / total for width in widths] == pytest.approx(row.held_out.shares, abs=1e-3)


def test_the_page_stands_alone_and_holds_every_row(found: Comparison) -> None:
    text = comparison_page(found, "<run>")
    assert "&lt;run&gt;" in text
    assert "<run>" not in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    for row in found.rows:
        assert f"<td>{row.policy}</td>" in text
    scored = [strategy_scores(one.best, found.held_out) for one in families(found)]
    assert text.count("data:image/svg") == 3 + sum(record is not None for record in scored)
    falls_short = compare(halves(like_recorded(7)), COSTS, (0, 3), [], Goal(min_miou=0.5))
    assert "Bounds" in comparison_page(falls_short, "run")
