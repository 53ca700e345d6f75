import numpy as np
import pytest

from offramp.core.errors import BadInput
from offramp.core.files import write_json, write_text
from offramp.report import headline, records
from offramp.report.examples import Example, examples
from offramp.report.material import follow, gather, read_log
from offramp.report.records import HeadDot, ShareBar, Spot


def test_headline_plan_is_input_dependent_and_replayed(run_folder):
    material = gather(run_folder)
    assert [p.name for p in material.plans] == ["input-dependent", "budgeted", "anytime"]
    assert material.headline.rows == (0, 2, 3)
    assert material.headline.taken.tolist() == [0, 1, 0, 2]


def test_frontier_marks_singles_plans_and_every_anytime_answer(run_folder, tables):
    record = records.frontier(gather(run_folder))
    assert record.singles["a"] == [
        Spot("r1-b0-fcn", 120, tables.trace.exit_miou(0)),
        Spot("r2-b1-fcn", 110, tables.trace.exit_miou(1)),
    ]
    assert "end" not in record.singles
    assert record.full == Spot("full network", 600, pytest.approx(0.5625))
    assert list(record.lines) == ["input-dependent"]
    anytime = record.plans[2]
    assert [(s.name, s.macs) for s in anytime.answers] == [("a", 120), ("end", 620)]
    assert len(record.plans[0].answers) == len(record.plans[1].answers) == 1


def test_shares_set_held_out_beside_calibration(run_folder, evaluation):
    write_json(run_folder / "eval/test.json", evaluation)
    bars = records.shares(gather(run_folder))
    assert bars[0] == ShareBar("input-dependent", True, {"a": 0.5, "b": 0.25, "end": 0.25})
    assert bars[1] == ShareBar("input-dependent on test", False, evaluation["exit_share"])
    assert [bar.name for bar in bars[2:]] == ["budgeted", "anytime"]


def test_score_panels_only_where_a_score_decides(run_folder):
    material = gather(run_folder)
    first, second = records.score_panels(material.headline, material.trace)
    assert (first.name, first.threshold, second.point) == ("a/r1-b0-fcn", 0.7, "b")
    assert first.reached.all()
    assert second.reached.tolist() == [False, True, False, True]
    np.testing.assert_allclose(first.miou, [0.3, 0.075, 0.225, 0.15])
    assert first.correlation == pytest.approx(1.0)
    assert records.score_panels(material.plans[1], material.trace) == []


def test_heads_are_ordered_by_work_and_mark_the_plan(run_folder, tables):
    record = records.heads(gather(run_folder))
    assert record.by_point["a"] == [
        HeadDot("r2-b1-fcn", tables.trace.exit_miou(1), 10, False),
        HeadDot("r1-b0-fcn", tables.trace.exit_miou(0), 20, True),
    ]
    assert record.own == pytest.approx(0.5625)


def test_curves_skip_empty_cells_and_the_summary(run_folder):
    record = records.curves(gather(run_folder).logs[0])
    assert record.loss == {0: 1.5}
    assert record.miou == {"end/own": {0: 0.5}, "a/r1-b0-fcn": {0: 0.2}}


def test_an_epoch_that_ran_again_counts_once(tmp_path):
    file = tmp_path / "metrics.csv"
    write_text(file, "epoch,train/loss\n0,2.0\n1,1.5\n1,1.0\n")
    assert read_log("stage1", file).columns == {"train/loss": {0: 2.0, 1: 1.0}}
    write_text(file, "epoch,train/loss\nx,2.0\n")
    with pytest.raises(BadInput, match="not a training log"):
        read_log("stage1", file)


def test_examples_are_typical_of_where_they_stop(run_folder):
    material = gather(run_folder)
    assert examples(material.headline, material.trace) == [
        Example(0, "easy", 0),  # images 0 and 2 stop first; the upper median of two
        Example(3, "hard", 2),
    ]
    assert examples(material.plans[1], material.trace)[0].kind == "typical"


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 90], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 1, 2, np.nan], [1, 1, 5, 9], 1.0),
        ([1, 2, 2, 3], [1, 3, 2, 4], 0.9486832980505138),
    ],
)
def test_rank_correlation(x, y, expected):
    assert records.rank_correlation(np.array(x, float), np.array(y, float)) == pytest.approx(
        expected
    )


def test_rank_correlation_of_a_constant_is_undefined():
    assert np.isnan(records.rank_correlation(np.ones(3), np.arange(3.0)))


def test_held_out_figures_lead_and_calibration_is_called_fitted(run_folder, evaluation):
    write_json(run_folder / "eval/calib.json", evaluation)
    write_json(run_folder / "eval/test.json", evaluation)
    material = gather(run_folder)
    rows = headline.comparisons(material, "calib")
    assert [(r.split, r.fitted) for r in rows] == [
        ("test", False),
        ("calib", True),
        ("calib", True),
    ]
    lead = headline.leading(rows, "input-dependent")
    assert (lead.split, lead.plan) == ("test", "input-dependent")
    assert (lead.macs_ratio, lead.latency_ratio) == (3.0, 3.0)
    assert lead.miou_change == pytest.approx(-0.1)
    assert headline.classes(material, lead)[1] == headline.ClassRow("<person>", None, None)


def test_an_evaluation_of_another_plan_does_not_lead(run_folder, evaluation):
    write_json(run_folder / "eval/test.json", evaluation | {"exit_share": {"b": 1.0}})
    write_json(run_folder / "eval/val.json", evaluation | {"exit_share": {"zzz": 1.0}})
    material = gather(run_folder)
    rows = headline.comparisons(material, "calib")
    assert [row.plan for row in rows] == ["budgeted", "", "input-dependent"]
    lead = headline.leading(rows, "input-dependent")
    assert lead.fitted
    floor = headline.classes(material, lead)[0]
    assert (floor.full, floor.early) == pytest.approx((0.75, (40 + 50 + 30 + 60) / 400))


def test_untimed_costs_have_no_latency_ratio():
    still = headline.Side(0.5, 0.5, 100, 0)
    row = headline.Comparison("calib", 4, True, "p", still, still)
    assert row.latency_ratio is None
    assert row.macs_ratio == 1.0


def test_pieces_sum_up_the_path(run_folder):
    material = gather(run_folder)
    rows = headline.pieces(material)
    assert [row.name for row in rows] == [
        "a", "a/r1-b0-fcn", "b", "b/r1-b0-fcn", "end", "end/own",
    ]  # fmt: skip
    assert [row.path.macs for row in rows if row.path] == [120, 350, 650]
    assert rows[3].path.latency_ms == pytest.approx(1 + 2 + 0.2 + 0.3 + 1)
    assert headline.full_cost(material).macs == 600


def test_a_plan_of_another_trace_is_refused(tables):
    plan = tables.plan("budgeted", [2], [None])
    stale = plan.model_copy(update={"expected": plan.expected.model_copy(update={"miou": 0.9})})
    with pytest.raises(BadInput, match="search again"):
        follow("old", stale, tables.trace, ())
