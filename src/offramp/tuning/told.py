"""What a study was told, and may not be told otherwise when it goes on."""

import hashlib
from collections.abc import Mapping
from typing import Any

from offramp.training.recipe import Recipe
from offramp.tuning.task import Task

IDLE = {"workers", "devices", "nodes"}
"""Keys of a recipe that change no result."""

EARLY = {"exits", "stage2"}
"""Keys of a recipe that matter only where early exits are tried."""


def told(task: Task) -> dict[str, Any]:
    """Write down what decides the candidates, in plain values.

    Where the data set lies, the time, the threads and the rounds are not among it.
    """
    return {
        "model": task.base.name,
        "names": list(task.data.names),
        "images": _digest(task),
        "level": task.level,
        "max_latency_ms": task.max_latency_ms,
        "min_iou": task.min_iou,
        "exits": task.exits,
        "remote": task.latencies is not None,
        "recipe": task.recipe.model_dump(mode="json"),
    }


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what a study is told otherwise than before, as in "min_iou 0.9 instead of 0.5".

    Args:
        before: what `told` wrote; a key that it lacks may be anything.
        now: what it writes now.

    Raises:
        BadInput: the recipe of before is not understood.
    """
    pairs = {key: (before.get(key, now[key]), now[key]) for key in now if key != "recipe"}
    old, new = (_decisive(each["recipe"], now["exits"]) for each in (before, now))
    pairs |= {key: (old.get(key), new.get(key)) for key in sorted(old | new)}
    return [f"{key} {new} instead of {old}" for key, (old, new) in pairs.items() if old != new]


def _decisive(value: Mapping[str, Any], exits: bool) -> dict[str, Any]:
    """Give what matters of a recipe a dotted key each; keys that it lacks have their defaults."""
    recipe = Recipe.parse(dict(value), "the study's recipe")
    return _flat(recipe.model_dump(mode="json", exclude=IDLE | (set() if exits else EARLY)))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= (
            _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {prefix + key: inner}
        )
    return found


def _digest(task: Task) -> str:
    """Boil the names of the images down, so that another data set is noticed."""
    names = [f"{s}/{sample.name}" for s in ("train", "val") for sample in task.data.samples(s)]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
