"""A session does what the plan was promised to do, and no more work than that."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, BundleError, UnknownName
from offramp.core.plan import Plan
from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.accuracy import evaluate, mean_macs
from offramp.runtime.engine import Engine, OutOfTime, Reading, State
from offramp.runtime.session import Session


@dataclass
class Clock:
    """A clock that only tests move."""

    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Watched:
    """An engine that counts its calls, and lets steps take their time on a clock.

    It cancels a segment as engines do that can.
    """

    engine: Engine
    clock: Clock = field(default_factory=Clock)
    step_ms: float = 0.0
    decode_ms: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    name: str = "watched"
    label: str = "watched"
    precision: str = "f32"

    def begin(self, frame: Array) -> State:
        self.calls["begin"] += 1
        return self.engine.begin(frame)

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        self.calls[f"advance {index}"] += 1
        end = self.clock.seconds + self.step_ms / 1000
        if until is not None and end > until:
            self.clock.seconds = max(self.clock.seconds, until)
            raise OutOfTime
        self.clock.seconds = end
        return self.engine.advance(index, state)

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        self.calls[f"read {index}"] += 1
        return self.engine.read(index, state)

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        self.calls["decode"] += 1
        self.clock.seconds += self.decode_ms / 1000
        return self.engine.decode(logits, size)


@dataclass
class At:
    """A policy that stops at one exit."""

    exit: int

    def stops(self, index: int, score: float) -> bool:
        return index == self.exit


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> Session:
    return Session(bundle)


def watched(bundle: Bundle, step_ms: float = 0.0, **keys: Any) -> tuple[Session, Watched]:
    clock = Clock()
    session = Session(bundle, clock=clock, **keys)
    engine = Watched(session.engine, clock, step_ms)
    session.engine = engine
    return session, engine


def test_live_exits_are_those_of_the_replayed_trace(
    session: Session, plan: Plan, trace: Trace, frames: list[Array]
) -> None:
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    taken = replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))
    results = [session.segment(frame) for frame in frames]
    assert [result.exit for result in results] == taken.tolist()
    assert set(taken.tolist()) == {0, 1, 2}
    for n, result in enumerate(results):
        read = [trace.score(row, plan.scores[0])[n] for row in rows[: result.exit + 1]]
        assert [score for (score,) in result.scores] == pytest.approx(read, abs=1e-4)
        assert result.point == plan.exits[result.exit].point


def test_accuracy_and_work_on_the_recorded_images_are_as_expected(
    session: Session, plan: Plan, dataset: Dataset
) -> None:
    early, full = evaluate(session, dataset, "calib")
    assert early.miou == pytest.approx(plan.expected.miou, abs=1e-3)
    assert np.nanmean(early.miou_per_image) == pytest.approx(plan.expected.miou_per_image, abs=1e-3)
    assert full.miou == pytest.approx(plan.full.miou, abs=1e-3)
    assert mean_macs(session, early.taken) == pytest.approx(plan.expected.macs, rel=1e-12)
    assert session.bundle.manifest.full_macs == plan.full.macs
    assert (full.taken == 2).all()


def test_a_data_set_of_other_classes_is_refused(session: Session, dataset: Dataset) -> None:
    names = {**dataset.spec.names, 0: "floor"}
    other = Dataset(dataset.file, dataset.spec.model_copy(update={"names": names}))
    with pytest.raises(BadInput, match="expected ground, box, ball; got floor, box, ball"):
        evaluate(session, other, "calib")


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_what_lies_behind_the_exit_does_not_run(
    bundle: Bundle, frames: list[Array], stop: int
) -> None:
    session, engine = watched(bundle, policy=At(stop))
    assert session.segment(frames[0]).exit == stop
    steps = [f"{verb} {index}" for index in range(stop + 1) for verb in ("advance", "read")]
    assert engine.calls == Counter(["begin", *steps, "decode"])


def test_the_full_network_reads_no_early_head(bundle: Bundle, frames: list[Array]) -> None:
    session, engine = watched(bundle)
    result = session.full(frames[0])
    assert (result.exit, result.point) == (2, "end")
    advances = [f"advance {index}" for index in range(3)]
    assert engine.calls == Counter(["begin", *advances, "read 2", "decode"])


def test_a_plan_short_of_the_end_runs_there_only_when_asked(
    short_bundle: Bundle, bundle: Bundle, frames: list[Array]
) -> None:
    session, engine = watched(short_bundle)
    result = session.segment(frames[0])
    assert (result.exit, result.point) == (0, "stem")
    assert engine.calls["advance 1"] == 0
    full = session.full(frames[0])
    assert (full.exit, full.point) == (1, "end")
    assert engine.calls["advance 1"] == 1
    same = Session(bundle).full(frames[0])
    assert (full.labels == same.labels).mean() > 0.999


def test_refining_gives_every_answer_without_a_deadline(
    bundle: Bundle, frames: list[Array]
) -> None:
    session, engine = watched(bundle, step_ms=10)
    results = list(session.refine(frames[0]))
    assert [result.exit for result in results] == [0, 1, 2]
    assert [result.latency_ms for result in results] == pytest.approx([10, 20, 30])
    assert engine.calls["begin"] == 1
    assert [len(result.scores) for result in results] == [1, 2, 3]


@pytest.mark.parametrize(("deadline", "answers"), [(0, 1), (15, 1), (20.5, 2), (29, 2), (30.5, 3)])
def test_refining_begins_no_step_that_would_end_too_late(
    bundle: Bundle, frames: list[Array], deadline: float, answers: int
) -> None:
    session, engine = watched(bundle, step_ms=10)
    list(session.refine(frames[0]))  # now it knows that a step takes 10 ms
    engine.calls.clear()
    results = list(session.refine(frames[0], deadline_ms=deadline))
    assert [result.exit for result in results] == list(range(answers))
    assert engine.calls[f"advance {answers}"] == 0
    if deadline:
        assert results[-1].latency_ms <= deadline


def test_time_that_the_caller_spends_counts(bundle: Bundle, frames: list[Array]) -> None:
    session, engine = watched(bundle, step_ms=10)
    answers = session.refine(frames[0], deadline_ms=1000)
    next(answers)
    engine.clock.seconds += 2
    assert list(answers) == []


@pytest.mark.parametrize(
    ("deadline", "exit", "why"),
    [
        (0, 0, "deadline"),
        (16.9, 0, "deadline"),
        (27.1, 1, "deadline"),
        (36.9, 1, "deadline"),
        (37.1, 2, "end"),
        (None, 2, "end"),
    ],
)
def test_a_deadline_leaves_time_to_decode(
    bundle: Bundle, frames: list[Array], deadline: float | None, exit: int, why: str
) -> None:
    session, engine = watched(bundle, step_ms=10, policy=At(9))
    engine.decode_ms = 7
    for _ in range(100):  # now it knows that a step takes 10 ms, and decoding 7 ms
        session.segment(frames[0])
    engine.calls.clear()
    result = session.segment(frames[0], deadline_ms=deadline)
    assert (result.exit, result.why) == (exit, why)
    assert engine.calls[f"advance {exit + 1}"] == 0
    assert engine.calls["decode"] == 1
    if deadline:
        assert result.latency_ms <= max(deadline, 17 + 1e-9)


def test_a_step_that_takes_longer_than_ever_is_cancelled(
    bundle: Bundle, frames: list[Array]
) -> None:
    session, engine = watched(bundle, step_ms=10, policy=At(9))
    for _ in range(100):
        session.segment(frames[0])
    engine.step_ms = 25
    engine.calls.clear()
    result = session.segment(frames[0], deadline_ms=40)
    assert engine.calls["advance 1"] == 1  # begun, for it should have taken 10 ms
    assert engine.calls["read 1"] == 0
    assert (result.exit, result.why) == (0, "deadline")
    assert result.latency_ms <= 40 + 1e-6
    alone = session.segment(frames[0], deadline_ms=0)
    assert np.array_equal(result.labels, alone.labels)


def test_the_plan_stops_before_the_deadline_does(bundle: Bundle, frames: list[Array]) -> None:
    session, engine = watched(bundle, step_ms=10, policy=At(1))
    result = session.segment(frames[0], deadline_ms=1000)
    assert (result.exit, result.why) == (1, "plan")
    assert engine.calls["advance 2"] == 0


def test_what_steps_take_is_learned_anew(bundle: Bundle, frames: list[Array]) -> None:
    session, engine = watched(bundle, step_ms=40, policy=At(9))
    for _ in range(20):
        session.segment(frames[0])
    engine.step_ms = 10
    assert session.segment(frames[0], deadline_ms=45).exit == 0
    for _ in range(200):
        session.segment(frames[0])
    assert session.segment(frames[0], deadline_ms=45).exit == 2


def test_one_freak_does_not_rule_a_step_out_for_ever(bundle: Bundle, frames: list[Array]) -> None:
    session, engine = watched(bundle, step_ms=500, policy=At(9))
    session.segment(frames[0])
    engine.step_ms = 10
    exits = [session.segment(frames[0], deadline_ms=45).exit for _ in range(100)]
    assert exits[0] == 0
    assert exits[-1] == 2


def test_refining_and_segmenting_agree(session: Session, frames: list[Array]) -> None:
    result = session.segment(frames[0])
    refined = list(session.refine(frames[0]))[result.exit]
    assert np.array_equal(result.labels, refined.labels)
    assert result.scores == refined.scores


@pytest.mark.parametrize("size", [(64, 96), (1, 1), (37, 53), (200, 90)])
def test_labels_are_of_the_frame_s_own_size(session: Session, size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for result in (session.segment(frame), session.full(frame), *session.refine(frame)):
        assert result.labels.shape == size
        assert result.labels.dtype == np.uint8
        assert result.labels.max() < 3


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 96, 3), dtype=np.float32),
        np.zeros((64, 96, 3), dtype=np.int64),
        np.zeros((64, 96), dtype=np.uint8),
        np.zeros((64, 96, 4), dtype=np.uint8),
        np.zeros((1, 64, 96, 3), dtype=np.uint8),
        np.zeros((0, 96, 3), dtype=np.uint8),
    ],
    ids=["float", "int64", "2-D", "RGBA", "batch", "empty"],
)
def test_what_is_no_frame_is_refused(session: Session, image: np.ndarray) -> None:
    for answer in (session.segment, session.full, lambda i: list(session.refine(i))):
        with pytest.raises(BadInput, match="expected uint8 RGB of shape HxWx3"):
            answer(image)


def test_a_frame_is_not_written_to(session: Session, frames: list[Array]) -> None:
    frame = frames[0].copy()
    frame.setflags(write=False)
    session.segment(frame)
    assert np.array_equal(frame, frames[0])


def test_an_unknown_engine_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(UnknownName, match="no engine 'tensorflow'"):
        Session("/nowhere", "tensorflow")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Any) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        Session(tmp_path)


def test_rules_fitted_in_another_precision_are_refused(bundle: Bundle) -> None:
    plan = bundle.manifest.plan.model_copy(update={"precision": "int8"})
    other = Bundle(bundle.folder, bundle.manifest.model_copy(update={"plan": plan}))
    with pytest.raises(BadInput, match=r"expected f32.*got int8; fit them anew"):
        Session(other)
