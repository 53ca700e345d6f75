"""Run a tiny study in processes that are killed at random, one after the other, until one ends.

    python -m tests.tuning.killed DATA OUT SEED

Prints one line an event: "begin ID" and "end ID" of a training, "step" of it, "item" of any other
work, "killed" and what the record says was trained by then. All processes are forks of this one,
so that torch is imported once.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from offramp.data.dataset import Dataset
from offramp.runtime.ort import share_pool
from offramp.training.recipe import Pretraining
from offramp.tuning import climb, knobs
from offramp.tuning.candidate import CANDIDATES, Study
from offramp.tuning.task import Task
from offramp.tuning.tune import tune
from tests.tuning.whole import RECIPE, hurry, task

EPOCHS, STEPS = 3, 2
"""Of each training; steps are those of an epoch."""


def main(data: Path, out: Path, seed: int) -> None:
    """Kill each process after so many events; they get more and more time."""
    told = replace(
        task(Dataset.open(data), out),
        recipe=RECIPE.model_copy(update={"stage1": Pretraining(epochs=EPOCHS, batch=6)}),
        exits=False,
    )
    chance, most = random.Random(seed), 12
    while _killed(told, chance.randint(most // 2, most)):
        most += 6
        known = Study.load(out).candidates if (out / CANDIDATES).is_file() else ()
        trained = {c.id: [c.iou, c.seconds] for c in known if c.status == "trained"}
        _say(f"killed {json.dumps(trained)}")


def _killed(told: Task, events: int) -> bool:
    """Tell whether a process was killed after some events, rather than done before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(writing, 1)
        _work(told)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        for number, line in enumerate(lines, start=1):
            _say(line.rstrip())
            if number == events:
                os.kill(child, signal.SIGKILL)  # it works on meanwhile: the moment is any
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"the study ended with {status}")
    return status != 0


def _work(told: Task) -> None:
    torch.set_num_threads(1)
    share_pool(1)
    whole = climb.fit

    def telling(folder: Path, *rest: Any) -> Any:
        _say(f"begin {folder.name}")
        run = whole(folder, *rest)
        _say(f"end {folder.name}")
        return run

    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        patch.setattr(knobs, "OPENS", {"entry": ("resolution",)})
        patch.setattr(climb, "fit", telling)
        tune(told, _track)


def _track(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    for item in items:
        yield item
        if not label.startswith("checking"):  # nothing is written by then
            _say("step" if label == "stage1" else "item")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
