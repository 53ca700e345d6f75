"""What do early exits save on a trained run, and does the live session do what the search said?

Needs a run that was trained and recorded:

    offramp train --data DATA --model fastscnn --recipe recipes/factory.yaml --out RUN
    offramp record RUN
    python benchmarks/factory.py RUN [--video FILE] [--fitted calib] [--on val]

Searches the cheapest plan within a loss of mIoU on the recorded split, exports it, evaluates it on
another beside the full network, and compares the exit of every recorded image with the offline
replay.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from machine import save

from offramp.cli.console import track
from offramp.cli.eval import described_evaluation
from offramp.core.costs import Costs
from offramp.core.files import read_json
from offramp.export import export
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.session import Session
from offramp.search import Goal, search
from offramp.training.run import Run
from offramp.video.run import run as run_sources
from offramp.video.sources import open_source


def main() -> None:
    """Search, export, evaluate, replay, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--max-miou-loss", type=float, default=0.01)
    arguments.add_argument("--video")
    arguments.add_argument("--fitted", default="calib", help="the split that was recorded")
    arguments.add_argument("--on", default="val", help="the split to evaluate on")
    arguments.add_argument("--name", default="factory", help="of the result file")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    run = Run.open(told.run)
    trace = Trace.load(run.trace_file)
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    found = search(trace, costs, Goal.cheapest(max_miou_loss=told.max_miou_loss), track)
    with TemporaryDirectory() as folder:
        bundle = export(run.load_network(), found.plan, run.frames(16), Path(folder) / "bundle")
        session = Session(bundle)
        results = {
            "recipe": run.recipe.model_dump(mode="json"),
            "plan": found.plan.model_dump(mode="json"),
            "configurations": found.configurations,
            "search_seconds": found.seconds,
            "parity": bundle.manifest.parity.model_dump(),
            told.on: described_evaluation(session, run.dataset, told.on, track),
            "replay": _replayed(session, run, trace, told.fitted),
        }
        if told.video:
            results["video"] = _video(session, told.video, Path(folder) / "video")
    early, full = results[told.on], results[told.on]["full"]
    results["macs_ratio"] = full["macs"] / early["macs"]
    results["miou_loss"] = full["miou"] - early["miou"]
    results["latency_ratio"] = full["latency_ms"]["mean"] / early["latency_ms"]["mean"]
    for key in ("macs_ratio", "miou_loss", "latency_ratio", "replay", "video"):
        print(key, results.get(key))
    told.out.mkdir(exist_ok=True)
    save(told.out / f"{told.name}.json", results)


def _replayed(session: Session, run: Run, trace: Trace, split: str) -> dict[str, int]:
    """Count the recorded images whose live exit differs from the replayed one."""
    plan = session.bundle.manifest.plan
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    offline = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    live = [session.segment(image).exit for image, _ in run.dataset.pairs(split)]
    return {"images": len(live), "different": int((offline != np.array(live)).sum())}


def _video(session: Session, file: str, out: Path) -> dict[str, object]:
    tally = run_sources(session, [open_source(file)], out, track=track)
    return {
        "file": Path(file).name,
        "frames": tally.frames,
        "unreadable": tally.unreadable,
        "taken": dict(tally.taken),
        "latency_ms_p50": float(np.median(tally.latency_ms)),
    }


if __name__ == "__main__":
    main()
