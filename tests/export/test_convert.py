"""A converted bundle does what its plan says, and belongs to its engine and precision."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, BundleError, Infeasible, ParityError, UnknownName
from offramp.core.plan import Plan
from offramp.core.rule import AtLeast, Levels
from offramp.core.wiring import files_of
from offramp.data.dataset import Dataset
from offramp.data.images import Array, resize_image
from offramp.export import convert as module
from offramp.export.convert import Choose, Converted, Recorded, convert, in_order
from offramp.export.kept import keep_exits
from offramp.export.pieces import Runner, measure_pieces
from offramp.export.prefixes import PrefixEngine, write_prefixes
from offramp.export.single import stopping_graph, write_model
from offramp.export.weights_form import write_weights
from offramp.models.count import count
from offramp.models.network import MultiExitNetwork
from offramp.models.rebuilt import load_weights
from offramp.runtime.accuracy import evaluate
from offramp.runtime.engine import Reading, State
from offramp.runtime.ort import OnnxRuntimeEngine
from offramp.runtime.recording import record
from offramp.runtime.session import Session
from offramp.search.design import Design, plan_of
from offramp.search.problem import Problem


def stopping(*rows: int) -> Choose:
    """Choose these exits, each but the last stopping the surer half of the images."""

    def choose(before: Recorded, after: Recorded) -> Plan:
        kept = [pair for n, pair in enumerate(before.trace.exits) if n in rows]
        found = [after.trace.exits.index(pair) for pair in kept]
        halves = [float(np.median(after.trace.score(row, "mean-top1"))) for row in found[:-1]]
        names = ("mean-top1",) * len(halves)
        design = Design(tuple(found), names, tuple(halves))
        setting = "input-dependent" if halves else "budgeted"
        return plan_of(*after, setting, design)

    return choose


@pytest.fixture(scope="module")
def eight(bundle: Bundle, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The shared bundle in int8, all exits kept."""
    out = tmp_path_factory.mktemp("convert") / "int8.offramp"
    return convert(bundle, dataset, out, stopping(0, 1, 2), precision="int8", images=5, rounds=2)


def test_plan_and_graphs_are_of_the_precision(eight: Converted, bundle: Bundle) -> None:
    manifest = eight.bundle.manifest
    assert manifest.precision == manifest.plan.precision == "int8"
    assert manifest.plan.engine == "onnxruntime"
    assert bundle.manifest.precision == "f32"
    assert eight.after.trace.precision == "int8"
    assert (eight.before.trace.precision, eight.before.trace.engine) == ("f32", "")
    assert eight.dropped == ()


def test_fitted_policies_belong_to_the_engine_too(eight: Converted) -> None:
    problem = Problem(*eight.after, rows=(0, 1, 2))
    plan = problem.plan("threshold:mean-top1", ("mean-top1",), (AtLeast(threshold=0.5),) * 2)
    assert (plan.precision, plan.engine) == ("int8", "onnxruntime")


def test_a_session_does_what_the_plan_expects(eight: Converted, dataset: Dataset) -> None:
    early, full = evaluate(Session(eight.bundle), dataset, "calib")
    plan = eight.bundle.manifest.plan
    assert early.miou == plan.expected.miou
    assert full.miou == plan.full.miou
    shares = np.bincount(early.taken, minlength=3) / len(early.taken)
    assert shares.tolist() == [planned.share for planned in plan.exits]
    assert shares.max() < 1


def test_it_is_not_what_the_rules_in_float_would_do(eight: Converted) -> None:
    scores = [each.trace.scores for each in (eight.before, eight.after)]
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.05
    parity = eight.bundle.manifest.parity
    assert 0.97 < parity.label_agreement < 1
    assert parity.max_score_difference == pytest.approx(np.abs(scores[0] - scores[1]).max())
    assert parity.images == 8


def test_its_trace_is_that_of_the_graphs_that_were_written(
    eight: Converted, dataset: Dataset
) -> None:
    again = record(OnnxRuntimeEngine(eight.bundle), eight.bundle, dataset, "calib")
    assert np.array_equal(again.scores, eight.after.trace.scores)
    assert np.array_equal(again.intersections, eight.after.trace.intersections)


@pytest.mark.parametrize(
    "change", [{"precision": "f32", "engine": ""}, {"engine": "another"}, {"precision": "bf16"}]
)
def test_a_plan_of_another_precision_or_engine_is_refused(
    change: dict[str, str], eight: Converted
) -> None:
    manifest = eight.bundle.manifest
    plan = manifest.plan.model_copy(update=change)
    with pytest.raises(BadInput, match=r"fitted on scores of another|computes? in"):
        Session(Bundle(eight.bundle.folder, manifest.model_copy(update={"plan": plan})))


def test_an_exit_that_is_not_used_goes_out_of_the_graphs(
    bundle: Bundle,
    dataset: Dataset,
    network: MultiExitNetwork,
    frames: list[Array],
    tmp_path: Path,
) -> None:
    done = convert(bundle, dataset, tmp_path / "b", stopping(0, 2), rounds=2)
    manifest, before = done.bundle.manifest, bundle.manifest
    assert done.dropped == ("bottleneck2/r4-b1-fcn",)
    assert len(manifest.segments) == len(manifest.heads) == 2
    assert (manifest.precision, manifest.plan.precision, manifest.plan.engine) == ("f32", "f32", "")
    exits = [("stem", "r1-b0-fcn"), ("end", "own")]
    counted = count(network)
    assert list(manifest.path_macs) == [counted.of(exits[: n + 1]).macs for n in range(2)]
    assert manifest.full_macs == before.full_macs == counted.of(exits[-1:]).macs
    engines = OnnxRuntimeEngine(bundle), OnnxRuntimeEngine(done.bundle)
    frame = resize_image(frames[0], manifest.model.size)
    theirs = [walk(engines[0], frame, 3)[index].logits for index in (0, 2)]
    for ours, expected in zip(walk(engines[1], frame, 2), theirs, strict=True):
        np.testing.assert_allclose(ours.logits, expected, rtol=0, atol=1e-4)
    assert done.bundle.manifest.parity.label_agreement > 0.999
    early, _ = evaluate(Session(done.bundle), dataset, "calib")
    assert early.miou == manifest.plan.expected.miou


def test_a_plan_short_of_the_end_keeps_the_way_there(
    bundle: Bundle, dataset: Dataset, tmp_path: Path
) -> None:
    done = convert(bundle, dataset, tmp_path / "b", stopping(1), rounds=2)
    manifest = done.bundle.manifest
    assert manifest.plan.setting == "budgeted"
    assert len(manifest.segments) == 2
    assert len(manifest.path_macs) == 1
    assert done.dropped == ("stem/r1-b0-fcn",)
    full = [evaluate(Session(b), dataset, "test")[1].miou for b in (bundle, done.bundle)]
    assert full[0] == pytest.approx(full[1], abs=1e-3)


def test_nothing_is_written_before_it_has_succeeded(
    bundle: Bundle, dataset: Dataset, copied: Path, tmp_path: Path
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def interrupted(error: BaseException) -> Choose:
        def choose(before: Recorded, after: Recorded) -> Plan:
            raise error

        return choose

    there = content()
    for error in (KeyboardInterrupt(), Infeasible("no plan")):
        with pytest.raises(type(error)):
            convert(bundle, dataset, copied, interrupted(error), rounds=1)
        assert content() == there


def test_an_engine_that_strays_in_f32_is_refused(
    bundle: Bundle, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_AGREEMENT", 1.1)
    with pytest.raises(ParityError, match=r"agrees with the source on only 100\.00 %"):
        convert(bundle, dataset, tmp_path / "b", stopping(0, 1, 2), rounds=1)
    assert not list(tmp_path.iterdir())


def test_bad_input_is_refused_at_once(
    bundle: Bundle, eight: Converted, dataset: Dataset, tmp_path: Path
) -> None:
    choose = stopping(0)
    with pytest.raises(UnknownName, match="precision 'int4'"):
        convert(bundle, dataset, tmp_path / "b", choose, precision="int4")
    with pytest.raises(UnknownName, match="engine 'onxruntime'"):
        convert(bundle, dataset, tmp_path / "b", choose, engine="onxruntime")
    with pytest.raises(BadInput, match="are quantised"):
        convert(eight.bundle, dataset, tmp_path / "b", choose, precision="f32")
    (tmp_path / "letter").mkdir()
    with pytest.raises(BadInput, match="is not a bundle"):
        convert(bundle, dataset, tmp_path / "letter", choose)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_a_tampered_threshold_is_refused(eight: Converted, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in eight.bundle.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    value = json.loads((copy / "manifest.json").read_text())
    value["plan"]["exits"][0]["rule"]["threshold"] += 1e-9
    (copy / "manifest.json").write_text(json.dumps(value))
    with pytest.raises(BundleError):
        Bundle.open(copy)


def test_rules_take_the_scores_in_the_order_of_the_graphs(plan: Plan) -> None:
    there = ("entropy", "mean-top1", "fft")
    ours = in_order(plan, there)
    assert ours.scores == there
    assert [e.rule.score for e in ours.exits if isinstance(e.rule, AtLeast)] == [1, 1]
    assert [e.threshold for e in ours.exits] == [e.threshold for e in plan.exits]
    assert in_order(plan, plan.scores) is plan
    with pytest.raises(BadInput, match="other scores"):
        in_order(plan, ("entropy",))
    levels = [e.model_copy(update={"rule": e.rule and Levels(thresholds=(1.0,))})
              for e in plan.exits]  # fmt: skip
    with pytest.raises(BadInput, match="other scores"):
        in_order(plan.model_copy(update={"exits": tuple(levels)}), there)


class Scripted:
    """An engine that does nothing, and takes as long as its script says."""

    name, label, precision = "scripted", "scripted 1", "f32"

    def __init__(self, steps: list[float]) -> None:
        self.now, self.steps = 0.0, steps

    def _spend(self, step: int) -> None:
        self.now += self.steps[step]

    def begin(self, frame: Array) -> State:
        self._spend(0)
        return State({})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        self._spend(1 + 2 * index)
        return state

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        self._spend(2 + 2 * index)
        return Reading(None, (0.0,))

    def decode(self, logits: object, size: tuple[int, int]) -> Array:
        self._spend(7)
        return np.zeros(size, dtype=np.uint8)


def test_pieces_cost_what_they_take(bundle: Bundle, network: MultiExitNetwork) -> None:
    engine = Scripted([0.001, 0.01, 0.002, 0.02, 0.004, 0.04, 0.008, 0.1])
    runner = Runner(bundle, engine)
    [costs] = measure_pieces([runner], (80, 120), rounds=3, clock=lambda: engine.now)
    assert costs.points == ("stem", "bottleneck2", "end")
    assert [each.latency_ms for each in costs.segments] == pytest.approx([10, 20, 40])
    heads = [costs.heads[p][h].latency_ms for p, h in [("stem", "r1-b0-fcn"), ("end", "own")]]
    assert heads == pytest.approx([2, 8])
    assert costs.decode.latency_ms == pytest.approx(101)
    counted = count(network)
    for visited in ([("stem", "r1-b0-fcn"), ("end", "own")], [("bottleneck2", "r4-b1-fcn")]):
        assert costs.of(visited).macs == counted.of(visited).macs
    assert costs.bundle_bytes([]) <= bundle.bytes


def test_bundles_that_do_not_tell_their_work_are_refused(bundle: Bundle) -> None:
    old = Bundle(bundle.folder, bundle.manifest.model_copy(update={"work": ()}))
    with pytest.raises(BadInput, match="work"):
        measure_pieces([Runner(old, Scripted([]))], (64, 96))


@torch.inference_mode()
def test_forms_follow_the_exits(
    bundle: Bundle, network: MultiExitNetwork, frames: list[Array], tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    whole = keep_exits(bundle, bundle.manifest.plan, folder)
    forms = {
        **write_prefixes(network, whole.manifest, folder),
        **write_weights(network, whole.manifest, folder),
    }
    single = write_model(stopping_graph(whole), folder / "single.onnx")
    source = Bundle(folder, whole.manifest.model_copy(update={**forms, "single": single}))
    first, _, last = bundle.manifest.plan.exits
    plan = bundle.manifest.plan.model_copy(update={"exits": (first, last)})
    kept = keep_exits(source, plan, tmp_path / "kept")
    assert len(kept.manifest.prefixes) == 2
    assert kept.manifest.single is not None
    frame = resize_image(frames[0], plan.size)
    ours, theirs = walk(PrefixEngine(kept), frame, 2), walk(OnnxRuntimeEngine(kept), frame, 2)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=1e-4)
    rebuilt = load_weights(kept)
    assert rebuilt.points == ("stem", "end")
    kept_heads = (first.head, last.head)
    state = rebuilt.begin(torch.tensor(frame)[None])
    for index in range(2):
        state = rebuilt.advance(index, state)
        read = rebuilt.read(index, state, kept_heads[index]).logits
        np.testing.assert_allclose(read, theirs[index].logits, rtol=0, atol=1e-4)
    assert {path.name for path in kept.folder.iterdir()} == set(files_of(kept.manifest))


def walk(engine: OnnxRuntimeEngine | PrefixEngine, frame: Array, exits: int) -> list[Reading]:
    """Read every exit of a bundle."""
    state, readings = engine.begin(frame), []
    for index in range(exits):
        state = engine.advance(index, state)
        readings.append(engine.read(index, state.beside(None, None)))
    return readings
