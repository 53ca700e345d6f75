"""What is left of the service when cameras send more than can be computed?

Images of a data set as cameras inside this process. First as many frames as are taken, which is the
capacity without any degradation; then so many times as much, from cameras that do not wait:

    python benchmarks/overload.py BUNDLE --data DATASET [--split val] [--times 0.5 1 2 5]
                                  [--rounds 2] [--seconds 40]

Wanted: answers in time per second at 2 and 5 times the capacity at least 95 % of the most at any
load, 99 % of the answers within their deadline, memory flat, and requests that cannot be taken
refused within 10 ms. Which exits answered is told beside: under load less deep ones do.
"""

import argparse
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from looped import Wall, observe, options, read_images
from machine import save

from offramp.core.bundle import Bundle
from offramp.core.errors import OfframpError
from offramp.video.analytics import Analytics
from offramp.video.counts import BOUNDS_MS

REQUEST_EVERY_S = 0.2
USUAL_FPS = 10
"""Frames a second of a camera, unless there would be too many."""


def main() -> None:
    """Load it, save, and print the table."""
    told = _arguments()
    bundle = Bundle.open(told.bundle)
    wall = Wall(read_images(told.data, told.split, told.images))
    plan = bundle.manifest.plan
    miou = {planned.point: planned.miou for planned in plan.exits}
    rounds: list[dict[str, Any]] = []
    for number in range(told.rounds):
        specs = wall.specs(8, 0.0, told.deadline_ms)
        capacity = observe(bundle, wall, specs, told.seconds / 2, engine=told.engine).rate
        print(f"round {number + 1}: capacity {capacity:.1f} frames a second", flush=True)
        loads = {}
        for times in told.times if number % 2 == 0 else told.times[::-1]:
            loads[str(times)] = _loaded(told, bundle, wall, times * capacity, miou)
            print(f"  {times} times: {_line(loads[str(times)])}", flush=True)
        rounds.append({"capacity": capacity, "loads": loads})
    kept = _kept(rounds, told.times)
    print(_table(rounds, kept))
    results = {"deadline_ms": told.deadline_ms, "kept": kept}
    save(told.out / f"{told.name}.json", {**results, "rounds": rounds})


def _arguments() -> argparse.Namespace:
    arguments = options(__doc__, "overload", rounds=2, seconds=40)
    arguments.add_argument("--times", type=float, nargs="+", default=[0.5, 1.0, 2.0, 5.0])
    arguments.add_argument("--cameras", type=int, default=32, help="at most")
    told = arguments.parse_args()
    told.out.mkdir(exist_ok=True)
    return told


def _loaded(
    told: argparse.Namespace, bundle: Bundle, wall: Wall, offered: float, miou: dict[str, float]
) -> dict[str, Any]:
    """Offer so many frames a second, and a few requests beside them."""
    requests: list[tuple[str, float]] = []

    def ask(analytics: Analytics, over: threading.Event) -> None:
        while not over.wait(REQUEST_EVERY_S):
            start = time.perf_counter()
            try:
                analytics.segment(wall.images[0], deadline_ms=told.deadline_ms)
                said = "answered"
            except OfframpError as error:
                said = type(error).__name__
            requests.append((said, 1000 * (time.perf_counter() - start)))

    cameras = min(max(round(offered / USUAL_FPS), 4), told.cameras)
    specs = wall.specs(cameras, offered / cameras, told.deadline_ms)
    period = observe(bundle, wall, specs, told.seconds, engine=told.engine, beside=ask)
    answered = max(1, sum(period.answered.values()))
    refused = [ms for said, ms in requests if said == "Overloaded"]
    return {
        "offered": offered,
        "cameras": cameras,
        "goodput": period.goodput,
        "in_time": 1 - period.late / answered,
        "involuntary": period.involuntary / answered,
        "p50_ms": _quantile_ms(period.latency, 0.5),
        "p99_ms": _quantile_ms(period.latency, 0.99),
        "mean_miou_of_exits": sum(miou.get(p, 0.0) * n for p, n in period.exits.items()) / answered,
        "memory_grew_mb": period.memory_mb[-1] - period.memory_mb[0],
        "level": Counter(period.levels).most_common(1)[0][0],
        "fairness": min(period.answered.values()) / max(1, *period.answered.values()),
        "requests": dict(Counter(said for said, _ in requests)),
        "refused_ms": max(refused, default=None),
        "period": asdict(period),
    }


def _quantile_ms(counts: Sequence[int], share: float) -> float:
    """Estimate a quantile of the latency from its buckets, linear within one."""
    ends = np.cumsum(counts)
    index = int(np.searchsorted(ends, share * ends[-1]))
    low, high = (0.0, *BOUNDS_MS)[index], (*BOUNDS_MS, BOUNDS_MS[-1])[index]
    inside = (share * ends[-1] - (ends[index] - counts[index])) / max(1, counts[index])
    return low + (high - low) * float(inside)


def _kept(rounds: list[dict[str, Any]], times: Sequence[float]) -> dict[str, list[float]]:
    """Tell the goodput at each load as a share of the most in its round."""
    return {
        str(one): [
            row["loads"][str(one)]["goodput"]
            / max(load["goodput"] for load in row["loads"].values())
            for row in rounds
        ]
        for one in times
    }


def _line(load: dict[str, Any]) -> str:
    return (
        f"offered {load['offered']:.0f}, in time {load['goodput']:.1f} a second, "
        f"p99 {load['p99_ms']:.0f} ms, level {load['level']}, {load['requests']}"
    )


def _table(rounds: list[dict[str, Any]], kept: dict[str, list[float]]) -> str:
    """Lay out, for each load, the range over the rounds."""
    lines = [
        "| times capacity | in time a second | of the most | within the deadline | p99 ms "
        "| cut short | mean mIoU of the exits | memory grew, MB |",
        "|---" * 8 + "|",
    ]
    for times, shares in kept.items():
        loads = [row["loads"][times] for row in rounds]
        cells = [
            _range([load["goodput"] for load in loads], ".1f"),
            _range(shares, ".3f"),
            *(
                _range([load[key] for load in loads], form)
                for key, form in (
                    ("in_time", ".4f"),
                    ("p99_ms", ".0f"),
                    ("involuntary", ".3f"),
                    ("mean_miou_of_exits", ".3f"),
                    ("memory_grew_mb", ".1f"),
                )
            ),
        ]
        lines.append("| " + " | ".join([times, *cells]) + " |")
    return "\n".join(lines)


def _range(values: Sequence[float], form: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main()
