"""`offramp convert`: what it prints, and what it refuses."""

from pathlib import Path

import pytest

from offramp.core.bundle import Bundle
from offramp.data.dataset import Dataset
from tests.cli.test_cli import answer, call


@pytest.fixture(scope="module")
def made(
    bundle: Bundle, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    out = tmp_path_factory.mktemp("cli") / "int8"
    return answer(
        "convert", bundle.folder, "--data", dataset.file, "--out", out, "--precision", "int8",
        "--max-miou-loss", 0.2, "--held-out", 0, "--images", 3, "--rounds", 2, "--threads", 1,
    )  # fmt: skip


def test_it_says_what_it_did(made: dict[str, object], bundle: Bundle) -> None:
    out = Bundle.open(Path(str(made["bundle"])))
    plan = out.manifest.plan
    assert (made["precision"], made["belongs_to"]) == ("int8", "onnxruntime")
    assert (plan.precision, plan.engine) == ("int8", "onnxruntime")
    told, source = made["after"], made["before"]
    assert isinstance(told, dict)
    assert isinstance(source, dict)
    assert told["plan"] == plan.expected.model_dump()
    assert source["full"]["miou"] == pytest.approx(bundle.manifest.plan.full.miou, abs=1e-3)
    assert source["full"]["latency_ms"] > 0
    # A loss counts from the full network in float.
    assert told["plan"]["miou"] >= source["full"]["miou"] - 0.2
    assert made["bytes"] == {"before": bundle.bytes, "after": out.bytes}
    assert made["images"] == 8


def test_a_table_without_json(short_bundle: Bundle, dataset: Dataset, tmp_path: Path) -> None:
    arguments = ("--data", dataset.file, "--out", tmp_path / "b", "--precision", "f32")
    printed = call("convert", short_bundle.folder, *arguments, "--rounds", 1).stdout
    for words in ("plan before", "full network after", "labels as before: 100.000 %", "MB after"):
        assert words in printed
    plan = Bundle.open(tmp_path / "b").manifest.plan
    assert (plan.setting, plan.precision, plan.engine) == ("budgeted", "f32", "")
    assert [e.point for e in plan.exits] == ["stem"]


def test_what_cannot_be_done_ends_with_a_status(
    bundle: Bundle, dataset: Dataset, tmp_path: Path
) -> None:
    given = ("convert", bundle.folder, "--data", dataset.file, "--out", tmp_path / "b")
    refused = call(*given, "--precision", "f32", status=2)
    assert "a goal without a bound" in refused.output
    call(*given, "--precision", "int4", status=2)
    call(*given, "--precision", "bf16", "--max-miou-loss", 0.1, status=2)
    refused = call(*given, "--precision", "f32", "--min-miou", 0.999, "--rounds", 1, status=1)
    assert "no input-dependent plan keeps to the bounds" in refused.output
    assert not (tmp_path / "b").exists()
