"""Branched LeNet on MNIST (VIDEO §4.2, table 4.1): what does the early exit save?

    offramp train --data MNIST --model lenet --recipe recipes/mnist.yaml --out RUN
    python benchmarks/mnist.py RUN

Picks the entropy threshold on calib (5,000 digits of the training file that no training saw): the
one at which the fewest go on and no more are wrong than at the network's end. Then answers the
10,000 digits of test, one by one, by the exported bundle. Beside it, replayed: the threshold at
which the fewest go on and accuracy on calib is still that of the paper, 97.57 %.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from machine import save

from offramp.cli.console import track
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.rule import AtMost
from offramp.evaluation import record
from offramp.export import export
from offramp.metrics.trace import Trace
from offramp.runtime.accuracy import Outcome, evaluate, mean_macs
from offramp.runtime.session import Session
from offramp.search.designs import levels
from offramp.training.run import Run

SCORE = "entropy"
PAPER = 0.9757
"""Accuracy of the whole network in VIDEO table 4.1."""
EXITS = (("block1", "fc"), ("end", "own"))


def main() -> None:
    """Fit, export, evaluate, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    run = Run.open(told.run)
    network = run.load_network()
    calib = record(network, run.dataset, "calib", track)
    threshold = _threshold(calib, _right(calib, 1).mean())
    paper = _threshold(calib, PAPER)
    with TemporaryDirectory() as folder:
        plan = _plan(calib, threshold)
        session = Session(export(network, plan, run.frames(64), Path(folder) / "lenet.offramp"))
        early, full = evaluate(session, run.dataset, "test", track)
        test = record(network, run.dataset, "test", track)
        results = {
            "recipe": run.recipe.model_dump(mode="json"),
            "threshold": threshold,
            "exits": {
                "/".join(pair): float(_right(test, row).mean()) for row, pair in enumerate(EXITS)
            },
            "early": _described(early, mean_macs(session, early.taken)),
            "full": _described(full, float(session.bundle.manifest.full_macs)),
            "early_share": float((early.taken == 0).mean()),
            "path_macs": session.bundle.manifest.path_macs,
            "at_the_paper_s_accuracy": _replayed(test, paper, session.bundle.manifest.path_macs),
        }
    for key in results:
        print(key, results[key])
    save(told.out / "mnist.json", results)


def _right(trace: Trace, row: int) -> np.ndarray:
    """Tell which images an exit answers rightly; shape N."""
    return trace.intersections[row].sum(axis=1) > 0


def _threshold(trace: Trace, accuracy: float) -> float:
    """Find the largest threshold at which so many images are right."""
    early, end = (_right(trace, row) for row in range(2))
    scores = trace.score(0, SCORE)
    fitting = [t for t in levels(scores, 2000) if _share(scores <= t, early, end) >= accuracy]
    return float(max(fitting))


def _replayed(trace: Trace, threshold: float, path_macs: Sequence[int]) -> dict[str, float]:
    """Say what a threshold does."""
    stops = trace.score(0, SCORE) <= threshold
    return {
        "threshold": threshold,
        "accuracy": _share(stops, _right(trace, 0), _right(trace, 1)),
        "early_share": float(stops.mean()),
        "macs": float(np.where(stops, path_macs[0], path_macs[1]).mean()),
    }


def _share(stops: np.ndarray, early: np.ndarray, end: np.ndarray) -> float:
    return float(np.where(stops, early, end).mean())


def _plan(trace: Trace, threshold: float) -> Plan:
    nothing = Expectation(miou=0, miou_per_image=0, macs=0, latency_ms=0)
    (point, head), last = EXITS
    return Plan(
        setting="input-dependent",
        scores=(SCORE,),
        exits=(
            PlannedExit(point=point, head=head, rule=AtMost(threshold=threshold)),
            PlannedExit(point=last[0], head=last[1]),
        ),
        expected=nothing,
        full=nothing,
        size=trace.size,
        images=len(trace.images),
    )


def _described(outcome: Outcome, macs: float) -> dict[str, float]:
    """Give accuracy, work and time."""
    return {
        "accuracy": float((outcome.intersections.sum(axis=1) > 0).mean()),
        "macs": macs,
        "latency_ms_mean": float(outcome.latency_ms.mean()),
        "latency_ms_p50": float(np.median(outcome.latency_ms)),
    }


if __name__ == "__main__":
    main()
