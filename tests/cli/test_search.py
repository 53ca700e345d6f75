"""Policies and promises from the command line, and on to the bundle."""

import json
import shutil
from pathlib import Path

import pytest

from offramp.core.bundle import Bundle
from offramp.core.plan import Plan
from offramp.data.dataset import Dataset
from offramp.training.run import Run
from tests.cli.test_cli import answer, call

CHAIN = ("--exits", "stem/r1-b0-fcn, bottleneck2/r4-b1-fcn")
DEPENDENT = ("--setting", "input-dependent")


@pytest.fixture(scope="module")
def recorded(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded copy of the trained run."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    shutil.copytree(run.folder, folder)
    call("record", folder, "--threads", 1)
    return folder


@pytest.mark.parametrize("policy", ["rl:entropy+fft"])
def test_the_way_from_a_policy_to_masks(
    recorded: Path, dataset: Dataset, tmp_path: Path, policy: str
) -> None:
    loose = answer("search", recorded, *DEPENDENT, "--max-miou-loss", 0.5)
    bound = 0.75 * loose["full"]["macs"]
    told = ("--policy", policy, *CHAIN, "--max-macs", bound)
    found = answer("search", recorded, *DEPENDENT, *told)
    assert (found["policy"], found["optimal"], found["certificate"]) == (policy, False, None)
    assert Path(found["plan"]).name == f"{policy.replace(':', '-').replace('+', '-')}.json"
    assert found["fitted"]["expected"]["macs"] <= bound
    assert [e["point"] for e in found["exits"]] == ["stem", "bottleneck2", "end"]
    bundle = tmp_path / "b"
    made = answer("export", recorded, found["plan"], "--out", bundle, "--images", 8)
    assert made["parity"]["same_exits"] == 1.0
    judged = answer("eval", bundle, "--data", dataset.file, "--split", "calib")
    assert judged["miou"] == pytest.approx(found["miou"], abs=1e-3)
    assert judged["macs"] == pytest.approx(found["macs"], rel=1e-12)
    images = dataset.samples("test")[0].image.parent
    ran = answer("run", bundle, images, "--out", tmp_path / "out")
    assert ran["frames"] == len(dataset.samples("test"))


def test_named_exits_confine_the_exact_search(recorded: Path) -> None:
    exits = ("--exits", "stem/r1-b0-fcn,stem/r4-b1-fcn")
    found = answer("search", recorded, *DEPENDENT, "--max-miou-loss", 0.5, *exits)
    assert found["optimal"]
    assert {e["point"] for e in found["exits"]} <= {"stem", "end"}
    assert Path(found["plan"]).name == "input-dependent.json"


def test_a_certificate_goes_into_the_plan_and_its_bundle(recorded: Path, tmp_path: Path) -> None:
    told = ("--max-miou-loss", 0.9, "--confidence", 0.5)
    found = answer("search", recorded, *DEPENDENT, *told)
    promise = found["certificate"]
    assert Path(found["plan"]).name == "input-dependent-certified.json"
    assert not found["optimal"]
    assert (promise["quantity"], promise["limit"], promise["confidence"]) == ("miou", 0.9, 0.5)
    assert (promise["n"], promise["searched"]) == (4, 4)
    plan = Plan.load(Path(found["plan"]))
    assert plan.certificate is not None
    assert json.loads(plan.certificate.model_dump_json()) == promise
    call("export", recorded, found["plan"], "--out", tmp_path / "b", "--images", 2)
    assert Bundle.open(tmp_path / "b").manifest.plan.certificate == plan.certificate


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (("--max-miou-loss", 0.9), "per-image mIoU; dataset mIoU is another quantity"),
        (("--max-disagreement", 0.9), "on average at most 90 % of the pixels are labelled unlike"),
    ],
)
def test_a_promise_is_printed_with_what_it_is_about(
    recorded: Path, told: tuple[object, ...], name: str
) -> None:
    printed = call("search", recorded, *DEPENDENT, *told, "--confidence", 0.5).stdout
    assert "promised with confidence 0.5" in printed
    assert name in printed
    assert "4 images held out" in printed


def test_what_cannot_be_certified_is_status_one_and_tells_what_would_do(recorded: Path) -> None:
    told = ("--max-miou-loss", 0.01, "--confidence", 0.95)
    failed = call("search", recorded, *DEPENDENT, *told, status=1)
    assert "mean loss of per-image mIoU" in failed.stderr
    assert "on the 4 images held out for the test" in failed.stderr
    assert "would do" in failed.stderr


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (("--max-miou-loss", 0.1, "--policy", "rl:entropi"), "no score 'entropi'"),
        (("--max-miou-loss", 0.1, "--policy", "lr:entropy"), "mean 'rl:entropy'"),
        (("--max-miou-loss", 0.1, "--exits", "stem"), "expected point/head"),
        (("--max-miou-loss", 0.1, "--exits", "steam/r1-b0-fcn"), "mean 'stem/r1-b0-fcn'"),
        (("--max-disagreement", 0.1), "give --confidence too"),
        (("--min-miou", 0.1, "--confidence", 0.9), "one of max-miou-loss, max-disagreement"),
        (
            ("--max-miou-loss", 0.1, "--max-disagreement", 0.1, "--confidence", 0.9),
            "one of max-miou-loss, max-disagreement",
        ),
        (("--max-miou-loss", 0.1, "--confidence", 1), "above 0, below 1"),
    ],
)
def test_what_cannot_be_asked_is_status_two(
    recorded: Path, told: tuple[object, ...], message: str
) -> None:
    assert message in call("search", recorded, *DEPENDENT, *told, status=2).stderr


def test_what_only_thresholds_heed_is_refused_elsewhere(recorded: Path) -> None:
    told = ("search", recorded, *DEPENDENT, "--max-miou-loss", 0.5, "--time-limit", 5)
    result = call(*told, "--policy", "rl:entropy", status=2)
    assert "--time-limit" in result.stderr
    call(*told, "--confidence", 0.9, status=2)
