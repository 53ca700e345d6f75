"""What a client sees while one of several replicas on Ray Serve is killed.

    python ray_failover.py BUNDLE [--replicas 2] [--cameras 4] [--rate 5] [--seconds 40] [--kills 1]

Starts `offramp serve --ray` with synthetic cameras, asks for answers at a steady rate, each request
at its time whether or not those before it have come back, and kills one replica (SIGKILL) after
another. A request that failed is asked once more, as a client would; one that was refused (429),
after the time that the refusal names. Lost is what failed in any other way, also the second time.
Cameras are looked at four times a second.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from machine import save

from offramp.serve.pictures import encode_image

RESULTS = Path(__file__).with_name("results")
WANTED_S = 10.0
START_S = 120.0


@dataclass
class Sample:
    """One request: when it was due, what came of it, and of a second try if it failed."""

    due: float
    outcome: str
    second: str = ""
    seconds: float = 0.0


@dataclass
class Look:
    """One look at the cameras: the replica of each that runs, and frames answered so far."""

    when: float
    homes: dict[str, str] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Measure, print, save."""
    arguments = parsed()
    name = f"failover-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        with serving(arguments, name, Path(folder)) as address:
            settle(address, arguments.cameras, arguments.replicas)
            measured = measure(address, name, arguments)
        left = list(replicas_of(name))
    measured["processes_left"] = len(left)
    for key, value in measured.items():
        if key != "homes":
            print(f"{key}: {value}")
    save(arguments.out, {"arguments": told(arguments), **measured}, "ray")


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=float, default=5.0, help="of each camera")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "ray_failover.json")
    return parser.parse_args()


def told(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say what was asked for."""
    return {
        key: value.name if isinstance(value, Path) else value
        for key, value in vars(arguments).items()
    }


@contextmanager
def serving(arguments: argparse.Namespace, name: str, folder: Path) -> Iterator[str]:
    """Run the verb; yields its address."""
    config = folder / "serve.yaml"
    cameras = [
        f"  - {{name: camera-{k}, address: 'synthetic:320x192@{arguments.fps:g}?seed={k}'}}"
        for k in range(arguments.cameras)
    ]
    lines = [f"bundle: {arguments.bundle.resolve()}", f"name: {name}", "workers: 1", "port: 0"]
    config.write_text("\n".join([*lines, "cameras:", *cameras]) + "\n")
    command = [sys.executable, "-c", "from offramp.cli import main; main()"]
    command += ["serve", "--config", str(config), "--ray", "--replicas", str(arguments.replicas)]
    log = folder / "log"
    with log.open("wb") as file:
        running = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        end = time.monotonic() + START_S
        while (found := re.search(r"listening at (\S+)", log.read_text())) is None:
            if running.poll() is not None or time.monotonic() > end:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield found[1]
    finally:
        running.send_signal(signal.SIGTERM)
        print("exit status", running.wait(60))


def look(client: httpx.Client, begin: float) -> Look:
    """See where each camera is; nothing if there is no answer."""
    try:
        cameras = client.get("/api/cameras").json()
    except (httpx.HTTPError, ValueError):
        return Look(time.monotonic() - begin)
    running = [c for c in cameras if c["status"]["state"] == "running"]
    return Look(
        time.monotonic() - begin,
        {c["spec"]["name"]: c["replica"] for c in running},
        {c["spec"]["name"]: c["counts"]["answered"] for c in running},
    )


def settle(address: str, cameras: int, replicas: int) -> None:
    """Wait until all cameras run, shared out among all replicas."""
    end = time.monotonic() + START_S
    with httpx.Client(base_url=address, timeout=30) as client:
        while time.monotonic() < end:
            homes = look(client, 0).homes
            if len(homes) == cameras and len(set(homes.values())) == replicas:
                return
            time.sleep(0.25)
    raise SystemExit("the cameras do not run")


def measure(address: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Ask and look while replicas are killed."""
    begin, over = time.monotonic(), threading.Event()
    looks: list[Look] = []

    def watch() -> None:
        with httpx.Client(base_url=address, timeout=10) as client:
            while not over.wait(0.25):
                looks.append(look(client, begin))

    watching = threading.Thread(target=watch)
    watching.start()
    kills = threading.Thread(target=kill, args=(name, arguments, begin, events := []))
    kills.start()
    samples = ask(address, arguments, begin)
    kills.join()
    over.set()
    watching.join()
    return summary(samples, looks, events)


def kill(name: str, arguments: argparse.Namespace, begin: float, events: list[float]) -> None:
    """Kill replicas at even times of the run."""
    for number in range(arguments.kills):
        due = begin + arguments.seconds * (number + 0.25) / arguments.kills
        time.sleep(max(due - time.monotonic(), 0))
        victim = sorted(replicas_of(name))[0]  # the one that has lived longest
        events.append(time.monotonic() - begin)
        os.kill(victim, signal.SIGKILL)


def replicas_of(name: str) -> Iterator[int]:
    """Find the processes of the replicas."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if title.startswith(f"ray::ServeReplica:offramp-{name}:".encode()):
            yield int(folder.name)


def ask(address: str, arguments: argparse.Namespace, begin: float) -> list[Sample]:
    """Send requests, each at its time (an open loop), and gather what came of them."""
    image = np.random.default_rng(0).integers(0, 256, (192, 320, 3), dtype=np.uint8)
    body = encode_image(image, "PNG")
    count = int(arguments.seconds * arguments.rate)
    with (
        httpx.Client(base_url=address, timeout=30) as client,
        ThreadPoolExecutor(64) as pool,
    ):

        def one(due: float) -> Sample:
            start = time.monotonic()
            sample = Sample(due, once(client, body))
            if sample.outcome != "200":
                time.sleep(1.0 if sample.outcome == "429" else 0.0)  # what `Retry-After` says
                sample.second = once(client, body)
            sample.seconds = time.monotonic() - start
            return sample

        waiting = []
        for number in range(count):
            due = number / arguments.rate
            time.sleep(max(begin + due - time.monotonic(), 0))
            waiting.append(pool.submit(one, due))
        return [future.result() for future in waiting]


def once(client: httpx.Client, body: bytes) -> str:
    """Ask once; the status, or how the connection failed."""
    try:
        return str(client.post("/api/segment?format=json", content=body).status_code)
    except httpx.HTTPError as error:
        return type(error).__name__


def summary(samples: list[Sample], looks: list[Look], kills: list[float]) -> dict[str, Any]:
    """Say how long cameras were gone, and which requests were."""
    back = [gone(looks, when) for when in kills]
    took = np.array([sample.seconds for sample in samples if sample.outcome == "200"])
    failed = [sample for sample in samples if sample.outcome not in ("200", "429")]
    refused = [sample for sample in samples if sample.outcome == "429"]
    return {
        "cameras_back_after_s": [None if each is None else round(each, 2) for each in back],
        "cameras_back_in_time": all(each is not None and each <= WANTED_S for each in back),
        "requests_sent": len(samples),
        "outcomes": dict(Counter(sample.outcome for sample in samples)),
        "failed": [asdict(sample) for sample in failed],
        "lost": sum(sample.second not in ("200", "429") for sample in failed),
        "second_tries_of_refused": dict(Counter(sample.second for sample in refused)),
        "request_p50_ms": round(1000 * float(np.median(took)), 1),
        "request_p95_ms": round(1000 * float(np.percentile(took, 95)), 1),
        "request_max_ms": round(1000 * float(took.max()), 1),
        "kills_s": [round(when, 2) for when in kills],
        "homes": [
            {"s": round(each.when, 2), **each.homes}
            for each, last in zip(looks[1:], looks, strict=False)
            if each.homes != last.homes
        ],
    }


def gone(looks: list[Look], when: float) -> float | None:
    """Count the seconds from a kill until every moved camera was answered elsewhere."""
    before = [each for each in looks if each.when <= when and each.homes][-1]
    after = [each for each in looks if each.when > when]
    for k, each in enumerate(after):
        moved = {c for c, home in before.homes.items() if each.homes.get(c, home) != home}
        whole = set(each.homes) == set(before.homes)
        # Its counters begin anew with its new replica: one answer, and it is back.
        if moved and whole and all(each.answered[c] > 0 for c in moved) and stays(after[k:]):
            return each.when - when
    return None


def stays(looks: list[Look]) -> bool:
    """Tell whether nothing moves in the second that follows."""
    soon = [each.homes for each in looks if each.when < looks[0].when + 1 and each.homes]
    return all(homes == soon[0] for homes in soon)


if __name__ == "__main__":
    main()
