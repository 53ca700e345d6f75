"""The static knobs of a network, their levels, and which of them each level of effort opens.

IOT §3: resolution needs no new network, luma changes its first layer, width all of its layers;
expansion, repetition and the pyramid belong to networks that have such parts. What a network
offers is what its entry in the zoo names; a knob with one level is no knob.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from offramp.core.model import Size, format_size
from offramp.tuning.candidate import Knob, Stage

Level = Literal["entry", "intermediate", "expert"]
LEVELS: tuple[Level, ...] = ("entry", "intermediate", "expert")

FRACTIONS = (3 / 4, 1 / 2, 7 / 16, 3 / 8, 5 / 16, 1 / 4, 3 / 16)
"""Of the native height and width: IOT's 256, 224, 192, 160, 128 and 96 of 512, and one above."""

GRID_PX = 16
"""Lower resolutions have sides that are multiples of this, and at least twice this."""

VALUES: Mapping[str, tuple[Knob, ...]] = {
    "channels": (3, 1),
    "width": (1.0, 0.75, 0.5, 0.25, 0.125),
    "expansion": (6, 4, 2),
    "repetition": (4, 3, 2, 1),
    "pyramid": (True, False),
}
"""Levels of each knob, most first (IOT tables 4.10 and 4.13); those above a default fall away."""

STAGES: Mapping[str, Stage] = {
    "channels": "luma",
    "width": "width",
    "expansion": "expansion",
    "repetition": "repetition",
    "pyramid": "pyramid",
}
"""Which stage turns a knob alone, in order of effort."""

OPENS: Mapping[Level, tuple[Stage, ...]] = {
    "entry": ("resolution-untrained", "resolution", "luma"),
    "intermediate": ("resolution-untrained", "resolution", "luma", "width", "combination"),
    "expert": (
        *("resolution-untrained", "resolution", "luma", "width"),
        *("expansion", "repetition", "pyramid", "combination"),
    ),
}


@dataclass(frozen=True)
class Setting:
    """One choice of all static knobs.

    Attributes:
        size: input height and width in pixels.
        knobs: pairs of name and value, in the order of the space.
    """

    size: Size
    knobs: tuple[tuple[str, Knob], ...] = ()

    def turned(self, knob: str, value: Knob) -> "Setting":
        """Change one knob."""
        return Setting(self.size, tuple((k, value if k == knob else v) for k, v in self.knobs))

    def at(self, size: Size) -> "Setting":
        """Change the size."""
        return Setting(size, self.knobs)


@dataclass(frozen=True)
class Space:
    """All settings of a network at a level.

    Attributes:
        native: the setting of the baseline.
        sizes: heights and widths, the native one first, falling.
        levels: levels of each open knob, the baseline's first.
        stages: what is done in this order; the baseline comes before.
    """

    native: Setting
    sizes: tuple[Size, ...]
    levels: Mapping[str, tuple[Knob, ...]]
    stages: tuple[Stage, ...]

    @classmethod
    def of(
        cls, defaults: Mapping[str, Knob], size: Size, level: Level, fixed: Mapping[str, Knob]
    ) -> "Space":
        """Lay out the space.

        Args:
            defaults: the knobs of the network with their defaults, as the zoo names them.
            size: native height and width in pixels.
            level: which stages are open.
            fixed: knobs that the recipe sets: where tuning begins.
        """
        start = {**{k: v for k, v in defaults.items() if k in VALUES}, **fixed}
        ladders = {k: _below(k, start[k]) for k in VALUES if k in defaults}
        opened = OPENS[level]
        levels = {k: v for k, v in ladders.items() if len(v) > 1 and STAGES[k] in opened}
        alone = {STAGES[k] for k in levels} | {"resolution-untrained", "resolution", "combination"}
        return cls(
            native=Setting(size, tuple(start.items())),
            sizes=(size, *_smaller(size)),
            levels=levels,
            stages=tuple(stage for stage in opened if stage in alone),
        )

    def name(self, setting: Setting) -> str:
        """Say in what a setting differs from the baseline, such as "160x96-width0.5-no-pyramid"."""
        words = [format_size(setting.size)]
        for (knob, value), (_, start) in zip(setting.knobs, self.native.knobs, strict=True):
            if value == start:
                continue
            if isinstance(value, bool):
                words.append(f"no-{knob}")
            else:
                words.append("luma" if knob == "channels" else f"{knob}{value:g}")
        return "-".join(words)

    def proposals(self, stage: Stage) -> list[Setting]:
        """List the settings that a stage tries: the baseline with one knob turned."""
        if stage in ("resolution", "resolution-untrained"):
            return [self.native.at(size) for size in self.sizes[1:]]
        return [
            self.native.turned(knob, value)
            for knob, values in self.levels.items()
            if STAGES[knob] == stage
            for value in values[1:]
        ]

    def combinations(self, dead: set[tuple[str, Knob]], lost: set[Size]) -> Iterator[Setting]:
        """Yield every setting but those with a value that did not survive its stage."""
        names = list(self.levels)
        ladders = [[v for v in self.levels[k] if (k, v) not in dead] for k in names]
        for size in self.sizes:
            if size in lost:
                continue
            for values in product(*ladders):
                setting = self.native.at(size)
                for knob, value in zip(names, values, strict=True):
                    setting = setting.turned(knob, value)
                yield setting


def at_least(one: Setting, other: Setting) -> bool:
    """Tell whether no knob of `one` is turned down further than in `other`: it is no faster."""
    lower = dict(other.knobs)
    return all(a >= b for a, b in zip(one.size, other.size, strict=True)) and all(
        value >= lower[knob] for knob, value in one.knobs if knob in lower
    )


def _below(knob: str, start: Knob) -> tuple[Knob, ...]:
    """List the levels of a knob from where tuning begins downwards."""
    return (start, *(value for value in VALUES[knob] if value < start))


def _smaller(size: Size) -> list[Size]:
    """Scale the native size by the fractions, on the grid; each size once."""
    found = [(_on_grid(size[0] * fraction), _on_grid(size[1] * fraction)) for fraction in FRACTIONS]
    return [s for s in dict.fromkeys(found) if s != size and s[0] <= size[0] and s[1] <= size[1]]


def _on_grid(side: float) -> int:
    return max(GRID_PX * round(side / GRID_PX), 2 * GRID_PX)
