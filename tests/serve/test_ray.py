"""`offramp serve --ray` as a process: replicas on Ray Serve, one of which is killed."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import yaml
from typer.testing import CliRunner
from websockets.sync.client import connect

from offramp.cli.main import app
from offramp.core.bundle import Bundle
from offramp.runtime.session import Session
from tests.serve.test_server import SECRET, process, said

pytest.importorskip("ray", reason="the extra 'ray' is not installed")

NAMES = ("a", "b", "c", "d")
HEADERS = {"Authorization": f"Bearer {SECRET}"}


def written(file: Path, bundle: Bundle, name: str, cameras: tuple[str, ...]) -> Path:
    told = {
        "bundle": str(bundle.folder),
        "name": name,
        "cameras": [{"name": camera, "address": "synthetic:96x64@5"} for camera in cameras],
    }
    file.write_text(yaml.safe_dump(told))
    return file


def replicas_of(name: str) -> Iterator[int]:
    """Find the processes of an application's replicas."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if title.startswith(f"ray::ServeReplica:offramp-{name}:".encode()):
            yield int(folder.name)


def homes(client: httpx.Client) -> dict[str, str]:
    """Tell the replica of each camera that runs."""
    told = client.get("/api/cameras").json()
    return {c["spec"]["name"]: c["replica"] for c in told if c["status"]["state"] == "running"}


def wait_for(client: httpx.Client, names: tuple[str, ...], without: set[str]) -> dict[str, str]:
    """Wait until these cameras run, none at one of these replicas."""
    end = time.monotonic() + 60
    while True:
        found = homes(client)
        if set(found) == set(names) and not without & set(found.values()):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.2)


@pytest.mark.slow
def test_replicas_share_cameras_and_one_may_die(bundle: Bundle, tmp_path: Path) -> None:
    name, log = f"test-{os.getpid()}", tmp_path / "log"
    file = written(tmp_path / "serve.yaml", bundle, name, NAMES)
    arguments = ("--config", file, "--ray", "--replicas", 2)
    with process(log, *arguments) as (running, address):
        try:
            assert httpx.get(f"{address}/api/cameras").status_code == 401
            with httpx.Client(base_url=address, headers=HEADERS, timeout=60) as client:
                before = wait_for(client, NAMES, set())
                while len(set(before.values())) < 2:  # the first to be there had them all
                    before = wait_for(client, NAMES, set())
                assert {list(before.values()).count(one) for one in before.values()} == {2}
                pictured(client)
                asked(address, name, bundle)
                heard(address)
                killed(client, name, before)
                written(file, bundle, name, ("a", "new"))
                running.send_signal(signal.SIGHUP)
                said(log, running, r"reloaded: .*new")
                wait_for(client, ("a", "new"), set())
                with client.stream("GET", "/api/events") as events:
                    pieces = events.iter_raw()
                    next(pieces)
                    running.send_signal(signal.SIGTERM)
                    for _ in pieces:  # ends by itself
                        pass
            assert running.wait(60) == 0
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)
                running.wait(60)
    assert "Traceback" not in log.read_text()
    assert list(replicas_of(name)) == []


def pictured(client: httpx.Client) -> None:
    """Every camera's picture comes, whichever replica is asked."""
    end = time.monotonic() + 60
    for camera in NAMES:
        statuses = [0]
        while statuses[-6:] != [200] * 6:  # it may have moved just now
            assert time.monotonic() < end, statuses
            statuses.append(client.get(f"/api/cameras/{camera}/snapshot").status_code)


def asked(address: str, name: str, bundle: Bundle) -> None:
    """An unmodified client of the inference protocol gets what a session gives."""
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    frame = triton.InferInput("frame", list(image.shape), "UINT8")
    frame.set_data_from_numpy(image)
    answer = client.infer(name, [frame], headers=HEADERS)
    expected = Session(bundle).segment(image).labels
    np.testing.assert_array_equal(answer.as_numpy("labels"), expected)
    client.close()


def heard(address: str) -> None:
    """Events of all cameras come over one WebSocket, whichever replica has it."""
    url = address.replace("http", "ws") + "/api/events/ws"
    missing = set(NAMES)
    with connect(url, additional_headers=HEADERS) as socket:
        while missing:
            text = socket.recv(timeout=30)
            missing -= {camera for camera in missing if f'"camera":"{camera}"' in str(text)}


def killed(client: httpx.Client, name: str, before: dict[str, str]) -> None:
    """Kill a replica: the others' cameras stay, its own run elsewhere, requests are answered."""
    os.kill(next(replicas_of(name)), signal.SIGKILL)
    end = time.monotonic() + 60
    while not (gone := set(before.values()) - set(homes(client).values())):
        assert time.monotonic() < end
        time.sleep(0.2)
    after = wait_for(client, NAMES, gone)
    assert all(after[k] == v for k, v in before.items() if v not in gone)
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere", "--ray"], "nowhere is not a bundle"),
        (["nowhere", "--replicas", "2"], "--replicas needs --ray"),
        (["nowhere", "--ray", "--host", "0.0.0.0"], "without a token"),
    ],
)
def test_what_cannot_be_served_is_refused_before_ray_starts(
    arguments: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OFFRAMP_TOKENS", raising=False)
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == 2
    assert text in result.output
