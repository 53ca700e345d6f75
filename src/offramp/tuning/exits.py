"""Exits as one more knob: the best static candidates get early exits, and the exact search runs.

Beyond IOT. The trained network stays as it is; heads are trained on it (MESS §4.3, stage 2),
recorded on the calibration images, and searched. Each plan is then judged on the validation
images, as the static candidates are, and its paths are timed as a bundle, as theirs are.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from offramp.core.costs import Costs
from offramp.core.errors import Infeasible
from offramp.core.files import read_json
from offramp.core.plan import Plan
from offramp.core.progress import Track
from offramp.data.images import read_image
from offramp.evaluation import record
from offramp.export import export
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork
from offramp.policies.policy import RulePolicy, replay
from offramp.profiling.record import record_run
from offramp.runtime.session import Session
from offramp.search import Goal, search
from offramp.training.recipe import Distillation, Recipe
from offramp.training.run import Run, load_backbone, save_weights
from offramp.training.train import train
from offramp.tuning.candidate import Candidate, Latency
from offramp.tuning.choice import ranked
from offramp.tuning.clock import time_paths
from offramp.tuning.desk import Desk
from offramp.tuning.fit import recipe_of, within
from offramp.tuning.frontier import dominates, front
from offramp.tuning.score import score

logger = logging.getLogger(__name__)

HOSTS = 3
"""So many static candidates get exits."""

LOSSES = (0.0, 0.005, 0.01, 0.02, 0.04)
"""The cheapest plan is sought within each of these losses of mIoU against its own network."""


def hosts(desk: Desk) -> list[Candidate]:
    """Choose who gets exits: on the static front, the best choice and those that are slower."""
    static = desk.static()
    points = [_point(c) for c in static]
    line = [static[i] for i in front(points)]
    best = ranked(desk.study, line)[:1]
    slower = [c for c in line if best and _point(c)[0] > _point(best[0])[0]]
    faster = [c for c in reversed(line) if c not in slower and c not in best]
    return [*best, *slower, *faster][:HOSTS]


def add_exits(desk: Desk, host: Candidate) -> None:
    """Give a static candidate exits, and enter the plans of the search into the ledger.

    Raises:
        OutOfTime: no time is left; heads that were trained by then are kept.
    """
    if any(c.kind == "exits" and c.parent == host.id for c in desk.ledger.all()):
        return
    track = within(desk.left, desk.track)
    run = _with_heads(desk, host, track)
    judged = run.folder / "val.npz"
    if not judged.is_file():
        record_run(run, "calib", threads=desk.task.threads, track=track)
        record(run.load_network(), desk.data, "val", track).save(judged)
    plans = _plans(run, track)
    if not plans:
        desk.remark(f"{host.id}: no plan with early exits is cheaper within the losses tried")
        return
    seen = Trace.load(judged)
    times = _timed(desk, run, plans, track)
    for number, (plan, paths) in enumerate(zip(plans, times, strict=True), start=1):
        file = run.folder / "plans" / f"{number}.json"
        plan.save(file)
        desk.ledger.add(_candidate(desk, host, run, plan, seen, paths, number))
    desk.save()


def compare_fronts(desk: Desk) -> None:
    """Say whether any point with exits beats the static front."""
    done = [c for c in desk.ledger.all() if c.finished and c.stage != "resolution-untrained"]
    joint = [c for c in done if c.kind == "exits"]
    static = [c for c in done if c.kind == "static"]
    if not joint:
        return
    winners = {
        c.id: [s.id for s in static if dominates(_point(c), _point(s))]
        for c in joint
        if any(dominates(_point(c), _point(s)) for s in _front(static))
    }
    if winners:
        said = "; ".join(f"{id} beats {', '.join(others)}" for id, others in winners.items())
        desk.remark(f"exits dominate points of the static front: {said}")
    else:
        desk.remark("no point with exits dominates a point of the static front")


def shares(plan: Plan, trace: Trace) -> tuple[np.ndarray, float]:
    """Replay a plan: the share of images that stop at each exit, and the study's IoU."""
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    taken = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    images = np.arange(len(trace.images))
    chosen = np.array(rows)[taken]
    tables = trace.intersections, trace.unions
    counts = [table[chosen, images].sum(axis=0) for table in tables]
    return np.bincount(taken, minlength=len(rows)) / len(images), score(*counts)


def mixed(paths: Sequence[Latency], parts: Sequence[float]) -> Latency:
    """Average the times of paths over the images that take them."""
    p5, median, p95 = (
        float(np.dot(parts, [getattr(path, key) for path in paths]))
        for key in ("p5_ms", "median_ms", "p95_ms")
    )
    return Latency(
        median_ms=median, p5_ms=p5, p95_ms=p95, rounds=paths[0].rounds, predicted=len(paths) > 1
    )


def exits_network(desk: Desk, candidate: Candidate) -> MultiExitNetwork:
    """Open the network of a point with exits."""
    return Run.open(desk.folder(candidate)).load_network()


def _with_heads(desk: Desk, host: Candidate, track: Track) -> Run:
    """Train heads on a candidate's frozen network."""
    folder = desk.task.out / "exits" / host.id
    run = Run.resume(folder, desk.task.model, _recipe(desk, host), desk.data)
    if not run.state.done:
        network = run.plain_network()
        load_backbone(network, desk.weights(host))
        save_weights(network, folder / "stage1.safetensors")
        run.update(run.state.model_copy(update={"done": ("stage1",)}))
    return train(run, track, desk.data)


def _recipe(desk: Desk, host: Candidate) -> Recipe:
    told = desk.task.recipe
    plain = recipe_of(told, desk.setting(host), "", None)
    return plain.model_copy(
        update={"exits": desk.task.early, "stage2": told.stage2 or Distillation(), "weights": None}
    )


def _plans(run: Run, track: Track) -> list[Plan]:
    """Search the cheapest plan within each loss; those that use an early exit, each once."""
    trace = Trace.load(run.trace_file)
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    found: dict[str, Plan] = {}
    for loss in LOSSES:
        try:
            plan = search(trace, costs, Goal(max_miou_loss=loss, cost="latency"), track).plan
        except Infeasible:
            continue
        key = str([(e.point, e.head, e.rule) for e in plan.exits])
        if len(plan.exits) > 1 or plan.exits[0].point != trace.exits[-1][0]:
            found.setdefault(key, plan)
    return list(found.values())


def _timed(desk: Desk, run: Run, plans: Sequence[Plan], track: Track) -> list[list[Latency]]:
    """Export each plan and time its paths in turn; a target device's times are not to be had."""
    frames = [read_image(sample.image) for sample in desk.data.samples("val")[:4]]
    network = run.load_network()
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / f"{number}.offramp" for number in range(len(plans))]
        pairs = list(zip(plans, places, strict=True))
        for plan, place in track(pairs, len(pairs), "exporting plans"):
            export(network, plan, frames, place)
        sessions = [Session(place, threads=desk.task.threads) for place in places]
        return time_paths(sessions, desk.task.rounds, track)


def _candidate(
    desk: Desk,
    host: Candidate,
    run: Run,
    plan: Plan,
    seen: Trace,
    paths: Sequence[Latency],
    number: int,
) -> Candidate:
    """Describe a plan as a candidate, judged on the validation images."""
    parts, reached = shares(plan, seen)
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    visited = [(planned.point, planned.head) for planned in plan.exits]
    pieces = [costs.of(visited[: i + 1]) for i in range(len(visited))]
    heads = sum(costs.heads[point][head].parameters for point, head in visited)
    path = costs.segment_path(visited[-1][0]).parameters
    folder = run.folder.relative_to(desk.task.out)
    return host.model_copy(
        update={
            "id": f"{host.id}-exits{number}",
            "stage": "exits",
            "kind": "exits",
            "parameters": path + heads,
            "macs": float(np.dot(parts, [piece.macs for piece in pieces])),
            "latency": mixed(paths, [float(part) for part in parts]),
            "iou": reached,
            "rungs": (),
            "epochs": run.recipe.stage2.epochs if run.recipe.stage2 else 0,
            "epochs_planned": run.recipe.stage2.epochs if run.recipe.stage2 else 0,
            "seconds": 0.0,
            "parent": host.id,
            "inherited": "the whole network, frozen",
            "inherited_share": 1.0,
            "run": str(folder),
            "plan": str(folder / "plans" / f"{number}.json"),
        }
    )


def _front(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [candidates[i] for i in front([_point(c) for c in candidates])]


def _point(candidate: Candidate) -> tuple[float, float]:
    assert candidate.latency is not None
    assert candidate.iou is not None
    return candidate.latency.median_ms, candidate.iou
