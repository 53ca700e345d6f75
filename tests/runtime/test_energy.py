"""Energy from made-up counters: packages alone, and counters that begin again."""

from pathlib import Path

import pytest

from offramp.runtime.energy import Meter


def zone(root: Path, folder: str, name: str, uj: int, limit: int = 1_000_000) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "name").write_text(f"{name}\n")
    (root / folder / "energy_uj").write_text(f"{uj}\n")
    (root / folder / "max_energy_range_uj").write_text(f"{limit}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two packages, parts of them, the same once more, and the whole platform."""
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 500)
    zone(tmp_path, "intel-rapl:1", "package-1", 999_000)
    zone(tmp_path, "intel-rapl:2", "psys", 5_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000)
    return tmp_path


def meter(root: Path) -> Meter:
    found = Meter.find(root)
    assert found is not None
    return found


def test_packages_count_once_and_nothing_else_does(root: Path) -> None:
    assert [c.file.parent.name for c in meter(root).counters] == ["intel-rapl:0", "intel-rapl:1"]


def test_energy_is_what_the_counters_gained(root: Path) -> None:
    found = meter(root)
    before = found.read()
    zone(root, "intel-rapl:0", "package-0", 26_000)
    zone(root, "intel-rapl:0:0", "core", 400_000)
    assert found.since(before) == pytest.approx(25.0)


def test_a_counter_that_begins_again_is_followed(root: Path) -> None:
    found = meter(root)
    before = found.read()
    zone(root, "intel-rapl:1", "package-1", 4_000)  # 1,000 to the limit, then 4,000
    assert found.since(before) == pytest.approx(5.0)


def test_where_nothing_can_be_read_there_is_no_meter(tmp_path: Path, root: Path) -> None:
    assert Meter.find(tmp_path / "nowhere") is None
    (root / "intel-rapl:1" / "energy_uj").unlink()
    assert Meter.find(root) is None  # half a machine's energy would pass for the whole


def test_a_machine_without_packages_has_no_meter(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "psys", 1)
    assert Meter.find(tmp_path) is None
