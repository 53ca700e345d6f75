import re
from html.parser import HTMLParser

from offramp.report import page
from offramp.report.figures import draw_shares
from offramp.report.page import Card, Row, Section
from offramp.report.records import ShareBar
from offramp.report.style import point_colours

EVIL = "<script>alert('1')</script>\" onload=\"x"


def test_every_text_is_escaped():
    parts = [
        EVIL,
        page.lead(EVIL),
        page.note(EVIL),
        page.heading(EVIL),
        page.title(EVIL),
        page.tiles([(EVIL, EVIL, True)]),
        page.table([EVIL], [Row([EVIL]), Row([EVIL], "group"), Row([EVIL], EVIL)]),
        page.chart("<svg/>", EVIL, EVIL),
        page.legend([(EVIL, EVIL)]),
        page.cards([Card(EVIL, EVIL, [EVIL], EVIL, EVIL)]),
        page.facts([(EVIL, EVIL)]),
        page.points([EVIL]),
    ]
    html = page.page(EVIL, EVIL, [EVIL], [Section(EVIL, EVIL, parts)], page.joined([EVIL]))
    assert "<script" not in html
    assert '" onload' not in html
    assert html.count("&lt;script&gt;") > 20


def test_the_page_is_well_formed_and_needs_nothing_else():
    table = page.table(["a", "b"], [Row(["1"], "group"), Row(["2", "3"], "strong")])
    html = page.page("t", "k", [], [Section("s", "S", [table])], page.Markup("<p>foot</p>"))
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Checker().feed(html)
    assert open_tags == []
    assert '<td colspan="2">1</td>' in html
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", html)
    assert "http" not in html


def test_the_same_figure_gives_the_same_text():
    colours = point_colours(["a", "b", "end"])
    bars = [ShareBar("plan <1>", True, {"a": 0.6, "end": 0.4})]
    first = draw_shares(bars, colours)
    assert first.startswith("<svg")
    assert first == draw_shares(bars, colours)


def test_colours_run_from_warm_to_deep_blue():
    colours = point_colours(["a", "b", "c", "d", "end"])
    assert (colours["a"], colours["end"]) == ("#d97706", "#1e3a8a")
    assert len(set(colours.values())) == 5
    assert point_colours(["end"]) == {"end": "#d97706"}
