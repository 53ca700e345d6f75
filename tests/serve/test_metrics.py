"""What Prometheus reads, parsed by its own parser and compared with the backend's counters."""

import time
from itertools import pairwise

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from offramp.data.images import Array
from offramp.serve.service import Service
from tests.serve.conftest import Stage, TestClient
from tests.serve.test_api import png


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sorted(f"{k}={v}" for k, v in sample.labels.items()))): sample.value
        for family in families(text)
        for sample in family.samples
    }


def test_counters_are_those_of_the_backend(
    client: TestClient, service: Service, stage: Stage, frames: list[Array]
) -> None:
    client.post("/api/cameras", json={"name": "hall", "address": "rtsp://u:pw@192.0.2.9/x"})
    for index in (0, 1, 1):
        assert client.post(f"/api/segment?exit={index}", content=png(frames[0])).status_code == 200
    stage.cameras["hall"].show(frames[1], time.perf_counter())
    end = time.monotonic() + 30
    while service.backend.latest("hall") is None and time.monotonic() < end:
        time.sleep(0.01)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    told = samples(answer.text)
    points = service.points
    by_exit = [
        told["offramp_answers_total", ("camera=(requests)", f"exit={k}", f"point={p}")]
        for k, p in enumerate(points)
    ]
    assert by_exit == [1, 2, 0]
    hall = service.backend.statistics().cameras["hall"]
    assert sum(hall.exits) == told["offramp_latency_seconds_count", ("camera=hall",)] == 1
    assert told["offramp_latency_seconds_sum", ("camera=hall",)] == hall.latency.sum_ms / 1000
    assert told["offramp_frames_received_total", ("camera=hall",)] == 1
    assert told["offramp_frames_dropped_total", ("camera=hall", "reason=shed")] == 0
    assert told["offramp_camera_state", ("camera=hall", "state=running")] == 1
    assert told["offramp_camera_state", ("camera=hall", "state=failed")] == 0
    assert told["process_resident_memory_bytes", ()] > 1e6
    assert "pw" not in answer.text


def test_buckets_are_summed_up(client: TestClient, frames: list[Array]) -> None:
    for _ in range(3):
        client.post("/api/segment", content=png(frames[0]))
    (family,) = [
        f for f in families(client.get("/metrics").text) if f.name == "offramp_latency_seconds"
    ]
    buckets = [s for s in family.samples if s.name.endswith("_bucket")]
    assert buckets[-1].labels["le"] == "+Inf"
    assert buckets[-1].value == 3
    assert all(a.value <= b.value for a, b in pairwise(buckets))
    assert all(float(a.labels["le"]) < float(b.labels["le"]) for a, b in pairwise(buckets))


def test_open_metrics_are_given_where_they_are_asked_for(client: TestClient) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "offramp_answers" in {family.name for family in open_families(answer.text)}
