"""Does a bundle do what the search foretold?

Needs a run that was trained and recorded, and its images:

    python benchmarks/foretold.py RUN [--on calib] [--threads 1]

Searches the cheapest plan within a loss, exports it, and evaluates the bundle on the recorded
split: mIoU, exit shares and work must be equal. Times are measured round after round: all pieces
(what a plan's latency is summed from), then the bundle on all images; ratios are medians.
"""

import argparse
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from machine import save

from offramp.cli.console import track
from offramp.cli.eval import described_evaluation
from offramp.core.costs import Costs
from offramp.core.files import read_json
from offramp.export import export
from offramp.metrics.trace import Trace
from offramp.profiling.latency import measure
from offramp.runtime.ort import share_pool
from offramp.runtime.session import Session
from offramp.search import Goal, search
from offramp.search.expectation import expect
from offramp.training.run import Run


def main() -> None:
    """Measure, search, export, evaluate, compare, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--max-miou-loss", type=float, default=0.01)
    arguments.add_argument("--on", default="calib", help="the split that was recorded")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=3, help="of times")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    share_pool(told.threads)
    run = Run.open(told.run)
    trace, network = Trace.load(run.trace_file), run.load_network()
    frame = next(iter(run.dataset.pairs(told.on)))[0].shape[:2]
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    plan = search(trace, costs, Goal(max_miou_loss=told.max_miou_loss), track).plan
    seen: dict[str, Any] = {}
    times: list[tuple[float, float, float, float]] = []
    with TemporaryDirectory() as folder:
        bundle = export(network, plan, run.frames(16), Path(folder) / "bundle")
        session = Session(bundle, threads=told.threads)
        for _ in range(told.rounds):
            costs = measure(network, frame, threads=told.threads, track=track)
            seen = described_evaluation(session, run.dataset, told.on, track)
            said = expect(plan, trace, costs)
            times.append(
                (
                    said.expected.latency_ms,
                    seen["latency_ms"]["mean"],
                    said.full.latency_ms,
                    seen["full"]["latency_ms"]["mean"],
                )
            )
            print("ms expected, measured; full network:", *(round(ms, 2) for ms in times[-1]))
    expected = plan.expected
    shares = {f"{e.point}/{e.head}": e.share for e in plan.exits}
    results = {
        "model": run.state.model.name,
        "images": len(trace.images),
        "exits": shares,
        "miou_difference": seen["miou"] - expected.miou,
        "macs_difference": seen["macs"] - expected.macs,
        "share_difference": max(
            abs(share - told_share)
            for share, told_share in zip(shares.values(), seen["exit_share"].values(), strict=True)
        ),
        "latency_ms": [{"expected": one[0], "measured": one[1]} for one in times],
        "full_latency_ms": [{"expected": one[2], "measured": one[3]} for one in times],
        "latency_ratio": median(one[1] / one[0] for one in times),
        "full_latency_ratio": median(one[3] / one[2] for one in times),
    }
    for key, value in results.items():
        print(key, value)
    told.out.mkdir(exist_ok=True)
    save(told.out / f"foretold_{run.state.model.name}.json", results)


if __name__ == "__main__":
    main()
