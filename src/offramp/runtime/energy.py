"""Energy that the processor used, from the counters of its packages, where they can be read.

Linux offers them as /sys/class/powercap/intel-rapl:N/energy_uj, on AMD's processors too. A package
holds its cores, caches and graphics, not the memory; whatever else the machine does in the
meantime counts with it. Since Linux 5.10 the counters are the administrator's alone unless the
files' mode was changed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")

_ZONE = re.compile(r"intel-rapl:\d+")
"""A package; "intel-rapl:0:0" is a part of one, "intel-rapl-mmio:0" the same one once more."""


@dataclass(frozen=True)
class Counter:
    """The energy counter of one package.

    Attributes:
        file: microjoules since some moment.
        limit: the largest value before it begins again at 0.
    """

    file: Path
    limit: int

    def read(self) -> int:
        """Read it, in microjoules."""
        return int(self.file.read_text())


@dataclass(frozen=True)
class Meter:
    """The counters of all packages of a machine."""

    counters: tuple[Counter, ...]

    @classmethod
    def find(cls, root: Path = POWERCAP) -> "Meter | None":
        """Find the counters of the packages; none where there are none that can be read."""
        found = []
        for folder in sorted(root.glob("intel-rapl:*")):
            try:
                package = (folder / "name").read_text().startswith("package")
                if not (_ZONE.fullmatch(folder.name) and package):
                    continue
                counter = Counter(
                    folder / "energy_uj", int((folder / "max_energy_range_uj").read_text())
                )
                counter.read()
            except (OSError, ValueError):
                return None  # the sum over some packages alone would mislead
            found.append(counter)
        return cls(tuple(found)) if found else None

    def read(self) -> Mapping[Counter, int]:
        """Read all counters, in microjoules."""
        return {counter: counter.read() for counter in self.counters}

    def since(self, before: Mapping[Counter, int]) -> float:
        """Tell how many millijoules were used since a reading.

        A counter that stands lower now has begun again, once.
        """
        return sum(_used(c, before[c], now) for c, now in self.read().items()) / 1000


def _used(counter: Counter, before: int, now: int) -> int:
    return now - before if now >= before else now - before + counter.limit
