"""Does `offramp serve` watch cameras for long without losing count, time or memory?

Starts GStreamer's RTSP server on this machine as a farm of cameras (some show parts of a real
video, over and over, at 10 frames a second; the others test patterns at 15), `offramp serve` with
all of them, and reads its metrics every ten seconds (in runs beyond two hours more rarely):

    python benchmarks/cameras.py BUNDLE [--video FILE] [--cameras 8] [--real 4] [--minutes 10]
                                 [--rough]

At the end every frame that came must have been answered or counted as left out, and the memory must
not have grown. `--rough` adds what happens in a bad week: one farm hangs for five seconds every
minute, one camera's bytes are spoilt for as long, and clients vanish in the middle of a stream.
Needs /usr/bin/python3 with GStreamer's bindings; see tests/video/rtsp_farm.py.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from machine import save
from PIL import Image
from served import Series, Served, Vitals, by_camera, quantile_ms
from trouble import trouble

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.serve.browser import CHROMIUM, browser
from tests.video.farm import Farm, write_clip
from tests.video.proxy import Proxy

EVERY_S = 10.0
MOST_LOOKS = 720
SEEN_S = 5.0
"""How long the dashboard is open before it is photographed."""

SIZE = (640, 360)
REAL_FPS, DRAWN_FPS = 10, 15
APART = 90
"""Frames by which the parts of the video that neighbouring cameras show lie apart."""


def main() -> None:
    """Watch, read, judge, save."""
    told = _arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        farms = _farms(told, folder)
        for farm, _ in farms:
            stack.enter_context(farm)
        cameras = {name: farm.url(path) for farm, paths in farms for name, path in paths.items()}
        proxy = stack.enter_context(Proxy(farms[-1][0].port)) if told.rough else None
        if proxy is not None:
            name, path = next(reversed(farms[-1][1].items()))
            cameras[name] = f"rtsp://127.0.0.1:{proxy.port}/{path}"
        served = stack.enter_context(Served(told.bundle, cameras, folder, told.serve))
        if proxy is not None:
            stack.enter_context(trouble(farms[-1][0], proxy, served.address, next(iter(cameras))))
        rows, vitals = _watch(served, 60 * told.minutes)
        shown = _photograph(served, folder, told.out / "cameras.png") if told.picture else None
        last = _rest(served, list(cameras))
        results = {
            "minutes": told.minutes,
            "rough": told.rough,
            "cameras": _judged(rows, last, vitals),
            "unaccounted": _unaccounted(last),
            "went_back": _went_back([*rows, last]),
            "process": _grown(vitals),
            "level": [row["offramp_level"][()] for row in rows],
            "states": _states(rows),
            "screenshot": shown,
            "exit_status": served.stop(),
            "errors_in_log": _errors(served.log),
            "vitals": [asdict(one) for one in vitals],
        }
    print(_table(results))
    save(told.out / f"{told.name}.json", results, "av", "fastapi", "uvicorn")


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("--video", type=Path, help="shown by the first cameras, looped")
    arguments.add_argument("--cameras", type=int, default=8)
    arguments.add_argument("--real", type=int, default=4, help="cameras that show the video")
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--rough", action="store_true", help="with faults and rude clients")
    arguments.add_argument("--no-picture", dest="picture", action="store_false")
    arguments.add_argument("--name", default="cameras", help="of the result file")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments.add_argument("--serve", nargs="*", default=[], help="further words for the server")
    told = arguments.parse_args()
    told.out.mkdir(exist_ok=True)
    return told


def _farms(told: argparse.Namespace, folder: Path) -> list[tuple[Farm, dict[str, str]]]:
    """Set up one farm for the video's cameras and one for the others: path by name."""
    size = f"{SIZE[0]}x{SIZE[1]}"
    real = min(told.real, told.cameras) if told.video else 0
    clips = [
        write_clip(told.video, folder / f"{n}.h264", SIZE, REAL_FPS, first=n * APART)
        for n in range(real)
    ]
    farms = []
    if clips:
        paths = {f"real{n}": f"clip{n}" for n in range(real)}
        farms.append((Farm("--cameras", 0, "--fps", REAL_FPS, *clips), paths))
    drawn = told.cameras - real
    if drawn:
        farm = Farm("--cameras", drawn, "--fps", DRAWN_FPS, "--size", size)
        farms.append((farm, {f"drawn{n}": f"cam{n}" for n in range(drawn)}))
    return farms


def _watch(served: Served, seconds: float) -> tuple[list[Series], list[Vitals]]:
    """Read the metrics now and then from when all cameras run, and at the end."""
    served.await_states("running")
    rows, vitals = [served.scrape()], [served.vitals()]
    start = time.perf_counter()
    every = max(EVERY_S, seconds / MOST_LOOKS)
    while (now := time.perf_counter() - start) < seconds:
        time.sleep(min(every - now % every, seconds - now))
        rows.append(served.scrape())
        vitals.append(served.vitals())
        answered = sum(by_camera(rows[-1], "offramp_answers_total").values())
        passed = vitals[-1].at_s - start
        print(f"{passed:6.0f} s  {answered:9.0f} answers  {vitals[-1].rss_mb:6.1f} MB", flush=True)
    return rows, vitals


def _rest(served: Served, cameras: list[str]) -> Series:
    """Let all cameras rest, so that nothing moves while it is counted."""
    for name in cameras:
        served.client.post(f"/api/cameras/{name}/pause").raise_for_status()
    for _ in range(100):
        last = served.scrape()
        if not sum(by_camera(last, "offramp_frames_pending").values()):
            break
        time.sleep(0.1)
    time.sleep(1.0)
    return served.scrape()


def _unaccounted(last: Series) -> dict[str, dict[str, float]]:
    """Count what came in and did not come out again, for each camera; all should be 0."""
    seen = {
        name: by_camera(last, f"offramp_camera_{name}_total")
        for name in ("decoded", "skipped", "dropped", "taken")
    }
    answers = by_camera(last, "offramp_answers_total")
    dropped = by_camera(last, "offramp_frames_dropped_total")
    return {
        camera: {
            "reader": seen["decoded"][camera]
            - sum(seen[name][camera] for name in ("skipped", "dropped", "taken")),
            "between": seen["taken"][camera] - received,
            "analytics": received - answers[camera] - dropped[camera],
        }
        for camera, received in by_camera(last, "offramp_frames_received_total").items()
    }


def _went_back(rows: list[Series]) -> int:
    """Count counters that were lower than at the look before; none may be."""
    return sum(
        value < before.get(name, {}).get(labels, 0.0)
        for before, after in pairwise(rows)
        for name, series in after.items()
        if name.endswith(("_total", "_bucket", "_count"))
        for labels, value in series.items()
    )


def _judged(rows: list[Series], last: Series, vitals: list[Vitals]) -> dict[str, dict[str, Any]]:
    """Sum each camera up."""
    seconds = vitals[-1].at_s - vitals[0].at_s
    decoded = [by_camera(row, "offramp_camera_decoded_total") for row in (rows[0], rows[-1])]
    answers = [by_camera(row, "offramp_answers_total") for row in (rows[0], rows[-1])]
    dropped = by_camera(last, "offramp_frames_dropped_total")
    return {
        camera: {
            "decoded_fps": (decoded[1][camera] - decoded[0].get(camera, 0)) / seconds,
            "answered_fps": (number - answers[0].get(camera, 0)) / seconds,
            "dropped": dropped[camera],
            "late": by_camera(last, "offramp_frames_late_total")[camera],
            "involuntary": by_camera(last, "offramp_frames_involuntary_total")[camera],
            "corrupt": by_camera(last, "offramp_camera_corrupt_total")[camera],
            "reconnects": by_camera(last, "offramp_camera_reconnects_total")[camera],
            "p50_ms": quantile_ms(last, camera, 0.5),
            "p95_ms": quantile_ms(last, camera, 0.95),
            "exits": {
                labels[2]: value
                for labels, value in last["offramp_answers_total"].items()
                if labels[0] == camera
            },
        }
        for camera, number in answers[1].items()
    }


def _grown(vitals: list[Vitals]) -> dict[str, Any]:
    """Tell how memory, files and threads grew, the first fifth left out as warming up."""
    warm = vitals[len(vitals) // 5 :]
    hours = np.array([one.at_s for one in warm]) / 3600
    rss = np.array([one.rss_mb for one in warm])
    slope = error = None
    if len(warm) > 3:
        (slope, _), covariance = np.polyfit(hours, rss, 1, cov=True)
        slope, error = float(slope), float(covariance[0, 0] ** 0.5)
    return {
        "rss_mb": [vitals[0].rss_mb, warm[0].rss_mb, warm[-1].rss_mb, float(rss.max())],
        "rss_slope_mb_per_hour": slope,
        "rss_slope_standard_error": error,
        "files": sorted({one.files for one in warm}),
        "threads": sorted({one.threads for one in warm}),
        "processors": (vitals[-1].cpu_s - vitals[0].cpu_s) / (vitals[-1].at_s - vitals[0].at_s),
    }


def _states(rows: list[Series]) -> dict[str, int]:
    """Count how often a camera was seen in each state."""
    counted: dict[str, int] = {}
    for row in rows[1:]:
        for (_, state), on in row.get("offramp_camera_state", {}).items():
            counted[state] = counted.get(state, 0) + int(on)
    return {state: number for state, number in counted.items() if number}


def _photograph(served: Served, folder: Path, file: Path) -> str | None:
    """Take a picture of the dashboard; gives its name, or none where there is no browser."""
    if CHROMIUM is None:
        return None
    with browser(folder / "browser") as page:
        page.resize(1280, 900)
        page.open(served.address)
        time.sleep(SEEN_S)
        Image.fromarray(page.picture()).save(file)
    return file.name


def _errors(log: Path) -> int:
    return sum(" ERROR" in line or "Traceback" in line for line in log.read_text().splitlines())


def _table(results: dict[str, Any]) -> str:
    lines = [
        "| camera | fps: sent | answered | left out | late | corrupt | reconnects | p50, p95 ms |",
        "|---" * 8 + "|",
    ]
    for name, row in results["cameras"].items():
        latency = ", ".join(
            "-" if row[q] is None else f"{row[q]:.0f}" for q in ("p50_ms", "p95_ms")
        )
        lines.append(
            f"| {name} | {row['decoded_fps']:.2f} | {row['answered_fps']:.2f} | "
            f"{row['dropped']:.0f} | {row['late']:.0f} | {row['corrupt']:.0f} | "
            f"{row['reconnects']:.0f} | {latency} |"
        )
    lost = sum(abs(n) for camera in results["unaccounted"].values() for n in camera.values())
    process = results["process"]
    lines += [
        f"frames unaccounted for: {lost:.0f}; counters that went back: {results['went_back']}; "
        f"exit status {results['exit_status']}; errors in the log: {results['errors_in_log']}",
        f"memory {process['rss_mb'][1]:.1f} -> {process['rss_mb'][2]:.1f} MB, slope "
        f"{process['rss_slope_mb_per_hour']} ± {process['rss_slope_standard_error']} MB/h; "
        f"files {process['files']}, threads {process['threads']}; "
        f"processors busy {process['processors']:.2f}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
