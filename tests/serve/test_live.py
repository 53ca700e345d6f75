"""`offramp serve` on real RTSP cameras: they run, fall out, return; every frame counts."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from offramp.core.bundle import Bundle
from tests.serve.test_server import SECRET, process
from tests.video.farm import Farm, NoFarm

USER = "ann"
PASSWORD = "hunter2-of-the-cameras"
CAMERAS = ("cam0", "cam1", "still")


@pytest.fixture
def farms() -> Iterator[tuple[Farm, Farm]]:
    """Two servers: of two cameras, and of one that nothing happens to."""
    guarded = ("--size", "96x64", "--fps", 10, "--user", USER, "--password", PASSWORD)
    farms = Farm("--cameras", 2, *guarded), Farm("--cameras", 1, *guarded)
    try:
        for farm in farms:
            farm.start()
        yield farms
    except NoFarm as error:
        pytest.skip(str(error))
    finally:
        for farm in farms:
            farm.kill()


def test_real_cameras_run_fall_out_and_return(
    bundle: Bundle, tmp_path: Path, farms: tuple[Farm, Farm]
) -> None:
    farm, other = farms
    log = tmp_path / "log"
    where = {"cam0": farm.url("cam0"), "cam1": farm.url("cam1"), "still": other.url("cam0")}
    words: list[object] = [bundle.folder]
    for name, url in where.items():
        words += ["--camera", f"{name}={url.replace('//', f'//{USER}:{PASSWORD}@')}"]
    with process(log, *words) as (running, address):
        headers = {"Authorization": f"Bearer {SECRET}"}
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            until(lambda: states(client) == dict.fromkeys(CAMERAS, "running"))
            until(lambda: all(count > 3 for count in counted(client, "offramp_answers").values()))
            picture = client.get("/api/cameras/cam1/snapshot", params={"view": "overlay"})
            assert picture.content.startswith(b"\xff\xd8")

            farm.kill()
            until(lambda: "running" not in {states(client)[name] for name in ("cam0", "cam1")})
            assert states(client)["still"] == "running"
            before = counted(client, "offramp_answers")
            farm.start()
            until(lambda: states(client) == dict.fromkeys(CAMERAS, "running"))
            until(lambda: more(before, counted(client, "offramp_answers")))
            reconnects = counted(client, "offramp_camera_reconnects")
            assert min(reconnects["cam0"], reconnects["cam1"]) >= 1

            for name in CAMERAS:
                client.post(f"/api/cameras/{name}/pause").raise_for_status()
            until(lambda: states(client) == dict.fromkeys(CAMERAS, "paused"))
            until(lambda: not any(counted(client, "offramp_frames_pending").values()))
            until(lambda: settled(client))
            assert PASSWORD not in client.get("/api/cameras").text
        running.terminate()
        assert running.wait(60) == 0
    assert "Traceback" not in log.read_text()
    assert PASSWORD not in log.read_text()


def settled(client: httpx.Client) -> bool:
    """Tell whether all frames that were decoded are accounted for, up to their answers."""

    def count(name: str) -> dict[str, float]:
        return counted(client, f"offramp_{name}")

    decoded, taken, received = (
        count("camera_decoded"),
        count("camera_taken"),
        count("frames_received"),
    )
    left = [count("camera_skipped"), count("camera_dropped"), taken]
    ended = [count("answers"), count("frames_dropped")]
    return (
        all(decoded[name] == sum(part[name] for part in left) for name in CAMERAS)
        and taken == received
        and all(received[name] == sum(part[name] for part in ended) for name in CAMERAS)
    )


def states(client: httpx.Client) -> dict[str, Any]:
    return {
        one["spec"]["name"]: one["status"]["state"] for one in client.get("/api/cameras").json()
    }


def counted(client: httpx.Client, family: str) -> dict[str, float]:
    """Sum a family of metrics up for each camera."""
    sums = dict.fromkeys(CAMERAS, 0.0)
    for found in text_string_to_metric_families(client.get("/metrics").text):
        if found.name == family:
            for sample in found.samples:
                if sample.labels["camera"] in sums:
                    sums[sample.labels["camera"]] += sample.value
    return sums


def more(before: dict[str, float], after: dict[str, float]) -> bool:
    return all(after[name] > before[name] for name in CAMERAS)


def until(holds: Callable[[], bool], most_s: float = 60.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
