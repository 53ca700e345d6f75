import sys

import pytest

from offramp.core.errors import BadInput, MissingExtra
from offramp.core.files import write_json
from offramp.report import write_report


def test_a_page_without_pictures_says_why_and_escapes_names(run_folder, evaluation):
    write_json(run_folder / "eval/test.json", evaluation)
    file = write_report(run_folder)
    html = file.read_text(encoding="utf-8")
    assert file == run_folder / "report" / "index.html"
    assert "Early exits for &lt;b&gt;net&lt;/b&gt; on gone &amp; away" in html
    assert "<person>" not in html
    assert "On 9 held-out images (test), stopping early does 3.00 times less work" in html
    assert "No pictures: there is no data set" in html
    assert html.count("data:image/svg+xml;base64,") == 6
    assert [f.name for f in file.parent.iterdir()] == ["index.html"]


def test_without_held_out_figures_the_page_warns(run_folder, tmp_path):
    out = tmp_path / "elsewhere" / "r.html"
    assert write_report(run_folder, out) == out
    assert "No held-out figures yet" in out.read_text(encoding="utf-8")


def test_a_budgeted_plan_alone_makes_a_page(run_folder):
    for name in ("input-dependent", "anytime", "input-dependent.frontier"):
        (run_folder / "plans" / f"{name}.json").unlink()
    html = write_report(run_folder).read_text(encoding="utf-8")
    assert "What the score knows" not in html
    assert "The plan &#x27;budgeted&#x27;" in html


@pytest.mark.parametrize(
    ("gone", "repair"),
    [
        ("run.json", "offramp train"),
        ("trace.npz", "offramp record"),
        ("costs.json", "offramp record"),
        ("plans", "offramp search"),
    ],
)
def test_missing_pieces_name_the_verb_that_makes_them(run_folder, gone, repair):
    (run_folder / gone).rename(run_folder / "away")
    with pytest.raises(BadInput, match=repair):
        write_report(run_folder)
    assert not (run_folder / "report").exists()


def test_a_faulty_evaluation_is_named(run_folder, evaluation):
    write_json(run_folder / "eval/test.json", evaluation | {"macs": "many"})
    with pytest.raises(BadInput, match=r"test\.json.*'macs'.*offramp eval"):
        write_report(run_folder)


def test_without_matplotlib_the_extra_is_named(run_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"offramp\[train\]"):
        write_report(run_folder)
