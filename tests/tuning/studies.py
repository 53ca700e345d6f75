"""Studies written by hand, and IOT's own as one."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from offramp.tuning.candidate import Candidate, Chosen, Latency, Study

KNOBS = {"width": 1.0, "expansion": 6, "repetition": 3, "pyramid": True, "channels": 3}
ROOT = Path(__file__).parents[2]


def latency(median_ms: float, *, predicted: bool = False) -> Latency:
    return Latency(median_ms=median_ms, p5_ms=0.9 * median_ms, p95_ms=1.2 * median_ms, rounds=20,
                   predicted=predicted)  # fmt: skip


def candidate(
    id: str,
    ms: float | None,
    iou: float | None,
    stage: str = "width",
    size: tuple[int, int] = (512, 512),
    status: str = "trained",
    predicted: bool = False,
    **told: Any,
) -> Candidate:
    """Write a candidate; what is no field of it is a knob."""
    fields = {name: told.pop(name) for name in list(told) if name in Candidate.model_fields}
    return Candidate(
        id=id, stage=stage, size=size, status=status, iou=iou, knobs={**KNOBS, **told},
        latency=None if ms is None else latency(ms, predicted=predicted), parameters=1_122_673,
        macs=826.65e6, input_mb=3.15, forward_mb=200.97, epochs=4, epochs_planned=4, **fields,
    )  # fmt: skip


def study(*candidates: Candidate, **more: Any) -> Study:
    told: dict[str, Any] = {
        "model": "fastscnn",
        "data": "/somewhere/parcels & more/dataset.yaml",
        "names": ("background", "parcel"),
        "metric": "IoU of 'parcel'",
        "level": "expert",
        "size": (512, 512),
        "max_latency_ms": 30,
        "min_iou": 0.95,
        "budget_s": 3600,
        "spent_s": 1800,
        "engine": {"engine": "onnxruntime 1", "threads": "1"},
        "stages": ("baseline", "width"),
    }
    return Study(**{**told, "candidates": candidates, **more})


def chosen(id: str, **more: Any) -> Chosen:
    told: dict[str, Any] = {"fits": True, "latency": latency(20), "baseline_latency": latency(100),
                            "iou": 0.96}  # fmt: skip
    return Chosen(id=id, **{**told, **more})


def iot_tables() -> ModuleType:
    """Load the thesis's tables, which belong to the benchmarks."""
    where = importlib.util.spec_from_file_location("iot_tables", ROOT / "benchmarks/iot_tables.py")
    assert where is not None
    assert where.loader is not None
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


def iot_study() -> Study:
    """Write down what IOT measured as a study; its baseline is that of table 4.12."""
    tables = iot_tables()
    rows = [tables.WIDTH[0], *tables.UNTRAINED[1:], *tables.RETRAINED, *tables.LUMA,
            *tables.WIDTH[1:], *tables.REPETITION, *tables.TOPOLOGY, *tables.COMBINED]  # fmt: skip
    found = []
    for number, row in enumerate(rows):
        stage = "combination"
        if number == 0:
            stage = "baseline"
        elif not row.retrained:
            stage = "resolution-untrained"
        elif row.channels == 1:
            stage = "luma"
        elif row.table == "4.7":
            stage = "resolution"
        found.append(
            candidate(
                f"c{number:02}", 1000 * row.latency_s, row.iou, stage, (row.size_px, row.size_px),
                width=row.a, expansion=row.t, repetition=row.r, pyramid=row.pyramid,
                channels=row.channels,
            )
        )  # fmt: skip
    return study(*found, max_latency_ms=10, done=True)
