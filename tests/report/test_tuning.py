"""The page of a study, from its first moment to its end."""

import base64
import re

import pytest
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.errors import BadInput
from offramp.report.tuning_figures import below, draw_front, draw_stages, spot, stages_of
from offramp.report.tuning_page import is_study, tuning_page, write_tuning
from tests.tuning.studies import candidate, chosen, iot_study, latency, study

BASE = candidate("base", 100, 0.97, "baseline")
UNTRAINED = candidate("u1", 25, 0.51, "resolution-untrained", (256, 256))
LOWER = candidate("r1", 25, 0.965, "resolution", (256, 256))
NARROW = candidate("w1", 20, 0.96, width=0.5)
SLOW = candidate("w2", 90, None, status="too-slow", reason="90 ms <b>is</b> too much", width=0.75)
EARLY = candidate("x1", 18, 0.961, "exits", kind="exits", predicted=True, width=0.5)


def drawings(html):
    """Decode the figures that a page holds."""
    found = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)
    return [base64.b64decode(text).decode() for text in found]


def rows(html, anchor):
    """Read the cells of the tables of a section, tags removed."""
    (section,) = re.findall(rf'<section id="{anchor}">.*?</section>', html, re.DOTALL)
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", section, re.DOTALL)
    ]


def test_a_finished_study_makes_a_page():
    told = study(
        BASE, UNTRAINED, LOWER, NARROW, SLOW, EARLY, done=True,
        chosen=chosen("w1", test_iou=0.94, baseline_test_iou=0.955, bundle="chosen.offramp"),
        notes=("calib was taken out of train",),
    )  # fmt: skip
    html = tuning_page(told)
    assert "Tuning fastscnn on parcels &amp; more" in html
    assert "/somewhere" not in html
    assert "6 candidates were proposed and 4 trained to their end" in html
    assert "5.00×" in html  # 100 ms over 20 ms, timed in turn
    assert "Retraining after lowering the resolution is needed: true" in html
    assert "Exits add a point that dominates one of the static front: true" in html
    assert "lies ready as a bundle in chosen.offramp" in html
    assert "256x256 (not retrained) (51.00 %)" in html  # too far below to be drawn
    assert "calib was taken out of train" in html
    assert "90 ms &lt;b&gt;is&lt;/b&gt; too much" in html
    assert len(drawings(html)) == 2
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", html)


def test_the_table_has_every_candidate_and_marks_the_front():
    told = {row[0]: row for row in rows(tuning_page(study(BASE, LOWER, NARROW, SLOW)), "table")[1:]}
    assert told["width 0.5"][1:7] == [
        "w1",
        "96.00 %",
        "20.00 ms",
        "18.00 to 24.00",
        "50.0",
        "5.00×",
    ]
    assert told["width 0.5"][-1] == "front"
    assert told["256x256"][6] == "4.00×"
    assert told["width 0.75"][2] == "–"
    assert told["width 0.75"][-1].startswith("too-slow: 90 ms")
    assert told["baseline"][7:11] == ["1\u202f122\u202f673", "826.65 MMAC", "3.15", "200.97"]
    beaten = candidate("w3", 21, 0.95, width=0.4)
    assert rows(tuning_page(study(BASE, NARROW, beaten)), "table")[-1][-1] == "trained"


def test_a_study_that_has_trained_nothing_makes_a_page_without_figures():
    html = tuning_page(study(candidate("base", 100, None, "baseline", status="training")))
    assert "The study is not finished" in html
    assert "nothing is trained yet" in html
    assert drawings(html) == []
    assert 'id="findings"' not in html
    assert "Recommendation" in tuning_page(study())


def test_what_fits_nothing_is_said():
    told = study(
        BASE,
        chosen=chosen(
            "base", fits=False, missing="100 ms, not 30 ms or less", latency=latency(100)
        ),
    )
    html = tuning_page(told)
    assert (
        "No candidate keeps both bounds. Closest: baseline, with 100 ms, not 30 ms or less." in html
    )
    assert (
        len(rows(html, "advice")) == 2
    )  # head and one row: the baseline is not set against itself


def test_figures_show_frame_rate_and_leave_out_what_is_far_below():
    told = study(BASE, UNTRAINED, LOWER)
    assert spot(LOWER) == pytest.approx((40, 96.5))
    assert below(told) == [UNTRAINED]
    assert stages_of(told) == ["baseline", "resolution-untrained", "resolution"]
    assert draw_front(told) == draw_front(told)
    assert draw_front(told) != draw_front(study(BASE, LOWER))


@pytest.mark.parametrize("told", [study(BASE), study(NARROW), iot_study()])
def test_figures_of_one_candidate_and_of_many(told):
    assert draw_front(told).startswith("<svg")
    assert draw_stages(told).startswith("<svg")


def test_the_verb_knows_a_study(tmp_path):
    assert not is_study(tmp_path)
    study(BASE, NARROW).save(tmp_path)
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "Tuning fastscnn" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    out = tmp_path / "elsewhere" / "page.html"
    assert write_tuning(tmp_path, out) == out
    (tmp_path / "candidates.json").write_text("[]")
    with pytest.raises(BadInput, match="not the record of a study"):
        write_tuning(tmp_path)
