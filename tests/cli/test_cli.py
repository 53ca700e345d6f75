"""The command line: JSON keys, exit statuses, messages without traceback."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.bundle import Bundle
from offramp.core.costs import Costs
from offramp.core.files import write_text
from offramp.data.dataset import Dataset
from offramp.metrics.trace import Trace
from offramp.training.run import Run


def call(*arguments: object, status: int = 0) -> Any:
    """Call a verb in this process; returns the result of the call."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def answer(*arguments: object) -> dict[str, Any]:
    """Call a verb with --json and read its object, of which standard output holds nothing else."""
    read: dict[str, Any] = json.loads(call(*arguments, "--json").stdout)
    return read


@pytest.fixture(scope="module")
def searched(
    run: Run, trace: Trace, costs: Costs, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A searched copy of the trained run; `test_search` records one by its verb."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    shutil.copytree(run.folder, folder)
    trace.save(folder / "trace.npz")
    write_text(folder / "costs.json", costs.model_dump_json())
    call("search", folder, "--setting", "input-dependent", "--max-miou-loss", 0.05)
    return folder


def test_search_has_its_keys(searched: Path) -> None:
    found = answer("search", searched, "--setting", "budgeted", "--max-miou-loss", 0.05)
    wanted = {"plan", "miou", "macs", "latency_ms", "exits", "configurations", "seconds", "optimal"}
    assert wanted <= set(found)
    assert Path(found["plan"]).is_file()
    assert len(found["exits"]) == 1


def test_the_way_from_plan_to_masks(searched: Path, dataset: Dataset, tmp_path: Path) -> None:
    plan = searched / "plans" / "input-dependent.json"
    made = answer("export", searched, plan, "--out", tmp_path / "b", "--images", 4)
    assert made["bytes"] > 0
    assert made["parity"]["same_exits"] == 1.0
    judged = answer("eval", tmp_path / "b", "--data", dataset.file, "--split", "test")
    wanted = {"miou", "miou_per_image", "iou", "exit_share", "macs", "latency_ms", "full"}
    assert wanted <= set(judged)
    assert {"mean", "std"} == set(judged["miou_per_image"])
    assert sum(judged["exit_share"].values()) == pytest.approx(1)
    images = dataset.samples("test")[0].image.parent
    ran = answer("run", tmp_path / "b", images, "--out", tmp_path / "out")
    assert ran["frames"] == len(dataset.samples("test"))
    assert {"exit_share", "latency_ms", "dropped"} <= set(ran)
    timed = answer("bench", tmp_path / "b", "--rounds", 3)
    assert {"exits", "decision_ms", "ratio"} <= set(timed)


def test_eval_agrees_with_the_masks_that_run_wrote(
    bundle: Bundle, dataset: Dataset, tmp_path: Path
) -> None:
    from offramp.data.images import read_mask
    from offramp.metrics.confusion import intersections_unions, mean_iou

    judged = answer("eval", bundle.folder, "--data", dataset.file, "--split", "test")
    samples = dataset.samples("test")
    call("run", bundle.folder, samples[0].image.parent, "--out", tmp_path)
    counts = []
    for sample in samples:
        masks = tmp_path / sample.image.parent.name / "masks"
        answered = read_mask(masks / f"{sample.image.stem}.png")
        _, truth = dataset.read(sample)
        counts.append(intersections_unions(answered, truth, len(dataset.names)))
    total = [sum(c[i] for c in counts) for i in (0, 1)]
    assert judged["miou"] == pytest.approx(float(mean_iou(*total)))


def test_data_make_then_check(tmp_path: Path) -> None:
    few = ("--train", 4, "--val", 2, "--calib", 2, "--test", 2, "--clip", 0, "--size", "160x96")
    made = answer("data", "make", "factory", tmp_path / "f", *few)
    assert Path(made["data"]).is_file()
    checked = json.loads(
        CliRunner().invoke(app, ["data", "check", str(tmp_path / "f"), "--json"]).stdout
    )
    assert checked["images"] == {"train": 4, "val": 2, "calib": 2, "test": 2}


def test_check_names_the_file_and_fails(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(dataset.root, folder)
    victim = Dataset.open(folder).samples("val")[0].mask
    victim.unlink()
    result = call("data", "check", folder, "--json", status=2)
    faults = json.loads(result.stdout)["faults"]
    assert [Path(fault["file"]).name for fault in faults] == [victim.name]


def test_training_refuses_a_faulty_data_set(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(dataset.root, folder)
    victim = Dataset.open(folder).samples("train")[0].image
    victim.write_bytes(b"")
    told = ("--model", "fastscnn", "--out", tmp_path / "run", "--set", "size=96x64")
    assert victim.name in call("train", "--data", folder, *told, status=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--data", "{data}", "--model", "fastscn", "--out", "{out}"), "mean 'fastscnn'"),
        (("train", "--data", "nowhere", "--model", "fastscnn", "--out", "{out}"), "no data set at"),
        (
            (
                "train",
                "--data",
                "{data}",
                "--model",
                "fastscnn",
                "--out",
                "{out}",
                "--set",
                "sise=1",
            ),
            "did you mean 'size'",
        ),
        (("profile", "fastscnn", "--classes", "2", "--size", "huge"), "WxH"),
        (("profile", "fastscnn", "--classes", "2", "--size", "64x64", "--knob", "w=1"), "no knob"),
        (("record", "{out}"), "is not a run"),
        (("search", "{run}", "--setting", "budgeted"), "without a bound"),
        (("search", "{out}", "--setting", "budgeted", "--min-miou", "0.5"), "no trace"),
        (("export", "{run}", "nowhere.json", "--out", "{out}"), "does not exist"),
        (("eval", "{out}", "--data", "{data}"), "is not a bundle"),
        (("eval", "{bundle}", "--data", "{data}", "--split", "tests"), "mean 'test'"),
        (("eval", "{bundle}", "--data", "{data}", "--engine", "onnx"), "no engine 'onnx'"),
        (("run", "{bundle}", "nowhere.mp4", "--out", "{out}"), "does not exist"),
        (("run", "{bundle}", "{data}", "--out", "{out}"), "is no source"),
        (("report", "{out}"), ""),
    ],
)
def test_bad_input_gives_status_two_and_one_message(
    arguments: tuple[str, ...],
    message: str,
    searched: Path,
    bundle: Bundle,
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    places = {
        "data": dataset.file,
        "out": tmp_path / "out",
        "run": searched,
        "bundle": bundle.folder,
    }
    result = call(*(argument.format(**places) for argument in arguments), status=2)
    assert message in result.stderr
    assert result.stderr.startswith("offramp: ")


def test_an_infeasible_goal_is_status_one_and_names_the_nearest(searched: Path) -> None:
    result = call("search", searched, "--setting", "budgeted", "--min-miou", 0.999, status=1)
    assert "the best mIoU is" in result.stderr


def test_a_changed_bundle_is_refused_by_name(copied: Path, dataset: Dataset) -> None:
    with (copied / "head_0.onnx").open("ab") as file:
        file.write(b"\0")
    result = call("eval", copied, "--data", dataset.file, status=2)
    assert "head_0.onnx was changed" in result.stderr


def test_help_needs_neither_torch_nor_an_engine() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from offramp.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'onnxruntime', 'lightning', 'av') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
