"""Cameras and counters of several replicas as those of one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from offramp.video.camera import CameraSpec, CameraStatus
from offramp.video.counts import Counts, Histogram, Ledger, Statistics
from offramp.video.feed import Watched
from offramp.video.state import Phase
from offramp.video.status import Counters

NUMBERS = (
    *("received", "answered", "shed", "failed", "pending"),
    *("late", "involuntary", "same", "shadowed"),
)
"""Fields of `Counts` that add up."""


@dataclass(frozen=True)
class Placed(Watched):
    """A camera at one moment, and the replica that watches it; empty: none at this moment."""

    replica: str = ""


def placed(watched: Watched, replica: str) -> Placed:
    """Say of a camera where it is."""
    told = {field.name: getattr(watched, field.name) for field in fields(Watched)}
    return Placed(**told, replica=replica)


def nowhere(spec: CameraSpec) -> Placed:
    """Tell of a camera that is on its way to a replica."""
    status = CameraStatus(
        name=spec.name,
        address=str(spec.address),
        live=spec.address.live,
        state=Phase.CONNECTING,
        since=0.0,
        reason="on its way to a replica",
        counters=Counters(),
        fps=0.0,
        size=None,
        epoch=0,
    )
    return Placed(
        spec=spec,
        status=status,
        counts=Ledger(0).counts(),
        level=0,
        cap=0,
        floor=0,
        fps=0.0,
        p50_ms=None,
        p95_ms=None,
        agreement=None,
    )


def summed(statistics: Sequence[Statistics]) -> Statistics:
    """Sum up the counters of replicas, one or more; the level is that of the worst off.

    A camera has the counters of the replica that watches it.
    """
    workers = sum(one.workers for one in statistics)
    worst = max(statistics, key=lambda one: one.level)
    requests = statistics[0].requests
    for one in statistics[1:]:
        requests = _added(requests, one.requests)
    return replace(
        worst,
        cameras={name: counts for one in statistics for name, counts in one.cameras.items()},
        requests=requests,
        workers=workers,
        busy_s=sum(one.busy_s for one in statistics),
        utilisation=sum(one.utilisation * one.workers for one in statistics) / max(workers, 1),
        queued=sum(one.queued for one in statistics),
        begun=sum(one.begun for one in statistics),
        uptime_s=max(one.uptime_s for one in statistics),
    )


def _added(one: Counts, other: Counts) -> Counts:
    sums = {name: getattr(one, name) + getattr(other, name) for name in NUMBERS}
    latency = Histogram(
        one.latency.bounds_ms,
        tuple(a + b for a, b in zip(one.latency.counts, other.latency.counts, strict=True)),
        one.latency.sum_ms + other.latency.sum_ms,
    )
    exits = tuple(a + b for a, b in zip(one.exits, other.exits, strict=True))
    dropped = {reason: one.dropped[reason] + other.dropped[reason] for reason in one.dropped}
    return Counts(exits=exits, dropped=dropped, latency=latency, **sums)
