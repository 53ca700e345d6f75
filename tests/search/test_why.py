"""Why this design: sentences on a front made by hand, and its neighbours against brute force."""

import math
import re
from dataclasses import fields, replace

import numpy as np
import pytest

from offramp.core.errors import UnknownName
from offramp.search.axes import AXES, axis_of
from offramp.search.goal import COSTS, Goal
from offramp.search.neighbours import (
    cheap_bargain,
    forbidden,
    good_bargain,
    knee,
    next_better,
    next_cheaper,
)
from offramp.search.point import Point
from offramp.search.slack import slacks
from offramp.search.why import design_words, why
from tests.search.fronts import FRONT, FULL, A, B, C, D, E, point, random_front

MACS = AXES["macs"]


def said(goal: Goal, chosen: Point = C, frontier: tuple[Point, ...] = FRONT) -> str:
    return "\n".join(why(goal, chosen, FULL, frontier, "macs"))


def test_every_cost_of_a_goal_can_be_read_off_a_point_and_said() -> None:
    assert tuple(AXES) == COSTS
    names = {field.name for field in fields(Point)}
    for axis in AXES.values():
        assert axis.field in names
        assert getattr(Goal(**{axis.bound: 7.0}), axis.bound) == 7
    with pytest.raises(UnknownName, match="did you mean 'latency'"):
        axis_of("latencies")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("macs", 41.17e9, "41.17 GMAC"),
        ("macs", 281_640, "281.64 kMAC"),
        ("macs", 12, "12 MAC"),
        ("latency", 0.5, "0.50 ms"),
        ("worst-latency", 1234.5, "1234.50 ms"),
        ("parameters", 32_957_013, "32.96 M parameters"),
        ("bytes", 999, "999 bytes"),
        ("memory", 2_500_000, "2.50 MB"),
    ],
)
def test_costs_have_units(name: str, value: float, words: str) -> None:
    assert axis_of(name).said(value) == words


def test_the_opening_compares_with_the_full_network() -> None:
    first = why(Goal(max_miou_loss=0.01), C, FULL, FRONT, "macs")[0]
    assert first == (
        "Chosen: middle/r2-b1-fcn (mean-top1 ≥ 0.5, 50 % stop) → end/own (50 % stop). It has "
        "59.00 % mIoU, 1.00 points less than the full network, at 50.00 GMAC, 2.00 times less "
        "than its 100.00 GMAC (work an image)."
    )
    better = why(Goal(max_miou_loss=0.01), E, FULL, FRONT, "parameters")[0]
    assert "0.50 points more than the full network" in better
    assert "2.00 M parameters, 2.00 times more than its 1.00 M parameters" in better


def test_a_score_that_falls_with_sureness_is_written_so() -> None:
    design = replace(C, scores=("entropy",), network="narrow")
    assert design_words(design).startswith("narrow: middle/r2-b1-fcn (entropy ≤ 0.5, 50 % stop)")


def test_the_bound_on_miou_binds_where_the_next_cheaper_would_break_it() -> None:
    text = said(Goal(max_miou_loss=0.012, max_macs=80e9))
    assert "What binds is --max-miou-loss 0.012: 1.00 of 1.20 points are lost." in text
    assert "the next cheaper design, which needs --max-miou-loss 0.04." in text
    assert "Other bounds: --max-macs 8e+10: 50.00 GMAC of 80.00 GMAC, 37.5 % left." in text


def test_a_bound_on_cost_binds_where_the_next_better_would_break_it() -> None:
    text = said(Goal(max_macs=55e9, max_latency_ms=58.0))
    assert "What binds is --max-macs 5.5e+10" in text
    assert "--max-latency-ms 58: 50.00 ms of 58.00 ms, 13.8 % left" in text
    assert "the next better design, which needs --max-macs 6e+10 and --max-latency-ms 60." in text


def test_a_bound_on_something_else_binds_where_it_forbids_what_beats_the_design() -> None:
    chosen = point(0.57, 55e9, "early/r8-b0-fcn")
    text = said(Goal(min_miou=0.5, max_parameters=1_500_000), chosen)
    assert "What binds is --max-parameters 1.5e+06: 1.00 M parameters of 1.50 M" in text
    assert "middle/r2-b1-fcn" in text
    assert "which needs --max-parameters 2e+06." in text
    assert "Other bounds: --min-miou 0.5: 7.00 points above it." in text


def test_nothing_false_is_said_of_a_design_that_others_beat() -> None:
    chosen = point(0.39, 70e9, "early/r8-b0-fcn")
    text = said(Goal(max_parameters=1_000_000), chosen)
    assert "What binds is --max-parameters" not in text  # A beats it, and is allowed
    assert "No bound forbids its neighbour on the front" in text
    assert "No design of the front" not in text


def test_the_cheapest_of_all_is_bound_by_nothing() -> None:
    assert "No bound binds: nothing on the front is cheaper." in said(Goal(min_miou=0.1), A)
    assert "No bound binds: nothing on the front is better." in said(Goal(max_macs=1e12), E)
    assert "No design of the front is cheaper." in said(Goal(min_miou=0.1), A)
    assert "No design of the front is better." in said(Goal(max_macs=1e12), E)


def test_a_policy_that_is_no_optimum_is_told_its_tightest_bound() -> None:
    text = said(Goal(min_miou=0.5, max_macs=90e9), D)
    assert "No bound forbids its neighbour on the front; the tightest is --min-miou." in text


def test_bounds_that_the_first_answer_keeps_are_not_held_against_the_whole() -> None:
    goal = Goal(setting="anytime", max_macs=30e9, max_worst_latency_ms=300.0)
    assert [slack.name for slack in slacks(goal, C, FULL)] == ["max_worst_latency_ms"]
    assert "first answer" in said(Goal(setting="anytime", max_macs=30e9))


def test_deadlines_are_named() -> None:
    text = said(Goal(setting="anytime", deadlines=((8.0, 2.0), (20.0, 1.0)), max_memory=6e7))
    assert "worth most at the deadlines: 8 ms (weight 2), 20 ms (weight 1)." in text
    assert "Bounds: --max-memory 6e+07: 50.00 MB of 60.00 MB, 16.7 % left." in text
    assert "binds" not in text


def test_neighbours_are_priced() -> None:
    text = said(Goal(max_miou_loss=0.012))
    assert "saves 40.0 %, 30.00 GMAC, and loses 3.00 points of mIoU." in text
    assert "costs 20.0 % more, 60.00 GMAC, and gains 0.40 points of mIoU." in text


def test_the_knee_is_farthest_from_the_straight_line() -> None:
    assert knee(FRONT, MACS) == B
    assert "at 30.00 GMAC and 56.00 % mIoU" in said(Goal(max_miou_loss=0.012))
    assert "The chosen design is after it." in said(Goal(max_miou_loss=0.012))
    assert knee([point(0.1 * i, 1e9 * i) for i in range(1, 5)], MACS) is None
    assert "The chosen design is there." in said(Goal(max_miou_loss=0.05), B)
    assert "The chosen design is before it." in said(Goal(min_miou=0.1), A)
    assert knee(FRONT[:2], MACS) is None
    assert knee([A, replace(A, macs=A.macs * 2), replace(A, macs=A.macs * 3)], MACS) is None


def test_what_is_much_better_for_little_comes_with_the_bound_that_gives_it() -> None:
    above = said(Goal(min_miou=0.593), D)
    assert "Worth a look: late/r1-b3-dlb" in above
    assert "gains 1.10 points of mIoU; to get it, ask for --min-miou 0.605." in above
    assert "allow --max-macs 6.6e+10." in said(Goal(max_macs=61e9), D)
    cheap = said(Goal(max_miou_loss=0.006), D)
    assert "saves 16.7 %, 50.00 GMAC, and loses 0.40 points of mIoU; to get it, allow" in cheap
    assert "allow --max-miou-loss 0.0101." in cheap  # in doubles 0.6 - 0.59 is more than 0.01
    assert "gains 1.10 points of mIoU; to get it, ask for --min-miou 0.605." in cheap
    assert "Worth a look" not in said(Goal(min_miou=0.3), A)


def test_what_was_held_out_is_set_against_what_was_fitted() -> None:
    text = said(Goal(max_miou_loss=0.012), replace(C, held_out=0.57))
    assert "it has 57.00 % mIoU, 2.00 points less than on those it was chosen on" in text


@pytest.mark.parametrize("seed", range(5))
def test_the_values_it_names_would_be_enough(seed: int) -> None:
    front = random_front(seed)
    full = point(front[-1].miou, 2 * front[-1].macs)
    rng = np.random.default_rng(seed)
    for index in rng.integers(1, len(front) - 1, 12):
        chosen = front[index]
        loss = full.miou - chosen.miou
        text = "\n".join(why(Goal(max_miou_loss=loss), chosen, full, front, "macs"))
        (needed,) = re.findall(r"cheaper design, which needs --max-miou-loss ([\d.e-]+)\.\n", text)
        assert full.miou - front[index - 1].miou <= float(needed) < loss + 0.7
        goal = Goal(max_macs=chosen.macs)
        text = "\n".join(why(goal, chosen, full, front, "macs"))
        (needed,) = re.findall(r"better design, which needs --max-macs ([\d.e+]+)\.\n", text)
        assert front[index + 1].macs <= float(needed) * (1 + 1e-9)
        assert float(needed) < front[index + 1].macs * 1.002


@pytest.mark.parametrize("seed", range(8))
def test_neighbours_and_bargains_against_brute_force(seed: int) -> None:
    front = random_front(seed)
    macs = np.array([p.macs for p in front])
    miou = np.array([p.miou for p in front])
    for index, chosen in enumerate(front):
        step = next_cheaper(chosen, front, MACS)
        assert (step.point if step else None) == (front[index - 1] if index else None)
        step = next_better(chosen, front, MACS)
        assert (step.point if step else None) == (front[index + 1] if index < 59 else None)
        assert forbidden(chosen, front, MACS) is None
        paid, gained = macs / chosen.macs - 1, miou - chosen.miou
        cheap = (gained < 0) & (gained >= -0.01) & (paid <= -0.05) & (paid <= 20 * gained)
        good = (gained >= 0.005) & (paid > 0) & (paid <= 0.2) & (paid <= 20 * gained)
        low, high = cheap_bargain(chosen, front, MACS), good_bargain(chosen, front, MACS)
        first, last = int(np.argmax(cheap)), 59 - int(np.argmax(good[::-1]))
        assert (low.point if low else None) == (front[first] if any(cheap) else None)
        assert (high.point if high else None) == (front[last] if any(good) else None)
    scaled = (miou - miou[0]) / (miou[-1] - miou[0]) - (macs - macs[0]) / (macs[-1] - macs[0])
    found = knee(front, MACS)
    assert found == (front[int(np.argmax(scaled))] if scaled.max() >= 0.05 else None)


def test_a_neighbour_is_not_the_design_itself_summed_in_another_order() -> None:
    again = replace(C, macs=C.macs * (1 - 1e-13), miou=math.nextafter(C.miou, 1))
    step = next_cheaper(again, FRONT, MACS)
    assert step is not None
    assert step.point == B
    assert forbidden(again, FRONT, MACS) is None
