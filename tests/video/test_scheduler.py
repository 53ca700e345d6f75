"""The scheduler on simulated time: deadlines, overload, fairness, and that no frame is lost."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import UnknownName
from offramp.video.job import REQUESTS, Job, Task
from offramp.video.predict import DECODE, Predictor, path
from offramp.video.scheduler import Scheduler
from tests.video.simulation import STEPS_S, Machine, always, every, never, poisson

FULL_S = 3 * 0.011 + 0.001
"""Seconds of a frame that goes through all three exits of the machine."""

FIRST_S = 0.012


def machine_with(cameras: dict[str, float], **keys: object) -> Machine:
    machine = Machine(**keys)  # type: ignore[arg-type]
    for name, weight in cameras.items():
        machine.scheduler.open(name, weight, newest=True, parallel=machine.scheduler.workers)
    return machine


def walked(machine: Machine, job: Job) -> list[tuple[str, int]]:
    return [task.step for _, task in machine.tasks if task.job is job]


def test_a_frame_takes_the_path_of_a_session() -> None:
    machine = machine_with({"a": 1.0}, stops=lambda job, exit: exit == 1)
    machine.arrivals("a", [0.0])
    (job,) = machine.run().answered()
    assert walked(machine, job) == [
        ("advance", 0), ("read", 0), ("advance", 1), ("read", 1), DECODE
    ]  # fmt: skip
    assert (job.best, job.involuntary) == (1, False)
    assert machine.latency(job) == pytest.approx(0.023)


def test_before_the_floor_the_policy_is_not_heard() -> None:
    machine = machine_with({"a": 1.0}, stops=always)
    job = Job("a", 0, 0.0, cap=2, deadline=1.0, floor=1)
    machine.at(0.0, lambda: machine.offer(job))
    machine.run()
    assert (job.best, job.involuntary) == (1, False)


def test_a_pinned_exit_reads_no_other_head() -> None:
    machine = machine_with({}, stops=always)
    job = Job(REQUESTS, 0, 0.0, cap=1, floor=1, reads=1)
    machine.at(0.0, lambda: machine.offer(job))
    machine.run()
    assert walked(machine, job) == [("advance", 0), ("advance", 1), ("read", 1), DECODE]


def test_the_cap_of_a_camera_ends_its_frames_but_not_below_their_floor() -> None:
    machine = machine_with({"a": 1.0})
    machine.scheduler.limit("a", 0)
    jobs = [Job("a", k, k * 1.0, cap=2, deadline=k + 1.0, floor=k) for k in range(3)]
    for job in jobs:
        machine.at(job.received, lambda job=job: machine.offer(job))  # type: ignore[misc]
    machine.run()
    assert [job.best for job in jobs] == [0, 1, 2]
    assert not any(job.involuntary for job in jobs)


def test_a_deadline_is_met_by_the_best_exit_that_fits_and_counted() -> None:
    machine = machine_with({"a": 1.0})
    machine.arrivals("a", [0.0], deadline_s=0.025)
    (job,) = machine.run().answered()
    assert (job.best, job.involuntary) == (1, True)
    assert machine.latency(job) <= 0.025


def test_what_no_exit_can_answer_in_time_is_shed_before_work_is_spent() -> None:
    machine = machine_with({"a": 1.0})
    machine.arrivals("a", [0.0], deadline_s=0.9 * FIRST_S)
    machine.run()
    assert machine.fates() == Counter(shed=1)
    assert machine.tasks == []


def test_a_step_that_was_cut_ends_with_the_reading_before() -> None:
    scheduler = Machine().scheduler
    job = Job(REQUESTS, 0, 0.0, cap=2, deadline=1.0)
    scheduler.offer(job, 0.0)
    for step in (("advance", 0), ("read", 0), ("advance", 1)):
        task = scheduler.next(0.0)
        assert task is not None
        assert task.step == step
        until = pytest.approx(1.0 - STEPS_S["decode"])
        assert task.until == (until if step == ("advance", 1) else None)
        scheduler.report(task, 0.01, cut=step == ("advance", 1))
    task = scheduler.next(0.0)
    assert task == Task(job, DECODE)
    scheduler.report(task, 0.01)
    assert [e.fate for e in scheduler.ended()] == ["answered"]
    assert (job.best, job.involuntary) == (0, True)


@pytest.mark.parametrize(("how", "fate"), [("cut", "shed"), ("failed", "failed")])
def test_a_first_step_that_was_cut_or_failed_ends_its_frame(how: str, fate: str) -> None:
    scheduler = Machine().scheduler
    scheduler.offer(Job(REQUESTS, 0, 0.0, cap=2, deadline=1.0), 0.0)
    task = scheduler.next(0.0)
    assert task is not None
    scheduler.report(task, 0.01, cut=how == "cut", failed=how == "failed")
    assert [e.fate for e in scheduler.ended()] == [fate]
    assert scheduler.next(0.0) is None
    assert (scheduler.begun, scheduler.queued) == (0, 0)


def test_begun_goes_before_new_even_if_the_new_is_more_urgent() -> None:
    scheduler = Machine().scheduler
    begun = Job(REQUESTS, 0, 0.0, cap=2, deadline=9.0)
    scheduler.offer(begun, 0.0)
    task = scheduler.next(0.0)
    assert task is not None
    scheduler.offer(Job(REQUESTS, 1, 0.0, cap=2, deadline=1.0), 0.0)
    scheduler.report(task, 0.01)
    task = scheduler.next(0.01)
    assert task is not None
    assert task.job is begun


def test_of_new_frames_the_earliest_deadline_comes_first() -> None:
    machine = machine_with(dict.fromkeys("abcd", 1.0), workers=1)
    machine.arrivals("d", [0.0])
    for name, deadline in zip("abc", (0.9, 0.5, 0.7), strict=True):
        machine.arrivals(name, [0.001], deadline_s=deadline)
    assert [job.flow for job in machine.run().answered()] == ["d", "b", "c", "a"]


def test_only_the_newest_frame_of_a_live_camera_waits() -> None:
    scheduler = Machine().scheduler
    scheduler.open("a")
    jobs = [Job("a", k, 0.0, cap=2, deadline=1.0) for k in range(3)]
    decisions = [scheduler.offer(job, 0.0) for job in jobs]
    assert [d.displaced for d in decisions] == [None, jobs[0], jobs[1]]
    assert [(e.job, e.reason) for e in scheduler.ended()] == [
        (jobs[0], "displaced"),
        (jobs[1], "displaced"),
    ]
    task = scheduler.next(0.0)
    assert task is not None
    assert task.job is jobs[2]


@pytest.mark.parametrize("factor", [2, 5])
def test_overload_keeps_the_goodput_and_the_deadline(factor: int) -> None:
    """Twenty live cameras, each sending its share of 2 or 5 times what the machine can do."""
    machine = machine_with({f"c{k}": 1.0 for k in range(20)}, noise=0.1, stops=always)
    capacity = 2 / FIRST_S  # every frame stops at the first exit
    rng = np.random.default_rng(3)
    for k in range(20):
        machine.arrivals(f"c{k}", poisson(rng, factor * capacity / 20, 10.0), deadline_s=0.15)
    machine.run()
    jobs = machine.answered()
    good = [job for job in jobs if machine.latency(job) <= 0.15]
    assert len(good) >= 0.95 * 10 * capacity / np.exp(0.1**2 / 2)  # mean of the noise
    assert np.quantile([machine.latency(job) for job in jobs], 0.99) <= 0.15


@pytest.mark.parametrize("factor", [2, 5])
def test_requests_beyond_the_capacity_are_refused_and_those_taken_are_in_time(factor: int) -> None:
    machine = machine_with({}, noise=0.1, stops=always)
    capacity = 2 / FIRST_S
    times = poisson(np.random.default_rng(4), factor * capacity, 10.0)
    machine.arrivals(REQUESTS, times, deadline_s=0.15)
    machine.run()
    jobs = machine.answered()
    good = [job for job in jobs if machine.latency(job) <= 0.15]
    fates = machine.fates()
    assert fates["dropped"] + fates["answered"] + fates["shed"] == len(times)
    assert len(good) >= 0.95 * 10 * capacity / np.exp(0.1**2 / 2)
    assert np.quantile([machine.latency(job) for job in jobs], 0.99) <= 0.15
    assert fates["shed"] <= 0.01 * len(jobs)  # a request that is taken is answered


def test_a_refusal_says_when_to_come_back() -> None:
    machine = machine_with({}, workers=1)
    scheduler = machine.scheduler
    decisions = [
        scheduler.offer(Job(REQUESTS, k, 0.0, cap=2, deadline=0.2), 0.0) for k in range(40)
    ]
    taken = sum(d.taken for d in decisions)
    assert taken == 1 + (0.2 - FIRST_S) // FULL_S
    refused = decisions[-1]
    assert refused.reason == "rejected"
    assert refused.retry_after_s == pytest.approx(taken * FULL_S + FIRST_S - 0.2, abs=FULL_S)
    later = refused.retry_after_s  # by then as much has drained
    scheduler.next(0.0)
    assert 0.05 <= later < 0.2


def test_a_request_that_can_wait_is_refused_behind_ten_seconds_of_work() -> None:
    scheduler = machine_with({}, workers=1).scheduler
    decisions = [scheduler.offer(Job(REQUESTS, k, 0.0, cap=2), 0.0) for k in range(400)]
    assert sum(d.taken for d in decisions) == pytest.approx(10 / FULL_S, abs=2)


def test_a_flood_of_one_camera_does_not_starve_another() -> None:
    """One sends far more than the machine can do; the other's few frames are all answered."""
    machine = machine_with({"flood": 1.0, "calm": 1.0}, workers=1, stops=always)
    machine.arrivals("flood", every(0.002, 10.0))
    machine.arrivals("calm", every(0.1, 10.0))
    machine.run()
    assert machine.fates("calm") == Counter(answered=100)
    assert machine.fates("flood")["answered"] >= 0.95 * (10 / FIRST_S - 100)
    assert max(machine.latency(job) for job in machine.answered("calm")) < 0.05


def test_a_flood_of_requests_does_not_starve_a_camera() -> None:
    machine = machine_with({"camera": 1.0}, workers=1, stops=always)
    machine.arrivals(REQUESTS, every(0.002, 10.0), deadline_s=None)
    machine.arrivals("camera", every(0.1, 10.0))
    machine.run()
    assert machine.fates("camera") == Counter(answered=100)


def test_time_is_shared_out_by_weight() -> None:
    machine = machine_with({"one": 1.0, "two": 2.0, "four": 4.0}, workers=1, stops=always)
    for name in ("one", "two", "four"):
        machine.arrivals(name, every(0.004, 20.0))
    machine.run()
    counts = [machine.fates(name)["answered"] for name in ("one", "two", "four")]
    shares = np.array(counts) / sum(counts)
    assert shares == pytest.approx([1 / 7, 2 / 7, 4 / 7], abs=0.02)


def test_a_camera_that_was_silent_has_no_claim_to_the_past() -> None:
    machine = machine_with({"a": 1.0, "b": 1.0}, workers=1, stops=always)
    machine.arrivals("a", every(0.003, 20.0))
    machine.arrivals("b", every(0.003, 20.0, start=10.0))
    machine.run()
    since = [job for job in machine.answered() if job.received >= 10.0]
    share = sum(job.flow == "a" for job in since) / len(since)
    assert share == pytest.approx(0.5, abs=0.02)


def test_below_capacity_the_deadline_forces_no_exit() -> None:
    machine = machine_with({f"c{k}": 1.0 for k in range(4)}, noise=0.1)
    rng = np.random.default_rng(6)
    for k in range(4):
        machine.arrivals(f"c{k}", every(4 * FULL_S / 2 / 0.7, 20.0, start=float(rng.random()) / 9))
    machine.run()
    assert set(machine.fates()) == {"answered"}
    assert not any(job.involuntary for job in machine.answered())
    assert {job.best for job in machine.answered()} == {2}


def test_time_freed_by_early_exits_goes_to_frames_that_wait() -> None:
    """Half the frames stop at exit 1: throughput grows by what that saves, no more and no less."""

    def answers(stops: object) -> int:
        machine = machine_with({f"c{k}": 1.0 for k in range(8)}, stops=stops)
        for k in range(8):
            machine.arrivals(f"c{k}", every(0.02, 20.0, start=0.002 * k), deadline_s=1.0)
        return len(machine.run().answered())

    rng = np.random.default_rng(8)
    with_exits = answers(lambda job, exit: exit == 0 and rng.random() < 0.5)
    factor = FULL_S / (0.5 * FULL_S + 0.5 * FIRST_S)
    assert with_exits / answers(never) == pytest.approx(factor, rel=0.03)


def test_the_comparison_of_an_answer_waits_until_nothing_else_does() -> None:
    machine = machine_with({"a": 1.0, "b": 1.0}, workers=1, stops=always)
    job = Job("a", 0, 0.0, cap=2, deadline=1.0, sampled=True)
    machine.at(0.0, lambda: machine.offer(job))
    machine.arrivals("b", [0.005, 0.030])
    machine.run()
    assert machine.fates() == Counter(answered=3, compared=1)
    ((start, first),) = [(t, task) for t, task in machine.tasks if task.step == ("advance", 1)]
    assert first.job is job
    assert start >= 0.024  # a's answer, then b's first
    second = [t for t, task in machine.tasks if task.job.flow == "b" and task.job.number == 1]
    assert second[0] <= 0.030 + 0.011  # not later than one step of the comparison


def test_one_freak_time_does_not_rule_an_exit_out_for_ever() -> None:
    machine = machine_with({"a": 1.0}, stops=never)
    machine.scheduler.predictor.observe(("advance", 0), 3.0)
    machine.arrivals("a", every(0.1, 10.0))
    fates = machine.run().fates()
    assert fates["shed"] <= 10
    assert fates["answered"] >= 90


def test_an_unknown_camera_is_refused() -> None:
    scheduler = Scheduler(Predictor(2), 1, 1)
    with pytest.raises(UnknownName, match="no camera 'x'"):
        scheduler.offer(Job("x", 0, 0.0, cap=1), 0.0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "file", REQUESTS]),
            st.floats(0.0, 1.0),
            st.one_of(st.none(), st.floats(0.005, 0.3)),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.integers(1, 3),
    st.floats(0.0, 1.2),
)
def test_every_frame_ends_once_whatever_arrives(
    frames: list[tuple[str, float, float | None, bool]],
    workers: int,
    removal: float,
) -> None:
    rng = np.random.default_rng(len(frames))
    machine = Machine(workers=workers, noise=0.5, stops=lambda job, exit: rng.random() < 0.4)
    scheduler = machine.scheduler
    for name, newest in (("a", True), ("b", True), ("file", False)):
        scheduler.open(name, newest=newest, parallel=workers)
    scheduler.limit("b", 1)
    jobs = []
    for number, (flow, when, due, sampled) in enumerate(frames):
        if flow == "a" and when >= removal:
            continue
        deadline = when + due if due is not None else None
        job = Job(flow, number, when, cap=2, deadline=deadline, sampled=sampled)
        jobs.append(job)
        machine.at(when, lambda job=job: machine.offer(job))  # type: ignore[misc]
    machine.at(removal, lambda: scheduler.close("a"))
    machine.run()
    ends = Counter(id(e.job) for e in machine.ended if e.fate != "compared")
    assert ends == Counter(id(job) for job in jobs)
    assert (scheduler.queued, scheduler.begun) == (0, 0)
    assert not [task for when, task in machine.tasks if task.job.flow == "a" and when > removal]
    assert len([e for e in machine.ended if e.fate == "compared"]) <= sum(j.sampled for j in jobs)
    _begun_went_first(machine, workers)


def _begun_went_first(machine: Machine, workers: int) -> None:
    """Replay the tasks: never more frames under way than workers, none twice at a time."""
    under_way: set[int] = set()
    end = {id(e.job): machine.when[id(e.job)] for e in machine.ended if e.fate != "compared"}
    for when, task in machine.tasks:
        under_way = {job for job in under_way if end[job] > when}
        if when < end[id(task.job)]:
            under_way.add(id(task.job))
        assert len(under_way) <= workers


def test_steps_of_a_path_are_those_of_the_predictor() -> None:
    assert machine_with({}).scheduler.predictor.mean(path(0, 2)) == pytest.approx(FULL_S)
