"""Where something runs: processor, cores, clock frequency, and versions of libraries."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

ROOT = Path("/")
"""Below it lie the system's own files, `proc` and `sys`."""


@dataclass(frozen=True)
class Frequency:
    """How fast the cores of this process run just now.

    Attributes:
        mhz: median over the cores.
        governor: who sets it, such as "performance"; empty where the system does not say.
    """

    mhz: float
    governor: str = ""

    def __str__(self) -> str:
        """Write it with its unit, as "2445 MHz, performance"."""
        return ", ".join([f"{self.mhz:.0f} MHz", *([self.governor] if self.governor else [])])


def describe_machine(root: Path = ROOT) -> dict[str, str]:
    """Say what the process runs on: architecture, processor, usable cores, frequency."""
    return {
        "machine": platform.machine(),
        "processor": processor(root),
        "cores": str(len(usable_cores())),
        "frequency": str(frequency(root) or "unknown"),
    }


def usable_cores() -> list[int]:
    """List the cores that the process may use."""
    return sorted(os.sched_getaffinity(0))


def processor(root: Path = ROOT) -> str:
    """Read the processor's name; "unknown" where the system does not tell."""
    told = _told(root, "model name")
    return told[0] if told else platform.processor() or "unknown"


def frequency(root: Path = ROOT) -> Frequency | None:
    """Read how fast the usable cores run just now; none where the system does not tell.

    `cpufreq` of /sys is asked first, then /proc/cpuinfo, whose cores are in the same order.
    """
    folders = [root / f"sys/devices/system/cpu/cpu{core}/cpufreq" for core in usable_cores()]
    try:
        khz = [int((folder / "scaling_cur_freq").read_text()) for folder in folders]
        governor = (folders[0] / "scaling_governor").read_text().strip()
        return Frequency(median(khz) / 1000, governor)
    except (OSError, ValueError):
        pass
    told = _told(root, "cpu MHz")
    usable = [mhz for core, mhz in enumerate(told) if core in usable_cores()]
    try:
        return Frequency(median(float(mhz) for mhz in usable)) if usable else None
    except ValueError:
        return None


def versions(names: Iterable[str]) -> dict[str, str]:
    """Tell the version of each package that is installed, and that of Python."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "python": platform.python_version()}


def _told(root: Path, key: str) -> list[str]:
    """Find every value of a key in cpuinfo, a file of "key : value" lines."""
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    pairs = [line.partition(":") for line in lines]
    return [value.strip() for name, _, value in pairs if name.strip() == key]
