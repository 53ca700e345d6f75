"""Train candidates one after the other; what is dominated or out of time stops on its way."""

import logging
import math
import shutil
from collections.abc import Mapping

from offramp.core.errors import OfframpError
from offramp.training.recipe import Recipe
from offramp.tuning.bundles import spec_of
from offramp.tuning.candidate import Candidate, Rung
from offramp.tuning.desk import Desk
from offramp.tuning.fit import (
    GivenUp,
    exit_point,
    fit,
    recipe_of,
    rungs,
    static_network,
    trained_network,
)
from offramp.tuning.inherit import Parent, inherit
from offramp.tuning.score import judge

logger = logging.getLogger(__name__)

HAIR = 0.5
"""Epochs that make no difference between two that have learned equally long."""

CLEARLY = 0.02
"""By so much IoU another must be better at a rung for a candidate to be given up."""


def train_candidate(desk: Desk, candidate: Candidate) -> Candidate:
    """Train a candidate to its end, or until it is given up.

    Raises:
        OutOfTime: no time is left; a later call goes on from the last finished epoch.
    """
    current = _begun(desk, candidate)
    start = desk.spent()

    def spent() -> float:
        return candidate.seconds + desk.spent() - start

    def at_epoch(epoch: int) -> None:
        nonlocal current
        if epoch not in rungs(current.epochs_planned) or epoch <= current.epochs:
            return
        current, verdict = _at_rung(desk, current, epoch, spent())
        if verdict:
            raise GivenUp(verdict)

    recipe = _recipe(desk, current)
    try:
        fit(
            *(desk.folder(current), desk.task.model, recipe, desk.data),
            *(at_epoch, desk.left_static, desk.track),
        )
        iou = judge(trained_network(desk.folder(current)), desk.data, "val", desk.track)
        update = {"status": "trained", "iou": iou, "epochs": current.epochs_planned}
    except GivenUp as reason:
        update = {"status": "stopped", "reason": str(reason)}
    except OfframpError as error:
        update = {"status": "failed", "reason": str(error)}
    finally:
        current = current.model_copy(update={"seconds": spent()})
        desk.ledger.update(current)
    current = current.model_copy(update=update)
    desk.note(current)
    _tidy(desk, current)
    told = "" if current.iou is None else f", IoU {current.iou:.4f} on val"
    logger.info("%s: %s%s, %.0f s", current.id, current.status, told, current.seconds)
    return current


def judge_untrained(desk: Desk, candidate: Candidate) -> Candidate:
    """Feed smaller images to the baseline as it is (IOT §4.3.1)."""
    baseline = desk.ledger.all()[0]
    network = static_network(desk.folder(baseline), candidate.size)
    done = candidate.model_copy(
        update={
            "status": "trained",
            "iou": judge(network, desk.data, "val", desk.track),
            "parent": baseline.id,
            "inherited": "all weights, without retraining",
            "inherited_share": 1.0,
        }
    )
    desk.note(done)
    logger.info("%s: IoU %.4f on val", done.id, done.iou)
    return done


def affordable(desk: Desk, macs: float) -> bool:
    """Tell whether a training of so much work would probably end in time.

    One with at least as much work that took less than what is left is evidence; without any,
    hope decides.
    """
    known = [c.seconds for c in desk.static() if c.macs >= macs and c.seconds > 0]
    return desk.left_static() > (min(known) if known else 0.0)


def _begun(desk: Desk, candidate: Candidate) -> Candidate:
    """Note that a candidate's training begins, and what it starts from."""
    if candidate.status == "training":
        return candidate
    begun = candidate.model_copy(
        update={
            "status": "training",
            "run": f"runs/{candidate.id}",
            "epochs_planned": desk.task.recipe.stage1.epochs,
        }
    )
    spec = spec_of(desk.task.base, desk.setting(candidate))
    file = desk.task.out / "initial" / f"{candidate.id}.safetensors"
    got = inherit(spec, _parents(desk, candidate), desk.task.recipe.seed, file)
    if got is not None:
        taken = {"parent": got.parent, "inherited": got.said, "inherited_share": got.share}
        begun = begun.model_copy(update=taken)
    desk.note(begun)
    return begun


def _recipe(desk: Desk, candidate: Candidate) -> Recipe:
    file = desk.task.out / "initial" / f"{candidate.id}.safetensors"
    return recipe_of(
        desk.task.recipe,
        desk.setting(candidate),
        exit_point(spec_of(desk.task.base, desk.setting(candidate))),
        file if candidate.parent is not None else None,
    )


def _parents(desk: Desk, candidate: Candidate) -> list[Parent]:
    """List the trained candidates with how far each is away."""

    def distance(other: Candidate) -> float:
        turned = sum(candidate.knobs[k] != other.knobs.get(k) for k in candidate.knobs)
        areas = [a * b for a, b in (candidate.size, other.size)]
        return turned + abs(math.log(areas[0] / areas[1]))

    return [Parent(c.id, desk.weights(c), distance(c)) for c in desk.static()]


def _at_rung(desk: Desk, current: Candidate, epoch: int, seconds: float) -> tuple[Candidate, str]:
    """Compare a candidate with all that came this far.

    Returns:
        Its record, and why it is given up: one that is at least as fast is clearly better; else "".
    """
    iou = judge(trained_network(desk.folder(current)), desk.data, "val")
    better = None
    if current.stage != "baseline":  # with which all are compared
        better = _clearly_better(desk, current, epoch, iou)
    rung = Rung(epoch=epoch, iou=iou, passed=better is None)
    current = current.model_copy(
        update={
            "epochs": epoch,
            "iou": iou,
            "rungs": (*current.rungs, rung),
            "seconds": seconds,
        }
    )
    desk.note(current)
    if better is None:
        return current, ""
    other, reached = better
    return current, (
        f"after {epoch} epochs {iou:.4f}, where {other.id}, which is at least as fast, "
        f"had {reached:.4f}"
    )


def _clearly_better(
    desk: Desk, current: Candidate, epoch: int, iou: float
) -> tuple[Candidate, float] | None:
    """Find who is at least as fast and was better at this rung by more than chance gives.

    Only those count that had learned no more by then: who starts from random weights cannot keep
    up with who starts from a trained network, and may still pass it in the end.
    """
    known = {c.id: c for c in desk.ledger.all()}
    most = _learned(known, current, epoch)
    rivals = [
        (other, rung.iou)
        for other in known.values()
        for rung in other.rungs
        if rung.epoch == epoch
        and other.id != current.id
        and _no_slower(other, current)
        and _learned(known, other, epoch) <= most + HAIR
    ]
    best = max(rivals, key=lambda rival: rival[1], default=None)
    return best if best is not None and best[1] >= iou + CLEARLY else None


def _learned(known: Mapping[str, Candidate], candidate: Candidate, epochs: float) -> float:
    """Count the epochs behind a candidate's weights: its own, and its share of its parent's."""
    if candidate.parent is None or candidate.parent not in known:
        return epochs
    parent = known[candidate.parent]
    return epochs + candidate.inherited_share * _learned(known, parent, parent.epochs)


def _no_slower(one: Candidate, other: Candidate) -> bool:
    if one.latency is None or other.latency is None:
        return False
    return one.latency.median_ms <= other.latency.median_ms


def _tidy(desk: Desk, candidate: Candidate) -> None:
    """Remove what only a training that goes on needs."""
    shutil.rmtree(desk.folder(candidate) / "checkpoints", ignore_errors=True)
    (desk.task.out / "initial" / f"{candidate.id}.safetensors").unlink(missing_ok=True)
