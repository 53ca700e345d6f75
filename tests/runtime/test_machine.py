"""What a machine says of itself, on made-up system files."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from offramp.runtime import machine
from offramp.runtime.machine import Frequency, describe_machine, frequency, processor, versions

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.0: GHz
cpu MHz\t\t: 1800.000

processor\t: 1
model name\t: Some CPU @ 2.0: GHz
cpu MHz\t\t: 2400.000

processor\t: 2
model name\t: Some CPU @ 2.0: GHz
cpu MHz\t\t: 800.000
"""


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a machine of three cores, of which the process may use the first two."""
    write(tmp_path, "proc/cpuinfo", CPUINFO)
    monkeypatch.setattr(machine, "usable_cores", lambda: [0, 1])
    return tmp_path


def test_the_machine_is_described(root: Path) -> None:
    assert describe_machine(root) == {
        "machine": platform.machine(),
        "processor": "Some CPU @ 2.0: GHz",
        "cores": "2",
        "frequency": "2100 MHz",
    }


def test_the_frequency_is_that_of_the_usable_cores(root: Path) -> None:
    assert frequency(root) == Frequency(2100.0)
    folder = "sys/devices/system/cpu"
    for core, khz in enumerate(("3000000\n", "3500000\n", "100\n")):
        write(root, f"{folder}/cpu{core}/cpufreq/scaling_cur_freq", khz)
        write(root, f"{folder}/cpu{core}/cpufreq/scaling_governor", "performance\n")
    assert frequency(root) == Frequency(3250.0, "performance")
    assert describe_machine(root)["frequency"] == "3250 MHz, performance"


def test_a_machine_that_tells_nothing_is_described_too(tmp_path: Path) -> None:
    assert frequency(tmp_path) is None
    assert describe_machine(tmp_path)["frequency"] == "unknown"
    assert processor(tmp_path)
    write(tmp_path, "proc/cpuinfo", "cpu MHz : fast\n")
    assert frequency(tmp_path) is None


def test_this_machine_has_the_cores_that_the_process_may_use() -> None:
    assert describe_machine()["cores"] == str(len(os.sched_getaffinity(0)))


def test_versions_of_what_is_not_installed_are_left_out() -> None:
    found = versions(["numpy", "no-such-package-1"])
    assert found == {"numpy": version("numpy"), "python": platform.python_version()}
