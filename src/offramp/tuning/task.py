"""What a study is told, and how much of its budget each part may take."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from offramp.core.errors import BadInput, UnknownName
from offramp.core.model import ModelSpec
from offramp.core.progress import Track, silent
from offramp.data.check import check
from offramp.data.dataset import Dataset
from offramp.models.blocks import usual_exits
from offramp.models.network import build_network
from offramp.models.own import absolute
from offramp.models.zoo import entry
from offramp.runtime.ort import share_pool
from offramp.training.recipe import Exits, Recipe
from offramp.tuning.clock import ROUNDS, Latencies
from offramp.tuning.knobs import LEVELS, Level, Space

EXITS_SHARE = 0.25
"""Share of the budget that is kept for exits."""

HEADS = ("r4-b0-fcn", "r4-b2-rapid-fcn")
"""Heads at each position unless the recipe names others: a light and a strong one."""


@dataclass(frozen=True)
class Task:
    """A network, labelled images, and what is wanted.

    Attributes:
        data: the data set.
        model: name of the network.
        out: folder of the study.
        level: which stages are open.
        max_latency_ms: the bound on the median latency.
        min_iou: the bound on IoU, 0 to 1.
        budget_s: seconds for all of it.
        recipe: how the baseline is trained; `size` and `knobs` are where tuning begins.
        exits: whether early exits are tried in the end.
        threads: threads of the engine; absent: all cores that the process may use.
        rounds: how often each candidate is timed.
        latencies: a target device's times instead of this machine's.
        storage: a database that several machines share; absent: a file in the folder.
    """

    data: Dataset
    model: str
    out: Path
    level: Level
    max_latency_ms: float
    min_iou: float
    budget_s: float
    recipe: Recipe = field(default_factory=Recipe)
    exits: bool = False
    threads: int | None = None
    rounds: int = ROUNDS
    latencies: Latencies | None = None
    storage: str | None = None

    def __post_init__(self) -> None:
        for what, value in (("latency", self.max_latency_ms), ("budget", self.budget_s)):
            if not 0 < value < math.inf:
                raise BadInput(f"the {what} is no bound", expected="more than 0", got=str(value))
        if not 0 <= self.min_iou <= 1:
            raise BadInput("min-iou is a share", expected="0 to 1", got=str(self.min_iou))
        if self.level not in LEVELS:
            raise UnknownName("level", self.level, LEVELS)
        if self.recipe.processes > 1:
            raise BadInput(
                "candidates are trained in one process each",
                expected="devices and nodes 1",
                repair="run it on several machines with one --storage",
            )
        for split in ("train", "val"):
            if split not in self.data.splits:
                raise BadInput(f"{self.data.file} has no split '{split}'")
        if self.latencies is not None and self.latencies.model != absolute(self.model):
            raise BadInput(
                "the latencies are those of another network",
                expected=absolute(self.model),
                got=self.latencies.model,
            )

    @property
    def base(self) -> ModelSpec:
        """The network of the baseline."""
        return ModelSpec(
            name=absolute(self.model),
            names=self.data.names,
            size=self.recipe.pixels,
            knobs=self.recipe.knobs,
            ignore_index=self.data.spec.ignore_index,
            palette=self.data.palette,
        )

    @property
    def early(self) -> Exits:
        """Which heads are tried, and where."""
        told = self.recipe.exits
        return told if told != Exits() else Exits(heads=HEADS)

    def require_sound(self, track: Track = silent) -> None:
        """Refuse what cannot be done: before hours are spent, and before anything is written.

        Args:
            track: shows progress.

        Raises:
            UnknownName: there is no such network, knob, block, head or kind of weights.
            BadInput: a knob's value does not fit, the weights to start from cannot be had,
                there cannot be so many threads, or the target device did not time a candidate.
            DataFault: the data set has faults.
        """
        base = self.base
        points: tuple[str, ...] = ()
        heads = self.early.specs(entry(self.model).head)
        if self.exits:
            points = self.early.points or usual_exits(base)
        build_network(base, dict.fromkeys(points, heads), self.recipe.weights)
        if self.latencies is None:
            share_pool(self.threads)
        else:
            space = self.space
            single = [s for stage in space.stages for s in space.proposals(stage)]
            self.latencies.require(space.name(setting) for setting in (space.native, *single))
        splits = ("train", "val", "calib") if self.exits else ("train", "val")
        known = tuple(split for split in splits if split in self.data.splits)
        check(self.data, known, track).require_sound()

    @property
    def space(self) -> Space:
        """All settings of the network at this level."""
        return Space.of(entry(self.model).knobs, self.recipe.pixels, self.level, self.recipe.knobs)


def parse_budget(text: str) -> float:
    """Read "90m", "2h", "1h30m" or plain seconds; returns seconds.

    Raises:
        BadInput: it is none of these.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        parts = [float(part or 0) for part in match.groups()] if match and text.strip() else []
    except ValueError:
        parts = []
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not seconds > 0:
        raise BadInput("not a time", expected="seconds, or as in 90m, 2h", got=f"'{text}'")
    return seconds
