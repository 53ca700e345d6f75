"""`offramp serve` as a process: how it starts, reloads and ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.bundle import Bundle

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()", "serve"]
SECRET = "a-long-secret-of-the-test"


@contextmanager
def process(log: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start the verb with a token at a free port; yields the process and its address."""
    environment = {**os.environ, "OFFRAMP_TOKENS": f"admin:test:{SECRET}", "OMP_NUM_THREADS": "1"}
    words = [*COMMAND, *map(str, arguments), "--port", "0", "--workers", "1"]
    with log.open("wb") as file:
        running = subprocess.Popen(words, env=environment, stdout=file, stderr=file)
    try:
        yield running, said(log, running, r"listening at (\S+)")
    finally:
        if running.poll() is None:
            running.kill()
        running.wait(60)


def said(log: Path, running: subprocess.Popen[bytes], pattern: str) -> str:
    """Wait until the log has a line; returns the first group."""
    end = time.monotonic() + 120
    while (found := re.search(pattern, log.read_text())) is None:
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    return found[1] if found.groups() else found[0]


def test_a_server_watches_reloads_and_ends_well(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    camera = {"name": "one", "address": "synthetic:96x64@20"}
    file.write_text(yaml.safe_dump({"bundle": str(bundle.folder), "cameras": [camera]}))
    log = tmp_path / "log"
    with process(log, "--config", file) as (running, address):
        assert address.startswith("http://127.0.0.1:")
        headers = {"Authorization": f"Bearer {SECRET}"}
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            assert httpx.get(f"{address}/api/status").status_code == 401
            assert client.get("/api/cameras").json()[0]["spec"]["name"] == "one"
            with client.stream("GET", "/api/cameras/one/overlay") as pictures:
                assert next(pictures.iter_raw()).startswith(b"--picture\r\n")
                other = {**camera, "name": "two"}
                file.write_text(yaml.safe_dump({"bundle": str(bundle.folder), "cameras": [other]}))
                running.send_signal(signal.SIGHUP)
                said(log, running, r"reloaded: .*two")
                assert [c["spec"]["name"] for c in client.get("/api/cameras").json()] == ["two"]
            file.write_text("bundle: other")
            running.send_signal(signal.SIGHUP)
            said(log, running, "not reloaded: 'bundle' changed")
            with client.stream("GET", "/api/events") as events:
                pieces = events.iter_raw()
                next(pieces)
                running.send_signal(signal.SIGTERM)
                for _ in pieces:  # ends by itself
                    pass
        assert running.wait(60) == 0
    assert "Traceback" not in log.read_text()
    assert SECRET not in log.read_text()


def test_ctrl_c_ends_it_well_too(bundle: Bundle, tmp_path: Path) -> None:
    with process(tmp_path / "log", bundle.folder) as (running, _):
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere"], "nowhere is not a bundle"),
        (["nowhere", "--host", "0.0.0.0"], "without a token"),
        (["nowhere", "--camera", "x"], "expected NAME=ADDRESS"),
        (["nowhere", "--engine", "warp"], "no engine 'warp'"),
        (["nowhere", "--token-file", "nothing"], "cannot be read"),
        ([], "there is no bundle to serve"),
    ],
)
def test_what_cannot_be_served_ends_with_a_message(
    arguments: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OFFRAMP_TOKENS", raising=False)
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == 2
    assert text in result.output
    assert "Traceback" not in result.output


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "fastapi" or name.startswith("offramp.serve."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = CliRunner().invoke(app, ["serve", "nowhere"])
    assert result.exit_code == 2
    assert "offramp[serve]" in result.output


def test_help_is_there() -> None:
    result = CliRunner().invoke(app, ["serve", "--help"])
    assert result.exit_code == 0
    assert "--token-file" in result.output
