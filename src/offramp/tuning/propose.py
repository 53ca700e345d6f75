"""Cheap evidence first: cost and measured latency of every candidate, before any training."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from offramp.core.errors import OfframpError
from offramp.data.images import read_image
from offramp.runtime.session import Session
from offramp.tuning.bundles import export_untrained, spec_of
from offramp.tuning.candidate import Candidate, Latency, Stage, Status
from offramp.tuning.clock import time_paths
from offramp.tuning.desk import Desk, knobs_of
from offramp.tuning.evidence import Evidence, gather
from offramp.tuning.fit import OutOfTime
from offramp.tuning.knobs import Setting, at_least

logger = logging.getLogger(__name__)

UNTRAINED = "-untrained"


def propose(desk: Desk, stage: Stage, settings: Sequence[Setting]) -> list[Candidate]:
    """Count and time settings in turn with each other, and enter them into the ledger.

    Those that were proposed before are left as they are.

    Raises:
        OutOfTime: no time is left; nothing was entered then.
        BadInput: times come from a file, and it lacks one.
    """
    named = {_id(desk, stage, setting): setting for setting in settings}
    known = {c.id: c for c in desk.ledger.all()}
    if stage in ("resolution", "resolution-untrained"):
        # Both have one network: what is known of its costs need not be found out again.
        named = {id: s for id, s in named.items() if not _twin(desk, stage, id, known)}
        known = {c.id: c for c in desk.ledger.all()}
    fresh = {id: setting for id, setting in named.items() if id not in known}
    if fresh:
        for id, (evidence, latency, fault) in _evidence(desk, fresh).items():
            _enter(desk, stage, id, fresh[id], evidence, latency, fault)
        desk.save()
    return [c for c in desk.ledger.all() if c.stage == stage]


def sure_to_be_slow(desk: Desk, setting: Setting) -> bool:
    """Tell whether one that is smaller in every knob is too slow already."""
    slow = [desk.setting(c) for c in desk.ledger.all() if c.status == "too-slow"]
    return any(at_least(setting, other) for other in slow)


def _id(desk: Desk, stage: Stage, setting: Setting) -> str:
    name = desk.space.name(setting)
    return name + UNTRAINED if stage == "resolution-untrained" else name


def _twin(desk: Desk, stage: Stage, id: str, known: Mapping[str, Candidate]) -> bool:
    """Enter a candidate by what is known of the same network in the other stage."""
    own = id.removesuffix(UNTRAINED)
    other = known.get(own if stage == "resolution-untrained" else own + UNTRAINED)
    if id in known or other is None or other.status == "failed":
        return False
    keys = ("size", "knobs", "parameters", "macs", "input_mb", "forward_mb", "latency")
    facts = {key: getattr(other, key) for key in keys}
    status, reason = _verdict(desk, stage, other.latency)
    return desk.ledger.add(Candidate(id=id, stage=stage, status=status, reason=reason, **facts))


def _evidence(
    desk: Desk, settings: Mapping[str, Setting]
) -> dict[str, tuple[Evidence | None, Latency | None, str]]:
    """Export each setting untrained, count it, and time all of them in turn.

    Where a target device's times are told, they were exported for it: they are only counted.
    """
    task = desk.task
    times = None if task.latencies is None else _told_times(desk, settings)
    samples = task.data.samples("val")[:2]
    frames = [read_image(sample.image) for sample in samples]
    counted: dict[str, Evidence] = {}
    faults: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for id, setting in desk.track(settings.items(), len(settings), "exporting candidates"):
            if counted and desk.left_static() <= 0:
                raise OutOfTime
            try:
                spec, place = spec_of(task.base, setting), Path(folder) / f"{id}.offramp"
                counted[id] = (
                    export_untrained(spec, frames, place) if times is None else gather(spec)
                )
            except OfframpError as error:
                faults[id] = str(error)
        if times is None:
            sessions = [
                Session(Path(folder) / f"{id}.offramp", threads=task.threads) for id in counted
            ]
            found = time_paths(sessions, task.rounds, desk.track)
            times = {id: paths[-1] for id, paths in zip(counted, found, strict=True)}
    return {id: (counted.get(id), times.get(id), faults.get(id, "")) for id in settings}


def _told_times(desk: Desk, settings: Mapping[str, Setting]) -> dict[str, Latency]:
    """Look the times up that the target device measured.

    Raises:
        BadInput: there is none of a candidate.
    """
    assert desk.task.latencies is not None
    names = {id: desk.space.name(setting) for id, setting in settings.items()}
    desk.task.latencies.require(names.values())
    return {id: desk.task.latencies.latencies[name] for id, name in names.items()}


def _enter(
    desk: Desk,
    stage: Stage,
    id: str,
    setting: Setting,
    evidence: Evidence | None,
    latency: Latency | None,
    fault: str,
) -> None:
    status, reason = _verdict(desk, stage, latency)
    if evidence is None:
        status, reason = "failed", fault
    counts = {
        key: getattr(evidence, key)
        for key in ("parameters", "macs", "input_mb", "forward_mb")
        if evidence is not None
    }
    desk.ledger.add(
        Candidate(
            id=id,
            stage=stage,
            size=setting.size,
            knobs=knobs_of(setting),
            status=status,
            reason=reason,
            latency=latency,
            **counts,
        )
    )
    ms = "" if latency is None else f"{latency.median_ms:.2f} ms, "
    logger.info("%s: %s%s", id, ms, reason or status)


def _verdict(desk: Desk, stage: Stage, latency: Latency | None) -> tuple[Status, str]:
    """Tell whether a candidate is worth training; the baseline is what all are compared with."""
    bound = desk.task.max_latency_ms
    if stage == "baseline" or latency is None or latency.median_ms <= bound:
        return "measured", ""
    return "too-slow", f"{latency.median_ms:.2f} ms, more than {bound:g} ms: not trained"
