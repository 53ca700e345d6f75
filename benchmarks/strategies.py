"""Every exit strategy on one trained network (VIDEO tables 4.2 and 4.3, MESS figure 4).

    offramp train ...; offramp learn RUN; offramp record RUN
    python benchmarks/strategies.py RUN [--exits point/head ...]

Strategies are fitted on one half of the recorded images, for as much mIoU as the full network has
less a loss, and followed on the other half; ten divisions, mean and standard deviation. Once with
all classes, and once with two: the first class against the rest (drivable or not).
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import save

from offramp.cli.console import track
from offramp.core.costs import Costs
from offramp.core.files import read_json
from offramp.metrics.trace import Trace
from offramp.search.compare import Row, compare, halves
from offramp.search.exits import named_exits, usual_exits
from offramp.search.goal import Goal
from offramp.search.strategies import usual
from offramp.training.run import Run


def main() -> None:
    """Compare on every division, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--exits", nargs="+")
    arguments.add_argument("--max-miou-loss", type=float, default=0.005)
    arguments.add_argument("--divisions", type=int, default=10)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    run = Run.open(told.run)
    trace = Trace.load(run.trace_file)
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    rows = named_exits(trace, told.exits) if told.exits else usual_exits(trace, costs)
    goal = Goal(max_miou_loss=told.max_miou_loss)
    results: dict[str, Any] = {
        "model": run.state.model.name,
        "exits": ["/".join(trace.exits[row]) for row in rows],
        "max_miou_loss": told.max_miou_loss,
        "divisions": told.divisions,
    }
    for name, judged in (("all classes", trace), ("two classes", binary(trace))):
        found: dict[str, list[Row]] = {}
        for seed in range(told.divisions):
            here = compare(halves(judged, seed), costs, rows, usual(judged), goal, track)
            for row in here.rows:
                found.setdefault(row.policy, []).append(row)
        results[name] = {policy: _summary(each) for policy, each in found.items()}
        print(name)
        for policy, told_row in results[name].items():
            print(f"{policy:36}", {key: round(value[0], 4) for key, value in told_row.items()})
    save(told.out / f"strategies_{run.state.model.name}.json", results)


def binary(trace: Trace) -> Trace:
    """Merge all classes but the first; exact, from what a trace holds.

    A labelled pixel that is the first class in neither truth nor answer is right; one that is
    it in both is in no union of the rest.
    """
    inside, union = trace.intersections[:, :, 0], trace.unions[:, :, 0]
    labelled = (trace.intersections.sum(axis=2) + trace.unions.sum(axis=2)) // 2
    learned = {"classifier", "regressor", "exit-choice"}  # of another mIoU
    names = tuple(name for name in trace.score_names if name not in learned)
    return replace(
        trace,
        names=(trace.names[0], "other"),
        intersections=np.stack([inside, labelled - union], axis=2),
        unions=np.stack([union, labelled - inside], axis=2),
        score_names=names,
        scores=trace.scores[:, :, [trace.score_names.index(n) for n in names]],
    )


def _summary(rows: list[Row]) -> dict[str, tuple[float, float]]:
    """Give mean and standard deviation over the divisions, on held-out images."""
    held = [row.held_out for row in rows]
    columns = {
        "miou": [one.miou for one in held],
        "miou_per_image": [one.miou_per_image for one in held],
        "macs": [one.macs for one in held],
        "latency_ms": [one.latency_ms for one in held],
        "kept": [float(row.kept) for row in rows],
    }
    return {key: (float(np.mean(v)), float(np.std(v, ddof=1))) for key, v in columns.items()}


if __name__ == "__main__":
    main()
