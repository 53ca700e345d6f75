"""What an engine's trace says is what its sessions do, and what torch's trace says."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, UnknownName
from offramp.core.plan import Plan
from offramp.core.rule import AtLeast
from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.data.sample import Sample
from offramp.evaluation import record as record_network
from offramp.export import export
from offramp.metrics.trace import Trace
from offramp.models.network import MultiExitNetwork
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.ort import OnnxRuntimeEngine
from offramp.runtime.recording import exits_to_end, record
from offramp.runtime.session import Session


class Clips:
    """A data set whose images are the frames of two clips."""

    def __init__(self, data: Dataset) -> None:
        self.file, self.names, self.spec = data.file, data.names, data.spec
        self._data = data

    def read(self, sample: Sample) -> tuple[Array, Array]:
        return self._data.read(replace(sample, clip=""))

    def samples(self, split: str) -> list[Sample]:
        samples = self._data.samples(split)
        return [replace(s, clip="a" if n < 5 else "b") for n, s in enumerate(samples)]


@pytest.fixture(scope="module")
def recorded(bundle: Bundle, dataset: Dataset) -> Trace:
    return record(OnnxRuntimeEngine(bundle), bundle, dataset, "calib")


def test_it_says_what_the_network_says(recorded: Trace, trace: Trace, bundle: Bundle) -> None:
    exits = exits_to_end(bundle.manifest.plan)
    rows = [trace.index(*pair) for pair in exits]
    theirs = trace.only(rows)
    assert recorded.exits == tuple(exits) == theirs.exits
    assert (recorded.images, recorded.names) == (trace.images, trace.names)
    assert (recorded.size, recorded.grids) == (trace.size, theirs.grids)
    assert recorded.score_names == bundle.manifest.plan.scores
    for row in range(len(exits)):
        for name in recorded.score_names:
            ours = recorded.score(row, name)
            np.testing.assert_allclose(ours, theirs.score(row, name), rtol=0, atol=1e-4)
    assert np.abs(recorded.unions - theirs.unions).sum() <= 1e-3 * theirs.unions.sum()
    assert theirs.disagreement is not None
    np.testing.assert_allclose(recorded.disagreement, theirs.disagreement, rtol=0, atol=1e-3)


def test_what_computes_in_f32_belongs_to_any_engine(recorded: Trace, tmp_path: Path) -> None:
    assert (recorded.precision, recorded.engine) == ("f32", "")
    replace(recorded, precision="int8", engine="some").save(tmp_path / "trace.npz")
    again = Trace.load(tmp_path / "trace.npz")
    assert (again.precision, again.engine) == ("int8", "some")


def test_the_own_end_is_recorded_where_the_plan_stops_short_of_it(
    short_bundle: Bundle, dataset: Dataset
) -> None:
    told = record(OnnxRuntimeEngine(short_bundle), short_bundle, dataset, "test")
    assert told.exits == (("stem", "r4-b1-fcn"), ("end", "own"))
    assert told.images == tuple(sample.name for sample in dataset.samples("test"))


def test_its_replay_is_what_a_session_does(
    recorded: Trace, bundle: Bundle, dataset: Dataset
) -> None:
    session = Session(bundle)
    live = [session.segment(image).exit for image, _ in dataset.pairs("calib")]
    assert replayed(recorded, bundle.manifest.plan) == live
    assert len(set(live)) > 1


@pytest.fixture(scope="module")
def comparing(
    network: MultiExitNetwork,
    plan: Plan,
    frames: list[Array],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """A bundle whose exits compare their labels with the exit's and the frame's before."""
    scores = ("exit-agreement", "frame-agreement", "mean-top1")
    first, second, last = plan.exits
    rules = [
        first.model_copy(update={"rule": AtLeast(threshold=0.8, score=1)}),
        second.model_copy(update={"rule": AtLeast(threshold=0.7, score=0)}),
        last,
    ]
    told = plan.model_copy(update={"scores": scores, "exits": tuple(rules)})
    return export(network, told, frames[:3], tmp_path_factory.mktemp("comparing") / "b")


def test_agreements_are_those_of_the_network(
    comparing: Bundle, network: MultiExitNetwork, dataset: Dataset
) -> None:
    clips: Any = Clips(dataset)
    ours = record(OnnxRuntimeEngine(comparing), comparing, clips, "calib")
    theirs = record_network(network, clips, "calib")
    theirs = theirs.only([theirs.index(*pair) for pair in ours.exits])
    assert ours.score_names == ("mean-top1",)
    for name in ("exit_agreement", "frame_agreement"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.any()
        np.testing.assert_allclose(mine, other, rtol=0, atol=0.02)
    assert ours.frame_agreement is not None
    assert not ours.frame_agreement[:, :, [0, 5]].any()  # where clips begin


def test_replay_follows_the_answers_of_frames_before(comparing: Bundle, dataset: Dataset) -> None:
    clips: Any = Clips(dataset)
    told = record(OnnxRuntimeEngine(comparing), comparing, clips, "calib")
    assert told.frame_agreement is not None
    assert told.exit_agreement is not None
    like_before = float(np.median(told.frame_agreement[0, -1]))
    like_exit = float(np.median(told.exit_agreement[1, 0]))
    rules = (AtLeast(threshold=like_before, score=1), AtLeast(threshold=like_exit, score=0), None)
    session, before, live = Session(comparing, policy=RulePolicy(rules)), None, list[int]()
    for n, sample in enumerate(clips.samples("calib")):
        before = session.segment(clips.read(sample)[0], None if n in (0, 5) else before)
        live.append(before.exit)
    seen = told.seen(range(3), comparing.manifest.plan.scores)
    assert replay(RulePolicy(rules), seen).tolist() == live
    assert len(set(live)) > 1


def test_other_classes_are_refused(bundle: Bundle, dataset: Dataset) -> None:
    other: Any = Clips(dataset)
    other.names = ("ground", "box")
    with pytest.raises(BadInput, match="other classes"):
        record(OnnxRuntimeEngine(bundle), bundle, other, "calib")
    with pytest.raises(UnknownName, match="split"):
        record(OnnxRuntimeEngine(bundle), bundle, dataset, "nonsense")


def replayed(trace: Trace, plan: Plan) -> Sequence[int]:
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    taken: list[int] = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores)).tolist()
    return taken
