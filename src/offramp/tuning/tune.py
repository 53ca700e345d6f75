"""The pipeline: stage by stage from the least effort to the most, until the time is spent (IOT)."""

import logging
import time
from collections.abc import Callable, Sequence

from offramp.core.errors import OfframpError
from offramp.core.progress import Track, silent
from offramp.tuning.candidate import Candidate, Stage, Study
from offramp.tuning.climb import affordable, judge_untrained, train_candidate
from offramp.tuning.desk import Desk, alone
from offramp.tuning.exits import add_exits, compare_fronts, hosts
from offramp.tuning.finish import finish
from offramp.tuning.fit import OutOfTime
from offramp.tuning.knobs import Setting
from offramp.tuning.ledger import require_storage
from offramp.tuning.propose import propose, sure_to_be_slow
from offramp.tuning.task import Task

logger = logging.getLogger(__name__)


def tune(task: Task, track: Track = silent, clock: Callable[[], float] = time.monotonic) -> Study:
    """Find candidates of a network and choose one, or go on with a study.

    Stop it at any moment: what was finished is in `candidates.json`, with the best so far, and the
    same call goes on from there.

    Args:
        task: the network, the images, the bounds.
        track: shows progress.
        clock: seconds that only go forward.

    Raises:
        BadInput: the task cannot be done, or the folder holds another.
        DataFault: the data set has faults.
        OfframpError: the baseline cannot be built, timed or trained.
    """
    require_storage(task.storage)
    task.require_sound(track)
    with alone(task.out):
        desk = Desk(task, track, clock)
        try:
            _static(desk)
        except OutOfTime:
            logger.info("the time for static candidates is spent")
        except KeyboardInterrupt:
            desk.save()
            raise
        try:
            if desk.exits and desk.study.candidates:
                _exits(desk)
        except OutOfTime:
            logger.info("the time is spent")
        except KeyboardInterrupt:
            desk.save()
            raise
        finish(desk)
        return desk.study


def _static(desk: Desk) -> None:
    """Work off the stages, then combine what survived."""
    _stage(desk, "baseline", [desk.space.native])
    baseline = desk.ledger.all()[0]
    if baseline.status == "failed":
        raise OfframpError(f"the baseline, with which all are compared, failed: {baseline.reason}")
    for stage in desk.space.stages:
        if stage == "combination":
            _combine(desk)
        else:
            _stage(desk, stage, desk.space.proposals(stage))


def _stage(desk: Desk, stage: Stage, settings: Sequence[Setting]) -> None:
    """Measure the candidates of a stage, then train those that may do."""
    if desk.left_static() <= 0:
        raise OutOfTime
    for candidate in propose(desk, stage, settings):
        _climb(desk, candidate)


def _climb(desk: Desk, candidate: Candidate) -> None:
    """Bring a candidate to its end, unless it is, or another machine does it."""
    if candidate.status not in ("measured", "training") or not desk.ledger.mine(candidate.id):
        return
    if desk.left_static() <= 0:
        raise OutOfTime
    if candidate.stage == "resolution-untrained":
        if desk.weights(desk.ledger.all()[0]).is_file():
            judge_untrained(desk, candidate)
    elif candidate.stage == "baseline" or affordable(desk, candidate.macs):
        train_candidate(desk, candidate)


def _combine(desk: Desk) -> None:
    """Let Optuna choose combinations of the values that survived, one after the other."""
    for candidate in desk.ledger.all():
        if candidate.stage == "combination":
            _climb(desk, candidate)
    drawn = 0
    while (setting := _next(desk, seed=len(desk.ledger.all()) + drawn)) is not None:
        if desk.left_static() <= 0:
            raise OutOfTime
        drawn += 1
        for candidate in propose(desk, "combination", [setting]):
            _climb(desk, candidate)


def _next(desk: Desk, seed: int) -> Setting | None:
    """Choose the next combination among those that are not yet known, nor sure to be too slow."""
    known = desk.ledger.all()
    tried = {desk.setting(c) for c in known if c.stage != "resolution-untrained"}
    gone = [c for c in known if c.status in ("stopped", "failed") and c.stage != "combination"]
    native = dict(desk.space.native.knobs)
    dead = {(k, v) for c in gone for k, v in c.knobs.items() if v != native.get(k)}
    lost = {c.size for c in gone if c.stage == "resolution"}
    left = [
        setting
        for setting in desk.space.combinations(dead, lost)
        if setting not in tried and not sure_to_be_slow(desk, setting) and _told(desk, setting)
    ]
    return desk.ledger.sample(left, seed)


def _told(desk: Desk, setting: Setting) -> bool:
    """Tell whether a target device timed a setting, where times come from one."""
    told = desk.task.latencies
    return told is None or desk.space.name(setting) in told.latencies


def _exits(desk: Desk) -> None:
    """Give the best static candidates exits, and compare both fronts."""
    for host in hosts(desk):
        if desk.left() <= 0:
            raise OutOfTime
        add_exits(desk, host)
    compare_fronts(desk)
