"""`offramp serve` as a process that benchmarks start, ask, and measure from outside."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

START_S = 120.0
"""How long the server may take to listen; loading a large network on a busy machine is slow."""

Series = dict[str, dict[tuple[str, ...], float]]
"""Values of each metric by its labels, those of the camera first."""


class Served:
    """A server on this machine, from `with` to its end.

    Args:
        bundle: what is served.
        cameras: address of each camera by its name.
        folder: where its log goes.
        options: further words of the command.
    """

    def __init__(
        self, bundle: Path, cameras: Mapping[str, str], folder: Path, options: Sequence[str] = ()
    ) -> None:
        self.log = folder / "serve.log"
        self._words = ["serve", str(bundle), "--port", "0", *options]
        for name, address in cameras.items():
            self._words += ["--camera", f"{name}={address}"]

    def __enter__(self) -> Self:
        command = [sys.executable, "-c", "from offramp.cli import main; main()", *self._words]
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file)
        self.address = self._said(r"listening at (\S+)")
        self.client = httpx.Client(base_url=self.address, timeout=30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self.stop()

    def stop(self) -> int:
        """End it as an operator would; gives the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def ask(self, path: str, **query: Any) -> Any:
        """Get JSON."""
        return self.client.get(path, params=query).raise_for_status().json()

    def await_states(self, state: str, most_s: float = 60.0) -> None:
        """Wait until all cameras are in one state."""
        end = time.monotonic() + most_s
        while {one["status"]["state"] for one in self.ask("/api/cameras")} != {state}:
            if time.monotonic() > end:
                raise SystemExit(f"the cameras are not all {state}: {self.ask('/api/cameras')}")
            time.sleep(0.1)

    def scrape(self) -> Series:
        """Get all metrics."""
        series: Series = defaultdict(dict)
        for family in text_string_to_metric_families(self.client.get("/metrics").text):
            for sample in family.samples:
                series[sample.name][tuple(sample.labels.values())] = sample.value
        return series

    def vitals(self) -> "Vitals":
        """Read what the system knows of the process."""
        folder = Path(f"/proc/{self._process.pid}")
        status = dict(
            line.split(":", 1)
            for line in (folder / "status").read_text().splitlines()
            if ":" in line
        )
        times = (folder / "stat").read_text().rpartition(")")[2].split()
        return Vitals(
            at_s=time.perf_counter(),
            rss_mb=int(status["VmRSS"].split()[0]) / 1024,
            files=len(list((folder / "fd").iterdir())),
            threads=int(status["Threads"]),
            cpu_s=(int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
        )

    def _said(self, pattern: str) -> str:
        end = time.monotonic() + START_S
        while (found := re.search(pattern, self.log.read_text())) is None:
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise SystemExit(f"the server does not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)
        return found[1]


@dataclass(frozen=True)
class Vitals:
    """What a process uses.

    Attributes:
        at_s: when, on `time.perf_counter`.
        rss_mb: memory in use.
        files: open files and sockets.
        threads: how many.
        cpu_s: seconds of processors since its start.
    """

    at_s: float
    rss_mb: float
    files: int
    threads: int
    cpu_s: float


def by_camera(series: Series, name: str) -> dict[str, float]:
    """Sum a metric up for each camera; requests are left out."""
    sums: dict[str, float] = defaultdict(float)
    for labels, value in series.get(name, {}).items():
        if labels[0] != "(requests)":
            sums[labels[0]] += value
    return dict(sums)


def quantile_ms(series: Series, camera: str, share: float) -> float | None:
    """Estimate a quantile of a camera's latency from its buckets, linear within one."""
    buckets = sorted(
        (float(labels[1]), count)
        for labels, count in series.get("offramp_latency_seconds_bucket", {}).items()
        if labels[0] == camera
    )
    wanted = share * buckets[-1][1] if buckets else 0.0
    if not wanted:
        return None
    below, before = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            if bound == float("inf"):
                return 1000 * below
            return 1000 * (below + (bound - below) * (wanted - before) / (count - before))
        below, before = bound, count
    return None
