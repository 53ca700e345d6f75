"""A study at work: its task, its ledger, its clock, and the record that is always up to date."""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from offramp.core.errors import BadInput
from offramp.core.files import write_text
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.tuning.candidate import CANDIDATES, Candidate, Chosen, Knob, Study
from offramp.tuning.choice import provisional
from offramp.tuning.clock import conditions
from offramp.tuning.kept import KeptDataset
from offramp.tuning.knobs import Setting
from offramp.tuning.ledger import Ledger
from offramp.tuning.score import metric
from offramp.tuning.splits import with_calib
from offramp.tuning.task import EXITS_SHARE, Task
from offramp.tuning.told import differing, told

logger = logging.getLogger(__name__)

RECIPE = "recipe.yaml"


class Desk:
    """What all parts of a study share.

    Args:
        task: what is wanted.
        track: shows progress.
        clock: seconds that only go forward.

    Raises:
        BadInput: the folder holds a study of another task.
    """

    def __init__(
        self, task: Task, track: Track = silent, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.task, self.track, self.space = task, track, task.space
        self._clock, self._start = clock, clock()
        task.out.mkdir(parents=True, exist_ok=True)
        before = Study.load(task.out) if (task.out / CANDIDATES).is_file() else None
        self.ledger = Ledger(task.out, self.space, task.storage)
        self._require_same(task)
        recipe = yaml.safe_dump(task.recipe.model_dump(mode="json"), sort_keys=False)
        write_text(task.out / RECIPE, recipe)
        data, notes = task.data, before.notes if before else ()
        if task.exits:
            data, note = with_calib(data, task.out / "data")
            notes = tuple(dict.fromkeys([*notes, note] if note else notes))
        self.data: Dataset = KeptDataset(data)
        engine = task.latencies.engine if task.latencies else conditions(task.threads)
        self.study = Study(
            model=task.model,
            data=str(task.data.file.resolve()),
            names=task.data.names,
            metric=metric(task.data.names),
            level=task.level,
            size=task.recipe.pixels,
            max_latency_ms=task.max_latency_ms,
            min_iou=task.min_iou,
            budget_s=task.budget_s,
            spent_s=before.spent_s if before else 0.0,
            engine=engine,
            remote=task.latencies is not None,
            stages=("baseline", *self.space.stages, *(("exits",) if self.exits else ())),
            chosen=before.chosen if before else None,
            notes=notes,
        )
        self._before_s = self.study.spent_s

    def _require_same(self, task: Task) -> None:
        """Refuse another task than that which the study was begun with."""
        now = told(task)
        differ = differing(self.ledger.told(now), now)
        if differ:
            raise BadInput(
                f"{task.storage or task.out} holds the study of another task",
                expected="the arguments of the first call",
                got="; ".join(differ[:4]) + (f"; and {len(differ) - 4} more" if differ[4:] else ""),
                repair="only --time-budget, --threads and --rounds may change; "
                "for another task give another --out",
            )

    @property
    def exits(self) -> bool:
        """Tell whether exits are tried: asked for, and can be calibrated and timed here."""
        return self.task.exits and self.task.latencies is None and "calib" in self.data.splits

    def spent(self) -> float:
        """Count the seconds, over all interruptions."""
        return self._before_s + self._clock() - self._start

    def left(self) -> float:
        """Count the seconds that are left of the whole budget."""
        return self.task.budget_s - self.spent()

    def left_static(self) -> float:
        """Count those that are left before exits are tried."""
        return self.left() - (EXITS_SHARE * self.task.budget_s if self.exits else 0.0)

    def folder(self, candidate: Candidate) -> Path:
        """Say where a candidate's run is."""
        return self.task.out / candidate.run

    def weights(self, candidate: Candidate) -> Path:
        """Say where a candidate's weights are, on the machine that trained it."""
        return self.folder(candidate) / "weights.safetensors"

    def static(self) -> list[Candidate]:
        """List the candidates that were trained to their end, and whose weights are here."""
        return [
            c
            for c in self.ledger.all()
            if c.kind == "static"
            and c.stage != "resolution-untrained"
            and c.finished
            and self.weights(c).is_file()
        ]

    def setting(self, candidate: Candidate) -> Setting:
        """Read a candidate's knobs back."""
        return Setting(candidate.size, tuple(candidate.knobs.items()))

    def note(self, candidate: Candidate) -> None:
        """Replace a candidate's record."""
        self.ledger.update(candidate)
        self.save()

    def remark(self, text: str) -> None:
        """Add a remark for readers, once."""
        self.study = self.study.model_copy(
            update={"notes": tuple(dict.fromkeys([*self.study.notes, text]))}
        )
        self.save()

    def save(self, chosen: Chosen | None = None, done: bool = False) -> None:
        """Write `candidates.json` anew.

        Args:
            chosen: the choice, measured again; absent: the best so far.
            done: the study is at its end.
        """
        candidates = tuple(self.ledger.all())
        self.study = self.study.model_copy(
            update={
                "candidates": candidates,
                "spent_s": self.spent(),
                "chosen": chosen or provisional(self.study, candidates),
                "done": done,
            }
        )
        self.study.save(self.task.out)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other processes out of a study's folder; a killed one frees it.

    Raises:
        BadInput: another process works there.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(f"another offramp tune works in {out}") from None
        yield


def knobs_of(setting: Setting) -> dict[str, Knob]:
    """Write the knobs of a setting as a record holds them."""
    return dict(setting.knobs)
