"""What does the run half need: memory, time to the first answer, and does memory stay flat?

    python benchmarks/footprint.py [BUNDLE] [--repeats 10] [--frames 100000]

Starts a fresh interpreter that imports offramp, opens the bundle and answers one frame, as often
as told: the time is from the start of the process to its answer, the memory what is resident then.
Without a bundle that of a FastSCNN at 320x192 with random weights. Then frames of three sizes pass
through one session of a FastSCNN at 96x64, and resident memory is read every thousand frames.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import save

from offramp.cli.console import track

FIRST = """
import sys
import numpy as np
from offramp.runtime.session import Session
session = Session(sys.argv[1], sys.argv[2], threads=1)
height, width = session.bundle.manifest.model.size
session.segment(np.zeros((height, width, 3), dtype=np.uint8))
print("answered", int("torch" in sys.modules), flush=True)
status = open("/proc/self/status").read()
print(*(line.split()[1] for key in ("VmRSS", "VmHWM") for line in status.splitlines()
        if line.startswith(key)), flush=True)
"""
EVERY = 1000
"""Frames between two looks at the memory."""


def main() -> None:
    """Measure and save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bundle", type=Path, nargs="?")
    arguments.add_argument("--engine", default="onnxruntime")
    arguments.add_argument("--repeats", type=int, default=10)
    arguments.add_argument("--frames", type=int, default=100_000, help="0: leave that out")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    results: dict[str, Any] = {"engine": told.engine}
    with tempfile.TemporaryDirectory() as folder:
        bundle = told.bundle or _make("320x192", Path(folder) / "first")
        results["first_answer"] = _first_answers(bundle, told.engine, told.repeats)
        print(results["first_answer"])
        if told.frames:
            small = _make("96x64", Path(folder) / "small")
            results["flat"] = _flat(small, told.engine, told.frames)
            print({key: value for key, value in results["flat"].items() if key != "rss_mb"})
    told.out.mkdir(exist_ok=True)
    save(told.out / f"footprint_{told.engine}.json", results, told.engine)


def _make(size: str, out: Path) -> Path:
    """Export in a process of its own: what exporting needs must not count as the session's."""
    code = (
        "import sys, contests; from pathlib import Path; from offramp.core.model import parse_size;"
        "contests.random_bundle('fastscnn', parse_size(sys.argv[1]), Path(sys.argv[2]))"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", code, size, str(out)], check=True, env=here)
    return out


def _first_answers(bundle: Path, engine: str, repeats: int) -> dict[str, Any]:
    seconds, resident, peak = [], [], []
    for _ in track(range(repeats), repeats, "first answers"):
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", FIRST, str(bundle), engine], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            said = child.stdout.readline().split()
            seconds.append(time.perf_counter() - start)
            kilobytes = child.stdout.readline().split()
        if child.returncode or len(kilobytes) != 2:
            raise SystemExit(f"the run half ended with status {child.returncode}")
        resident.append(int(kilobytes[0]) / 1024)
        peak.append(int(kilobytes[1]) / 1024)
    return {
        "repeats": repeats,
        "torch_loaded": said[1] == "1",
        "seconds": _told(seconds),
        "resident_mb": _told(resident),
        "peak_mb": _told(peak),
    }


def _flat(bundle: Path, engine: str, frames: int) -> dict[str, Any]:
    """Pass frames through a session; the slope is that of the second half, by least squares."""
    from offramp.runtime.session import Session

    session = Session(bundle, engine, threads=1)
    rng = np.random.default_rng(0)
    sizes = ((64, 96), (48, 80), (120, 160))
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes for _ in range(3)]
    resident = [_resident_mb()]
    start = time.perf_counter()
    for number in track(range(1, frames + 1), frames, "frames"):
        session.segment(images[number % len(images)])
        if number % EVERY == 0:
            resident.append(_resident_mb())
    seconds = time.perf_counter() - start
    half = np.array(resident[len(resident) // 2 :])
    slope = float(np.polyfit(np.arange(len(half)), half, 1)[0]) if len(half) > 1 else 0.0
    return {
        "frames": frames,
        "frames_a_second": frames / seconds,
        "growth_mb": resident[-1] - resident[0],
        "slope_kb_per_1000_frames": 1024 * slope,
        "slope_mb_per_hour": slope / EVERY * frames / seconds * 3600,
        "rss_mb": [round(value, 3) for value in resident],
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _told(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


if __name__ == "__main__":
    main()
