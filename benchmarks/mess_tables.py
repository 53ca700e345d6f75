"""What does the search find on a trained run? MESS tables 2 and 7 in small.

Needs a run that was trained and recorded:

    python benchmarks/mess_tables.py RUN [--loss 0.03]

Table 2: the full network, the most accurate plan within its work, the cheapest within 0.1 and
within 1 point of mIoU. Table 7: one early exit, budgeted, anytime and input-dependent, for one
accuracy. Plans are chosen on one half of the recorded images; the other half stands beside.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from machine import save

from offramp.cli.console import track
from offramp.core.costs import Costs
from offramp.core.files import read_json
from offramp.metrics.trace import Trace
from offramp.search import Found, Goal, search
from offramp.training.run import Run


def main() -> None:
    """Search, print, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--loss", type=float, default=0.03, help="of table 7, in mIoU")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    run = Run.open(told.run)
    trace = Trace.load(run.trace_file)
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    work = costs.of([trace.exits[-1]]).macs
    goals = {
        "2: most accurate": Goal(max_macs=work),
        "2: loss <= 0.1 points": Goal(max_miou_loss=0.001),
        "2: loss <= 1 point": Goal(max_miou_loss=0.01),
        "7: budgeted": Goal("budgeted", max_miou_loss=told.loss),
        "7: anytime": Goal("anytime", max_miou_loss=told.loss, early_exits=1),
        "7: input-dependent": Goal(max_miou_loss=told.loss, early_exits=1),
    }
    rows: dict[str, object] = {}
    for name, goal in goals.items():
        found = search(trace, costs, goal, track, held_out=0.5)
        rows[name] = row = described(found)
        print(name, {key: value for key, value in row.items() if key != "design"})
        print("   ", row["design"])
    results = {
        "model": run.state.model.name,
        "recorded": len(trace.images),
        "positions": len(costs.points) - 1,
        "heads": len(trace.exits) - 1,
        "table_7_loss": told.loss,
        "rows": rows,
    }
    told.out.mkdir(exist_ok=True)
    save(told.out / f"mess_tables_{run.state.model.name}.json", results)


def described(found: Found) -> dict[str, object]:
    """Say what a plan does on either half, and how much less it costs than the full network."""
    chosen, full = found.chosen, found.full
    division = found.plan.division
    assert division is not None
    anytime = found.plan.setting == "anytime"
    return {
        "miou": chosen.miou,
        "miou_held_out": chosen.held_out,
        "full_miou": full.miou,
        "full_miou_held_out": division.held_out.full.miou,
        "gmacs": chosen.macs / 1e9,
        "macs_ratio": full.macs / chosen.macs,
        "latency_ms": chosen.latency_ms,
        "latency_ratio": full.latency_ms / chosen.latency_ms,
        "head_gmacs": (chosen.macs - full.macs) / 1e9 if anytime else None,
        "configurations": found.configurations,
        "seconds": found.seconds,
        "optimal": found.optimal,
        "design": {key: asdict(chosen)[key] for key in ("exits", "scores", "thresholds", "shares")},
    }


if __name__ == "__main__":
    main()
