"""The page of a front: its data, that it stands alone, and its script under Node and a browser."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.errors import BadInput, UnknownName
from offramp.report.frontier import Front, frontier_page
from offramp.report.frontier_script import SCRIPT
from offramp.report.style import point_colours
from offramp.search.goal import Goal
from tests.search.fronts import FRONT, FULL, POSITIONS, C, E, point, random_front

CLOUD = (point(0.3, 25e9, "middle/r4-b0-fcn"), point(0.35, 27e9, "late/r2-b1-fcn"))
GOAL = Goal(max_miou_loss=0.012, min_miou=0.2, max_macs=80e9)
NODE = shutil.which("node")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""


def front(**changed: Any) -> Front:
    return replace(Front("run", GOAL, "macs", FRONT, C, FULL, POSITIONS), **changed)


class _Page(HTMLParser):
    """Collects what a page refers to, its scripts by type, and tags left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.refers: list[str] = []
        self.scripts: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.refers += [str(given[key]) for key in ("src", "href") if key in given]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "script":
            self.kind = given.get("type") or "code"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[self.kind] = self.scripts.get(self.kind, "") + data


def data_of(what: Front) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_Page(frontier_page(what)).scripts["application/json"])
    return found


def test_the_page_stands_alone() -> None:
    text = frontier_page(front(cloud=CLOUD))
    page = _Page(text)
    assert page.open == []
    assert all(address.startswith("#") for address in page.refers)
    assert "http" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert page.scripts["code"] == SCRIPT


def test_every_design_is_in_the_data_and_the_chosen_one_once() -> None:
    points = data_of(front(cloud=CLOUD))["points"]
    assert [p["role"] for p in points] == [*["cloud"] * 2, *["front"] * 4, "full", "chosen"]
    assert points[-1]["miou"] == 100 * C.miou
    assert points[-1]["macs"] == C.macs
    assert points[-1]["worst-latency"] == C.worst_latency_ms
    assert points[-1]["exits"] == [
        ["middle/r2-b1-fcn", "mean-top1 ≥ 0.5, 50 % of the images stop"],
        ["end/own", "50 % of the images stop"],
    ]
    assert ["work an image", "50.00 GMAC"] in points[-1]["rows"]
    assert ["parameters", "2.00 M"] in points[-1]["rows"]


def test_bounds_are_drawn_where_the_goal_has_them() -> None:
    data = data_of(front())
    bounds = {axis["name"]: axis["bound"] for axis in data["axes"]}
    assert bounds["macs"] == 80e9
    assert [name for name, bound in bounds.items() if bound is not None] == ["macs"]
    assert data["floor"] == pytest.approx(58.8)  # the loss allows less than the least does
    assert data_of(front(goal=Goal(max_macs=1e9)))["floor"] is None


def test_only_costs_that_are_known_are_offered() -> None:
    untimed = tuple(replace(p, latency_ms=0.0, worst_latency_ms=0.0) for p in FRONT)
    full = replace(FULL, memory=0)
    axes = data_of(front(frontier=untimed, chosen=untimed[2], full=full))["axes"]
    assert [axis["name"] for axis in axes] == ["macs", "parameters", "bytes"]


def test_colours_are_of_the_first_exit_or_of_the_network() -> None:
    colours = point_colours(POSITIONS)
    drawn = {p["exits"][0][0].split("/")[0]: p["colour"] for p in data_of(front())["points"]}
    assert drawn == {name: colours[name] for name in drawn}
    named = tuple(replace(p, network=name) for p, name in zip(FRONT, "aabba", strict=True))
    full = replace(FULL, network="a")
    points = data_of(front(frontier=named, chosen=named[2], full=full))["points"]
    by_name = {dict(p["rows"])["network"]: p["colour"] for p in points}
    assert set(by_name) == {"a", "b"}
    assert all(p["colour"] == by_name[dict(p["rows"])["network"]] for p in points)


def test_the_table_holds_every_design_and_says_which_is_which() -> None:
    text = frontier_page(front())
    rows = re.findall(r"<tr class=\"(\w*)\"><td>(.*?)</td>", text)
    assert rows == [("", "1"), ("", "2"), ("strong", "3 chosen"), ("", "4"), ("", "5"),
                    ("quiet", "full")]  # fmt: skip
    beside = frontier_page(front(chosen=replace(C, thresholds=(0.9,))))
    assert '<tr class="strong"><td>chosen</td>' in beside


def test_words_from_outside_are_escaped() -> None:
    evil = "</script><b>"
    named = tuple(replace(p, network=evil) for p in FRONT)
    full = replace(FULL, network="plain")
    what = front(name=evil, frontier=named, chosen=named[2], full=full)
    assert "<b>&" not in frontier_page(what)
    assert _Page(frontier_page(what)).open == []
    assert dict(data_of(what)["points"][0]["rows"])["network"] == evil


def test_an_unknown_cost_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'latency'"):
        frontier_page(front(cost="latencies"))


def test_a_cost_that_is_not_known_is_refused() -> None:
    with pytest.raises(BadInput, match="peak memory is not known of every design"):
        frontier_page(front(cost="memory", full=replace(FULL, memory=0)))
    with pytest.raises(BadInput, match="record again"):
        frontier_page(front(cost="latency", cloud=(replace(CLOUD[0], latency_ms=0.0),)))


def node(expression: str) -> Any:
    """Evaluate an expression after the page's script."""
    code = f"{SCRIPT}\nconsole.log(JSON.stringify({expression}));"
    done = subprocess.run(
        [str(NODE), "-"], input=code, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")


@needs_node
def test_ticks_are_round_and_within() -> None:
    cases = [(0, 138e9, 8), (11.2, 61.7, 6), (0.598, 0.6021, 5), (3, 4, 4)]
    for (low, high, most), found in zip(
        cases, node(f"{json.dumps(cases)}.map(([a, b, n]) => ticks(a, b, false, n))"), strict=True
    ):
        step = found[1] - found[0]
        assert 2 <= len(found) <= most + 1
        assert min(abs(step / 10 ** np.floor(np.log10(step) + 1e-9) - m) for m in (1, 2, 5)) < 1e-6
        assert np.allclose(np.diff(found), step)
        assert low <= found[0] < low + step * (1 + 1e-6)
        assert high * (1 + 1e-9) >= found[-1] > high - step * (1 + 1e-6)
    assert node("ticks(3, 60, true, 6)") == [5, 10, 20, 50]
    assert node("ticks(1, 1e7, true, 6)") == [10**i for i in range(8)]
    assert len(node("ticks(30, 40, true, 6)")) > 2  # too narrow for decades: even steps


@needs_node
@pytest.mark.parametrize("seed", range(2))
def test_the_line_is_the_front_of_the_cost_that_is_shown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost, miou = rng.integers(1, 9, 40), rng.integers(1, 9, 40)  # with many ties
    points = [{"macs": int(c), "miou": int(m)} for c, m in zip(cost, miou, strict=True)]
    found = node(f"undominated({json.dumps(points)}, 'macs')")
    pairs = list(zip(cost.tolist(), miou.tolist(), strict=True))
    kept = {
        (c, m)
        for c, m in pairs
        if not any(x <= c and y >= m and (x < c or y > m) for x, y in pairs)
    }
    assert [(p["macs"], p["miou"]) for p in found] == sorted(kept)


@needs_node
def test_the_nearest_spot_is_shown() -> None:
    rng = np.random.default_rng(0)
    spots = rng.uniform(0, 100, (50, 2))
    listed = json.dumps([{"x": x, "y": y} for x, y in spots.tolist()])
    found = node(f"nearest({listed}, 40, 60)")
    x, y = spots[np.argmin(np.linalg.norm(spots - (40, 60), axis=1))]
    assert (found["x"], found["y"]) == (x, y)
    assert node("nearest([], 1, 1)") is None


@pytest.mark.skipif(not BROWSER, reason="Chromium is not installed")
def test_a_browser_draws_every_design(tmp_path: Path) -> None:
    designs = random_front(3)
    what = front(frontier=designs, chosen=designs[30], cloud=CLOUD, goal=GOAL)
    file = tmp_path / "front.html"
    file.write_text(frontier_page(what), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [BROWSER, *flags, profile, "--dump-dom", file.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    drawn = done.stdout[done.stdout.index("<svg") : done.stdout.index("</svg>")]
    assert len(re.findall(r'<circle [^>]*r="5"', drawn)) == 59
    assert len(re.findall(r'<circle [^>]*r="3"', drawn)) == 2
    assert 'class="chosen"' in drawn
    assert 'class="full"' in drawn
    assert drawn.count('class="bound"') == 1 + (designs[-1].macs * 1.4 > 80e9)
    assert 'aria-pressed="true">work<' in done.stdout
    assert "The chosen design" in done.stdout
    assert "NaN" not in drawn


def test_the_best_design_may_be_the_chosen_one() -> None:
    assert data_of(front(chosen=E))["points"][-1]["miou"] == 100 * E.miou
