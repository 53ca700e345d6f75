"""How much of the saved work is saved time?

    python benchmarks/gain.py BUNDLE DATA [--single BUNDLE] [--images 50] [--rounds 10]

Answers real images one at a time by an input-dependent plan, and as the network without early
exits does (or by a second bundle): resizing, deciding and decoding included. In each round every
image is answered twice by either, once in each order. The gain of time over the gain of
multiply-accumulates is 1 if nothing were lost; medians over rounds with 95 % intervals.
"""

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from machine import save

from offramp.cli.console import track
from offramp.core.errors import BadInput
from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.runtime.accuracy import mean_macs
from offramp.runtime.session import Result, Session
from offramp.runtime.spread import Spread

Answer = Callable[[Array], Result]


def main() -> None:
    """Measure, compare, save."""
    told = _arguments()
    session = Session(told.bundle, told.engine, threads=told.threads)
    manifest = session.bundle.manifest
    answers: dict[str, Answer] = {"plan": session.segment, "single": session.full}
    single_macs = float(manifest.full_macs)
    if told.single is not None:
        single = Session(told.single, told.engine, threads=told.threads)
        if len(single.points) != 1:
            raise BadInput(f"{told.single} has {len(single.points)} exits", expected="one")
        answers["single"] = single.segment
        single_macs = float(single.bundle.manifest.path_macs[0])
    images = [image for image, _ in islice(Dataset.open(told.data).pairs(told.split), told.images)]
    times = np.array(
        [_round(answers, images) for _ in track(range(told.rounds), told.rounds, "rounds")]
    )  # rounds×2
    taken = np.array([session.segment(image).exit for image in images])
    work = single_macs / mean_macs(session, taken)
    gains = times[:, 1] / times[:, 0]
    results = {
        "model": manifest.model.name,
        "size": list(manifest.model.size),
        "engine": session.engine.label,
        "images": len(images),
        "rounds": told.rounds,
        "single": "its own end" if told.single is None else told.single.name,
        "exit_share": _shares(session, taken),
        "plan_ms": _told(Spread.of(times[:, 0])),
        "single_ms": _told(Spread.of(times[:, 1])),
        "gain_of_work": work,
        "gain_of_time": _told(Spread.of(gains)),
        "time_over_work": _told(Spread.of(gains / work)),
    }
    for key, value in results.items():
        print(key, value)
    told.out.mkdir(exist_ok=True)
    save(told.out / f"gain_{manifest.model.name}_{told.engine}.json", results, told.engine)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--single", type=Path, help="a bundle of one exit, in place of its end")
    arguments.add_argument("--split", default="test")
    arguments.add_argument("--images", type=int, default=50)
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--engine", default="onnxruntime")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return arguments.parse_args()


def _round(answers: dict[str, Answer], images: list[Array]) -> list[float]:
    """Answer every image in both orders; returns the mean milliseconds of an answer of either."""
    spent = dict.fromkeys(answers, 0.0)
    for image in images:
        for name in [*answers, *reversed(answers)]:
            spent[name] += answers[name](image).latency_ms
    return [total / (2 * len(images)) for total in spent.values()]


def _shares(session: Session, taken: Any) -> dict[str, float]:
    counts = np.bincount(taken, minlength=len(session.points)) / len(taken)
    return dict(zip(session.points, counts.tolist(), strict=True))


def _told(spread: Spread) -> dict[str, float | None]:
    low, high = spread.interval or (None, None)
    return {"median": spread.p50, "low": low, "high": high}


if __name__ == "__main__":
    main()
