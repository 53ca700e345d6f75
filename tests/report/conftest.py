from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from offramp.core.costs import Cost, Costs
from offramp.core.files import write_json, write_text
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.metrics.trace import Trace
from offramp.search.expectation import expect
from tests.tiny import at_least

EXITS = (("a", "r1-b0-fcn"), ("a", "r2-b1-fcn"), ("b", "r1-b0-fcn"), ("end", "own"))


@dataclass(frozen=True)
class Tables:
    """Four images, two classes, four exits at three positions; figures small enough for a head."""

    trace: Trace
    costs: Costs

    def plan(self, setting: str, rows: list[int], thresholds: list[float | None]) -> Plan:
        nothing = Expectation(miou=0, miou_per_image=0, macs=1, latency_ms=0)
        exits = [
            PlannedExit(
                point=EXITS[row][0],
                head=EXITS[row][1],
                rule=at_least(threshold),
                miou=self.trace.exit_miou(row),
            )
            for row, threshold in zip(rows, thresholds, strict=True)
        ]
        plan = Plan(
            setting=setting, scores=("mean-top1",), exits=tuple(exits), expected=nothing,
            full=nothing, size=self.trace.size, images=len(self.trace.images),
        )  # fmt: skip
        return expect(plan, self.trace, self.costs)


@pytest.fixture
def tables() -> Tables:
    right = np.array([[40, 10, 30, 20], [20, 20, 20, 20], [60, 50, 50, 30], [90, 80, 70, 60]])
    intersections = np.stack([right, right // 2], axis=2)  # E×N×C of 100 pixels a class
    surest = np.array([[0.9, 0.2, 0.8, 0.4], [0.5] * 4, [0.9, 0.7, 0.6, 0.3], [1.0] * 4])
    trace = Trace(
        images=("0.png", "1.png", "2.png", "3.png"),
        exits=EXITS,
        names=("floor", "<person>"),
        score_names=("mean-top1", "entropy"),
        scores=np.stack([surest, 1 - surest], axis=2),
        intersections=intersections.astype(np.int64),
        unions=np.full((4, 4, 2), 100, dtype=np.int64),
        size=(32, 64),
    )
    costs = Costs(
        points=("a", "b", "end"),
        segments=(Cost(macs=100, latency_ms=1), Cost(macs=200, latency_ms=2),
                  Cost(macs=300, latency_ms=3)),
        heads={
            "a": {"r1-b0-fcn": Cost(macs=20, latency_ms=0.2), "r2-b1-fcn": Cost(macs=10)},
            "b": {"r1-b0-fcn": Cost(macs=30, latency_ms=0.3)},
            "end": {"own": Cost()},
        },
        decode=Cost(latency_ms=1),
        size=(32, 64),
        engine={"engine": "onnxruntime 1"},
    )  # fmt: skip
    return Tables(trace, costs)


@pytest.fixture
def run_folder(tmp_path: Path, tables: Tables) -> Path:
    """Write a recorded and searched run without weights, whose data set is gone."""
    folder = tmp_path / "run"
    write_json(
        folder / "run.json",
        {
            "model": {"name": "<b>net</b>", "names": ["floor", "<person>"], "size": [32, 64]},
            "exits": {"a": ["r1-b0-fcn", "r2-b1-fcn"], "b": ["r1-b0-fcn"]},
            "data": str(tmp_path / "gone & away" / "dataset.yaml"),
            "done": ["stage1", "stage2"],
        },
    )
    tables.trace.save(folder / "trace.npz")
    write_text(folder / "costs.json", tables.costs.model_dump_json())
    plans = folder / "plans"
    tables.plan("input-dependent", [0, 2, 3], [0.7, 0.6, None]).save(plans / "input-dependent.json")
    tables.plan("budgeted", [2], [None]).save(plans / "budgeted.json")
    tables.plan("anytime", [0, 3], [None, None]).save(plans / "anytime.json")
    point = {"miou": 0.3, "macs": 120, "latency_ms": 2.2, "exits": ["a/r1-b0-fcn"]}
    write_json(plans / "input-dependent.frontier.json", [point])
    log = "epoch,step,train/loss,val/end/own,val/miou,val/a/r1-b0-fcn\n"
    write_text(folder / "log/stage1/metrics.csv", log + "0,9,,0.5,0.5,0.2\n0,9,1.5,,,\n")
    return folder


def measured(miou: float, macs: float, **more: object) -> dict[str, object]:
    """Write what `offramp eval --json` prints of one way of running."""
    return {
        "miou": miou,
        "miou_per_image": {"mean": miou, "std": 0.1},
        "iou": {"floor": miou, "<person>": None},
        "macs": macs,
        "latency_ms": {"p50": macs / 100, "p95": macs / 50, "mean": macs / 100},
        **more,
    }


@pytest.fixture
def evaluation() -> dict[str, object]:
    """An evaluation of the input-dependent plan."""
    share = {"a": 0.5, "b": 0.25, "end": 0.25}
    return measured(
        0.5, 200, exit_share=share, full=measured(0.6, 600), images=9, engine="e", new_key=1
    )
