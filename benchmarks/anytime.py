"""Does an answer always come in time, on a machine that does something else besides?

Answers frames at random deadlines, from half the time of exit 1 to one and a half times that of
the whole path, while another process computes. Every frame must have an answer; an answer is late
if it comes after a deadline that exit 1 and decoding would have kept:

    python benchmarks/anytime.py factory.offramp --data data --frames 10000 --load 1
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import save

from offramp.data.dataset import Dataset
from offramp.runtime.engine import Engine, State
from offramp.runtime.session import Result, Session

LOAD = "import numpy as np\na = np.ones((400, 400), np.float32)\nwhile True:\n    a @ a"
"""What the other process does."""


class Stamped:
    """An engine that notes when exit 1 had spoken, and how long decoding took."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.spoke = self.decoded_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def read(self, index: int, state: State, until: float | None = None) -> Any:
        """Read, and note when exit 1 had been."""
        reading = self.engine.read(index, state, until)
        if index == 0:
            self.spoke = time.perf_counter()
        return reading

    def decode(self, logits: Any, size: tuple[int, int]) -> Any:
        """Decode, and note how long that took."""
        begun = time.perf_counter()
        labels = self.engine.decode(logits, size)
        self.decoded_s = time.perf_counter() - begun
        return labels


@contextmanager
def loaded(processes: int) -> Iterator[None]:
    """Let other processes compute meanwhile, one thread each."""
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    command = [sys.executable, "-c", LOAD]
    others = [subprocess.Popen(command, env=environment) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    """Answer, count and save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--split", default="val")
    arguments.add_argument("--engine", default="onnxruntime")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--load", type=int, default=1, help="other processes")
    arguments.add_argument("--frames", type=int, default=10_000)
    arguments.add_argument("--name", default="anytime")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    data = Dataset.open(told.data)
    images = [data.read(sample)[0] for sample in data.samples(told.split)[:64]]
    session = Session(told.bundle, told.engine, threads=told.threads)
    session.policy = Never()
    stamped = Stamped(session.engine)
    session.engine = stamped
    with loaded(told.load):
        times = [session.segment(images[n % len(images)]) for n in range(100)]
        whole = median(result.latency_ms for result in times)
        first = median(session.segment(image, deadline_ms=0).latency_ms for image in images)
        rows = list(answer(session, stamped, images, (first / 2, 1.5 * whole), told.frames))
    found = summary(rows, len(session.points))
    found |= {"exit_1_ms": first, "whole_path_ms": whole}
    for key, value in found.items():
        print(f"{key}: {value}")
    told.out.mkdir(exist_ok=True)
    save(
        told.out / f"{told.name}.json",
        {
            "engine": session.engine.label,
            "other_processes": told.load,
            "network": session.bundle.manifest.model.name,
            "frame": list(images[0].shape[:2]),
            **found,
        },
    )


class Never:
    """Stops nowhere: only deadlines do."""

    def stops(self, index: int, scores: tuple[float, ...]) -> bool:
        """Say no."""
        return False


def answer(
    session: Session, stamped: Stamped, images: list, span: tuple[float, float], frames: int
) -> Iterator[tuple[float, Result, bool]]:
    """Yield each frame's deadline, its answer, and whether exit 1 could have kept the deadline."""
    rng = np.random.default_rng(0)
    for number in range(frames):
        deadline = float(rng.uniform(*span))
        start = time.perf_counter()
        result = session.segment(images[number % len(images)], deadline_ms=deadline)
        fits = 1000 * (stamped.spoke - start + stamped.decoded_s) <= deadline
        yield deadline, result, fits


def summary(rows: list[tuple[float, Result, bool]], exits: int) -> dict[str, Any]:
    """Count what came late, and by how much."""
    fitting = [(deadline, result) for deadline, result, fits in rows if fits]
    lateness = [r.latency_ms - d for d, r in fitting if r.latency_ms > d]
    left = [d - r.latency_ms for d, r in fitting if r.latency_ms <= d]
    taken = Counter(result.exit for _, result in fitting)
    return {
        "frames": len(rows),
        "answered": sum(result.labels is not None for _, result, _ in rows),
        "exit_1_fits": len(fitting),
        "late": len(lateness),
        "late_share": len(lateness) / max(len(fitting), 1),
        "lateness_ms": {
            f"p{q}": float(np.percentile(lateness, q)) if lateness else 0.0
            for q in (50, 95, 99, 100)
        },
        "time_left_ms": {f"p{q}": float(np.percentile(left, q)) for q in (5, 50, 95)},
        "exit_share": [taken[index] / max(len(fitting), 1) for index in range(exits)],
    }


if __name__ == "__main__":
    main()
