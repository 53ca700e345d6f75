"""How much faster does tuning make a network, and for how much IoU (IOT tables 4.6 to 4.23)?

Needs a study:

    offramp tune --data DATA --model fastscnn --level expert --max-latency-ms X --min-iou Y \
        --time-budget 90m --out STUDY
    python benchmarks/tune.py STUDY [--name packages]

Saves all candidates with their ratios against the baseline, beside the thesis's network with the
same knobs where it has one; the fronts, the findings, and two figures. Latencies are those that the
study measured, under `engine`. Prints the table for README.md.
"""

import argparse
from pathlib import Path
from typing import Any

import iot_tables as iot
from machine import save

from offramp.core.errors import BadInput
from offramp.core.files import write_text
from offramp.core.model import format_size
from offramp.report.tuning_figures import draw_front, draw_stages
from offramp.tuning.candidate import Candidate, Study
from offramp.tuning.findings import findings
from offramp.tuning.label import label
from offramp.tuning.recommend import finished, frontier, point, recommend, sentence

LOSSES = (0.0065, 0.01, 0.02, 0.05)
"""IoU given up, in the table of the most speed for it; the first is IOT's for 192 pixels."""


def main() -> None:
    """Read, compare, draw, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("study", type=Path)
    arguments.add_argument("--name", default="packages", help="of the result files")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    study = Study.load(told.study)
    if not study.candidates or not study.candidates[0].finished:
        raise BadInput("the study's baseline is not trained", repair="let offramp tune go on")
    told.out.mkdir(exist_ok=True)
    for kind, drawing in (("front", draw_front(study)), ("stages", draw_stages(study))):
        write_text(told.out / f"tune_{told.name}_{kind}.svg", drawing)
    results = described(study)
    print(markdown(results))
    save(told.out / f"tune_{told.name}.json", results)


def described(study: Study) -> dict[str, Any]:
    """Gather what the result file holds."""
    known = finished(study)
    static = [candidate for candidate in known if candidate.kind == "static"]
    return {
        "study": study.model_dump(mode="json", exclude={"candidates", "data", "chosen"}),
        "chosen": study.chosen and study.chosen.model_dump(mode="json"),
        "candidates": [_row(candidate, study) for candidate in study.candidates],
        "static_front": [candidate.id for candidate in frontier(static)],
        "joint_front": [candidate.id for candidate in frontier(known)],
        "most_speed_for": most_speed(study),
        "findings": [
            {"claim": one.claim, "verdict": one.verdict, "figures": one.figures}
            for one in findings(study)
        ],
        "recommendation": [sentence(pick, study) for pick in recommend(study)],
    }


def most_speed(study: Study) -> list[dict[str, Any]]:
    """Find the fastest for each loss of IoU against the baseline, here and in the thesis."""
    base = point(study.candidates[0])
    here = [
        (base[0] / point(one)[0], base[1] - point(one)[1], label(one, study.candidates[0]))
        for one in finished(study)
    ]
    there = [(*_against_baseline(row), _told(row)) for row in iot.ALL]
    rows = []
    for loss in (*LOSSES, 1.0):
        found: dict[str, Any] = {"most_iou_lost": loss}
        for who, each in (("here", here), ("thesis", there)):
            faster, lost, name = max(one for one in each if one[1] <= loss + 1e-9)
            found[who] = {"faster": faster, "iou_lost": lost, "network": name}
        rows.append(found)
    return rows


def markdown(results: dict[str, Any]) -> str:
    """Write all finished candidates, the front in bold, and the most speed for each loss."""
    lines = ["| network | IoU | latency | faster, IoU lost | the thesis's: faster, IoU lost |"]
    lines += ["|---|---|---|---|---|"]
    known = [row for row in results["candidates"] if row["iou_lost"] is not None]
    for row in sorted(known, key=lambda row: row["faster"]):
        thesis = row["thesis"]
        mark = "**" if row["id"] in results["joint_front"] else ""
        lines.append(
            f"| {mark}{row['label']}{mark} | {100 * row['iou']:.2f} % "
            f"| {row['latency']['median_ms']:.2f} ms | {_ratio(row)} "
            f"| {_ratio(thesis) if thesis else ''} |"
        )
    lines += ["", "| IoU lost, at most | here | thesis |", "|---|---|---|"]
    for row in results["most_speed_for"]:
        cells = [f"{_ratio(row[who])} ({row[who]['network']})" for who in ("here", "thesis")]
        loss = row["most_iou_lost"]
        bound = "any" if loss == 1 else f"{100 * loss:g} points"
        lines.append(f"| {bound} | {cells[0]} | {cells[1]} |")
    lines += ["", *(f"- {one['claim']}: {one['verdict']}." for one in results["findings"])]
    return "\n".join(lines)


def _ratio(row: dict[str, Any]) -> str:
    return f"{row['faster']:.2f} ×, {100 * row['iou_lost']:.2f}"


def _row(candidate: Candidate, study: Study) -> dict[str, Any]:
    """Describe one candidate, and set it against the baseline and the thesis."""
    base = study.candidates[0]
    told = candidate.model_dump(mode="json", exclude={"run", "plan", "rungs"})
    told["label"] = label(candidate, base)
    told["faster"] = told["iou_lost"] = told["thesis"] = None
    if candidate.latency is not None and base.latency is not None:
        told["faster"] = base.latency.median_ms / candidate.latency.median_ms
    if candidate.finished and base.finished:
        told["iou_lost"] = point(base)[1] - point(candidate)[1]
    if candidate.kind == "static" and candidate.id != base.id and study.model == "fastscnn":
        told["thesis"] = _thesis(candidate, study)
    return told


def _thesis(candidate: Candidate, study: Study) -> dict[str, Any] | None:
    """Describe the thesis's network with the same knobs at about the same share of its size."""
    area = candidate.size[0] * candidate.size[1] / (study.size[0] * study.size[1])
    # A study of a lower level knows fewer knobs; the others are at their defaults.
    knobs = {**iot.DEFAULTS, **{name: float(value) for name, value in candidate.knobs.items()}}
    row = iot.like(area**0.5, knobs, candidate.stage != "resolution-untrained")
    if row is None:
        return None
    faster, lost = _against_baseline(row)
    return {"network": _told(row), "faster": faster, "iou_lost": lost}


def _against_baseline(row: iot.Measured) -> tuple[float, float]:
    base = iot.baseline(row)
    return base.latency_s / row.latency_s, base.iou - row.iou


def _told(row: iot.Measured) -> str:
    size = format_size((row.size_px, row.size_px))
    retrained = "" if row.retrained else ", not retrained"
    knobs = f"a={row.a:g}, t={row.t}, r={row.r}, pp={int(row.pyramid)}"
    return f"table {row.table}: {size}x{row.channels}, {knobs}{retrained}"


if __name__ == "__main__":
    main()
