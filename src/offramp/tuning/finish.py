"""End a study: measure the choice again beside the baseline, test it, and export it."""

import logging
import tempfile
from pathlib import Path

from offramp.core.bundle import Bundle
from offramp.core.errors import OfframpError
from offramp.core.plan import Plan
from offramp.data.images import read_image
from offramp.export import export
from offramp.metrics.trace import Trace
from offramp.runtime.accuracy import evaluate
from offramp.runtime.session import Session
from offramp.tuning.bundles import single_exit
from offramp.tuning.candidate import Candidate, Chosen, Latency
from offramp.tuning.choice import missing, ranked
from offramp.tuning.clock import time_paths
from offramp.tuning.desk import Desk
from offramp.tuning.exits import exits_network, mixed, shares
from offramp.tuning.fit import static_network
from offramp.tuning.score import score

logger = logging.getLogger(__name__)

BUNDLE = "chosen.offramp"
TRIES = 3
"""So many candidates are measured again, until one still keeps the bound."""

FRAMES = 8
"""Images of the parity check."""


def finish(desk: Desk) -> Chosen | None:
    """Settle the choice, and write it down; none if nothing was trained.

    Of the candidates within the bounds the fastest is measured again, in turn with the baseline.
    If its median now misses the bound, the next is tried.
    """
    all_candidates = desk.ledger.all()
    order = [c for c in ranked(desk.study, all_candidates) if desk.weights(c).is_file()]
    if not order:
        desk.save(done=True)
        return None
    within = [c for c in order if not _misses(desk, c)]
    with tempfile.TemporaryDirectory() as folder:
        plain = _export(desk, all_candidates[0], Path(folder) / "baseline.offramp")
        for candidate in within[:TRIES] or order[:1]:
            bundle = _export(desk, candidate, desk.task.out / BUNDLE)
            chosen = _settled(desk, candidate, bundle, plain)
            if chosen.fits:
                break
        chosen = _tested(desk, chosen, bundle, plain)
    desk.save(chosen, done=True)
    return chosen


def _misses(desk: Desk, candidate: Candidate) -> str:
    assert candidate.latency is not None
    return missing(desk.study, candidate.latency, candidate.iou or 0.0)


def _export(desk: Desk, candidate: Candidate, out: Path) -> Bundle:
    """Write a trained candidate as a bundle; the choice before it is replaced."""
    samples = desk.data.samples("calib" if "calib" in desk.data.splits else "val")
    frames = [read_image(sample.image) for sample in samples[:FRAMES]]
    if candidate.kind == "exits":
        plan = Plan.load(desk.task.out / candidate.plan)
        return export(exits_network(desk, candidate), plan, frames, out)
    latency = candidate.latency.median_ms if candidate.latency else 0.0
    images = len(desk.data.samples("val"))
    plan = single_exit(candidate.size, candidate.iou or 0.0, candidate.macs, latency, images)
    network = static_network(desk.folder(candidate), candidate.size)
    return export(network, plan, frames, out)


def _settled(desk: Desk, candidate: Candidate, bundle: Bundle, plain: Bundle) -> Chosen:
    """Measure a candidate again, in turn with the baseline."""
    baseline = desk.ledger.all()[0]
    if desk.study.remote:
        latency, base = candidate.latency, baseline.latency
    else:
        sessions = [Session(one, threads=desk.task.threads) for one in (bundle, plain)]
        paths, (base,) = time_paths(sessions, 2 * desk.task.rounds, desk.track)
        latency = _mixed(desk, candidate, bundle.manifest.plan, paths)
    assert latency is not None
    assert base is not None
    assert candidate.iou is not None
    misses = missing(desk.study, latency, candidate.iou)
    return Chosen(
        id=candidate.id,
        fits=not misses,
        missing=misses,
        latency=latency,
        baseline_latency=base,
        iou=candidate.iou,
        bundle=BUNDLE,
    )


def _mixed(desk: Desk, candidate: Candidate, plan: Plan, paths: list[Latency]) -> Latency:
    if candidate.kind == "static":
        return paths[-1]
    parts, _ = shares(plan, Trace.load(desk.folder(candidate) / "val.npz"))
    return mixed(paths, [float(part) for part in parts])


def _tested(desk: Desk, chosen: Chosen, bundle: Bundle, plain: Bundle) -> Chosen:
    """Run the choice and the baseline on the test images, which chose nothing."""
    if "test" not in desk.data.splits:
        return chosen
    try:
        reached = [
            evaluate(Session(one, threads=desk.task.threads), desk.data, "test", desk.track)[0]
            for one in (bundle, plain)
        ]
    except OfframpError as error:
        desk.remark(f"the test split could not be used: {error}")
        return chosen
    iou, base = (score(o.intersections.sum(axis=0), o.unions.sum(axis=0)) for o in reached)
    if iou < desk.study.min_iou <= chosen.iou:
        said = f"on the test images {iou:.4f}, below {desk.study.min_iou:g}"
        desk.remark(f"the choice keeps the IoU on the validation images, but not {said}")
    return chosen.model_copy(update={"test_iou": iou, "baseline_test_iou": base})
