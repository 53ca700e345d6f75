"""What Prometheus asks for: counters that only grow, read from the backend when it asks.

Rates and quantiles are left to whoever reads: `rate(...)` and `histogram_quantile(...)` see more
than a number that was averaged here. Requests are counted under the camera `(requests)`, a name
that no camera can have.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import offramp
from offramp.serve.inference import serving
from offramp.serve.service import Service
from offramp.video.counts import Counts, Histogram, Statistics
from offramp.video.state import Phase

REQUESTS = "(requests)"

COUNTED = {
    "received": "Frames taken.",
    "late": "Answers after their deadline.",
    "involuntary": "Answers that a deadline ended, not the policy.",
    "same": "Answers given again because the scene had not changed.",
    "shadowed": "Answers that were compared with the last exit's.",
}
"""Counters that are told as they are, by their field in `Counts`."""

SEEN = {
    "received": "Packets that came, readable or not.",
    "decoded": "Frames that came out whole.",
    "skipped": "Frames beyond the camera's highest rate.",
    "dropped": "Frames that a newer one replaced before they were taken.",
    "taken": "Frames given out.",
    "corrupt": "Packets and frames that could not be decoded whole.",
    "reconnects": "Connections that brought frames, after the first.",
    "clock_jumps": "Leaps of the camera's clock.",
    "size_changes": "Changes of the frames' size.",
}
"""Counters of a camera's reader, by their field."""


async def metrics(request: Request) -> Response:
    """Tell every counter in the format of Prometheus, or of OpenMetrics where it is asked for."""
    service = serving(request)
    registry = CollectorRegistry()
    registry.register(Counters(service))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    content = await service.work(lambda: encode(registry))
    return Response(content, headers={"Content-Type": kind})


class Counters(Collector):
    """Reads the backend's counters.

    Args:
        service: what is served.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterable[Metric]:
        """Say nothing in advance: registering must not read the backend."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        statistics = self._service.backend.statistics()
        yield InfoMetricFamily(
            "offramp",
            "What runs.",
            value={
                "version": offramp.__version__,
                "model": self._service.configuration.model,
                "engine": statistics.engine,
            },
        )
        yield from _machine(statistics)
        yield GaugeMetricFamily(
            "offramp_streams", "Streams that are open.", value=self._service.streams.taken
        )
        counts = {**statistics.cameras, REQUESTS: statistics.requests}
        yield from _answers(counts, statistics.points)
        yield from _frames(counts)
        cameras = self._service.backend.cameras()
        yield from _readers(cameras)
        yield from _monitored(cameras)


def _machine(statistics: Statistics) -> Iterator[Metric]:
    told = {
        "level": ("Level of degradation; 0: none.", statistics.level),
        "levels": ("Levels that there are at present.", statistics.levels),
        "workers": ("Threads that compute.", statistics.workers),
        "queued_frames": ("Frames that wait.", statistics.queued),
        "begun_frames": ("Frames that are being computed.", statistics.begun),
        "uptime_seconds": ("Time since the start.", statistics.uptime_s),
    }
    for name, (text, value) in told.items():
        yield GaugeMetricFamily(f"offramp_{name}", text, value=value)
    yield CounterMetricFamily(
        "offramp_busy_seconds", "Time that the workers have computed.", value=statistics.busy_s
    )


def _answers(counts: dict[str, Counts], points: tuple[str, ...]) -> Iterator[Metric]:
    answers = CounterMetricFamily(
        "offramp_answers", "Answers by each exit.", labels=["camera", "exit", "point"]
    )
    latency = HistogramMetricFamily(
        "offramp_latency_seconds", "From a frame's arrival to its answer.", labels=["camera"]
    )
    for camera, count in counts.items():
        for index, (point, number) in enumerate(zip(points, count.exits, strict=True)):
            answers.add_metric([camera, str(index), point], number)
        latency.add_metric([camera], _buckets(count.latency), count.latency.sum_ms / 1000)
    yield answers
    yield latency


def _frames(counts: dict[str, Counts]) -> Iterator[Metric]:
    for name, text in COUNTED.items():
        metric = CounterMetricFamily(f"offramp_frames_{name}", text, labels=["camera"])
        for camera, count in counts.items():
            metric.add_metric([camera], getattr(count, name))
        yield metric
    dropped = CounterMetricFamily(
        "offramp_frames_dropped", "Frames without an answer.", labels=["camera", "reason"]
    )
    pending = GaugeMetricFamily(
        "offramp_frames_pending", "Frames that wait or are computed.", labels=["camera"]
    )
    for camera, count in counts.items():
        reasons = {**count.dropped, "shed": count.shed, "failed": count.failed}
        for reason, number in reasons.items():
            dropped.add_metric([camera, reason], number)
        pending.add_metric([camera], count.pending)
    yield dropped
    yield pending


def _readers(cameras: Iterable[Any]) -> Iterator[Metric]:
    """Tell what each camera's reader is doing, and what it has seen."""
    state = GaugeMetricFamily(
        "offramp_camera_state", "1 for what the camera is doing.", labels=["camera", "state"]
    )
    seen = {
        name: CounterMetricFamily(f"offramp_camera_{name}", text, labels=["camera"])
        for name, text in SEEN.items()
    }
    for watched in cameras:
        name, status = watched.spec.name, watched.status
        for phase in Phase:
            state.add_metric([name, phase.value], float(status.state == phase))
        for field, metric in seen.items():
            metric.add_metric([name], getattr(status.counters, field))
    yield state
    yield from seen.values()


def _monitored(cameras: Iterable[Any]) -> Iterator[Metric]:
    """Tell how far early answers are from the last exit's, of cameras that are compared."""
    disagreement = GaugeMetricFamily(
        "offramp_disagreement",
        "Share of pixels in which compared answers differ: its mean, and an upper bound of that.",
        labels=["camera", "value"],
    )
    alarms = CounterMetricFamily(
        "offramp_drift_alarms", "Exits closed because answers had drifted.", labels=["camera"]
    )
    floor = GaugeMetricFamily(
        "offramp_first_exit", "The first exit that may answer.", labels=["camera"]
    )
    for watched in cameras:
        name, known = watched.spec.name, watched.monitored
        floor.add_metric([name], watched.floor)
        if known is not None:
            disagreement.add_metric([name, "mean"], known.mean)
            disagreement.add_metric([name, "upper"], known.upper)
            alarms.add_metric([name], known.alarms)
    yield disagreement
    yield alarms
    yield floor


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Sum up the buckets, as Prometheus wants them, with bounds in seconds."""
    bounds = [*(str(bound / 1000) for bound in histogram.bounds_ms), "+Inf"]
    return list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
