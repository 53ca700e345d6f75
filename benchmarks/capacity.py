"""How many cameras of ten frames a second are held, with early exits and without?

One bundle, images of a data set as cameras inside this process; in turn, round after round, early
exits may answer, and only the full network may:

    python benchmarks/capacity.py BUNDLE --data DATASET [--split val] [--rounds 3] [--seconds 10]

Cameras are held if each gets 97 % of its frames answered, at most one answer in a hundred is late
or cut short by its deadline, and nothing is degraded. The number is raised by a twentieth at a time
until they are not. Beside it: frames a second when frames wait all the time, which has no steps.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from looped import Period, Wall, observe, options, read_images
from machine import save

from offramp.core.bundle import Bundle

WHOLE = 0.97
UNWELL = 0.01


def main() -> None:
    """Measure both in turn, save, and print the ratio."""
    told = _arguments()
    bundle = Bundle.open(told.bundle)
    wall = Wall(read_images(told.data, told.split, told.images))
    rounds: list[dict[str, Any]] = []
    for number in range(told.rounds):
        row = {}
        # In turn, and who begins changes too: what disturbs the machine disturbs both.
        for use_exits in (True, False) if number % 2 == 0 else (False, True):
            name = "exits" if use_exits else "full"
            row[name] = _measured(told, bundle, wall, use_exits)
            print(
                f"round {number + 1}, {name}: {row[name]['frames_a_second']:.1f} frames a second, "
                f"{row[name]['held']} cameras",
                flush=True,
            )
        rounds.append(row)
    plan = bundle.manifest.plan
    results = {
        "fps": told.fps,
        "deadline_ms": told.deadline_ms,
        "cameras_ratio": _spread(rounds, "held"),
        "frames_ratio": _spread(rounds, "frames_a_second"),
        "foretold": {"expected": plan.expected.model_dump(), "full": plan.full.model_dump()},
        "rounds": rounds,
    }
    for key in ("cameras_ratio", "frames_ratio"):
        print(key, results[key])
    save(told.out / f"{told.name}.json", results)


def _arguments() -> argparse.Namespace:
    arguments = options(__doc__, "capacity", rounds=3, seconds=10)
    arguments.add_argument("--fps", type=float, default=10)
    told = arguments.parse_args()
    told.out.mkdir(exist_ok=True)
    return told


def _measured(
    told: argparse.Namespace, bundle: Bundle, wall: Wall, use_exits: bool
) -> dict[str, Any]:
    """Find the frames a second, and from there the number of cameras."""

    def look(cameras: int, fps: float) -> Period:
        specs = wall.specs(cameras, fps, told.deadline_ms)
        return observe(bundle, wall, specs, told.seconds, engine=told.engine, use_exits=use_exits)

    full = look(8, 0.0)
    looks: dict[int, Period] = {}

    def held(cameras: int) -> bool:
        looks[cameras] = look(cameras, told.fps)
        return _held(looks[cameras], told.fps)

    most = _most(held, max(1, round(0.9 * full.rate / told.fps)))
    return {
        "frames_a_second": full.rate,
        "exits": full.exits,
        "held": most,
        "looks": {cameras: asdict(look) for cameras, look in looks.items()},
    }


def _most(held: Callable[[int], bool], start: int) -> int:
    """Raise the number until cameras are not held, or lower it until they are; a twentieth each."""
    step = max(1, start // 20)
    number = start
    if held(number):
        while held(number + step):
            number += step
        return number
    while number > step:
        number -= step
        if held(number):
            return number
    return 0


def _held(period: Period, fps: float) -> bool:
    """Tell whether every camera got what it should."""
    answered = sum(period.answered.values())
    whole = all(n >= WHOLE * fps * period.seconds for n in period.answered.values())
    return (
        whole
        and period.late + period.involuntary <= UNWELL * answered
        and set(period.levels) == {"full"}
    )


def _spread(rounds: list[dict[str, Any]], key: str) -> dict[str, float | None]:
    """Compare both within each round; the median, and the least and the most."""
    pairs = [(row["exits"][key], row["full"][key]) for row in rounds]
    ratios = [with_exits / without for with_exits, without in pairs if without]
    if not ratios:
        return {"median": None, "least": None, "most": None}
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


if __name__ == "__main__":
    main()
