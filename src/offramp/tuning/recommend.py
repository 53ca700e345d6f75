"""From a study to advice: the fastest that is accurate enough, the most accurate, the knee.

IOT ends with a choice by hand from its front. Here each way of choosing is a rule with one answer,
or with the reason why there is none and the candidate that comes closest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offramp.tuning.candidate import Candidate, Study
from offramp.tuning.frontier import Point, front, knee
from offramp.tuning.label import label

REAL_TIME_FPS = 30.0
"""IOT's bound for real time, in images a second."""


@dataclass(frozen=True)
class Pick:
    """What one rule says.

    Attributes:
        name: short, for a figure.
        rule: how it chooses, in words.
        candidate: whom; none where nobody meets the rule.
        closest: who misses it by least, where nobody meets it.
        reason: why nobody does, in words; else empty.
    """

    name: str
    rule: str
    candidate: Candidate | None
    closest: Candidate | None = None
    reason: str = ""


def finished(study: Study) -> list[Candidate]:
    """List the candidates whose IoU and latency are final."""
    return [candidate for candidate in study.candidates if candidate.finished]


def point(candidate: Candidate) -> Point:
    """Give latency in milliseconds and IoU of a finished candidate."""
    if candidate.latency is None or candidate.iou is None:
        raise ValueError(f"candidate {candidate.id} is not finished")
    return candidate.latency.median_ms, candidate.iou


def frontier(candidates: Sequence[Candidate]) -> list[Candidate]:
    """List the finished candidates that no other of them dominates, fastest first."""
    known = [candidate for candidate in candidates if candidate.finished]
    return [known[i] for i in front([point(candidate) for candidate in known])]


def recommend(study: Study) -> tuple[Pick, ...]:
    """Apply every rule to what is finished.

    Returns:
        Fastest with enough IoU, most accurate within the bound on latency, most accurate in real
        time, knee; in this order.
    """
    known, real_time = finished(study), 1000 / REAL_TIME_FPS
    within = f"most accurate with at most {study.max_latency_ms:g} ms"
    fluent = f"most accurate at {REAL_TIME_FPS:g} fps or more"
    return (
        _fastest(known, study.min_iou),
        _most_accurate(known, study.max_latency_ms, "in time", within),
        _most_accurate(known, real_time, "real time", fluent),
        _knee(known),
    )


def sentence(pick: Pick, study: Study) -> str:
    """Say in one sentence what a rule says."""
    rule = pick.rule[0].upper() + pick.rule[1:]
    if pick.candidate is not None:
        return f"{rule}: {_described(pick.candidate, study)}."
    text = f"{rule}: none, {pick.reason}."
    if pick.closest is not None:
        text += f" Closest is {_described(pick.closest, study)}."
    return text


def _fastest(known: Sequence[Candidate], min_iou: float) -> Pick:
    able = [candidate for candidate in known if point(candidate)[1] >= min_iou]
    rule = f"fastest with an IoU of {100 * min_iou:g} % or more"
    return _pick("fastest", rule, known, able, _by_speed, _by_iou)


def _most_accurate(known: Sequence[Candidate], max_ms: float, name: str, rule: str) -> Pick:
    able = [candidate for candidate in known if point(candidate)[0] <= max_ms]
    return _pick(name, rule, known, able, _by_iou, _by_speed)


def _pick(
    name: str,
    rule: str,
    known: Sequence[Candidate],
    able: Sequence[Candidate],
    order: Callable[[Candidate], Point],
    miss: Callable[[Candidate], Point],
) -> Pick:
    """Take the first by `order` of those that meet the rule, else the first by `miss` of all."""
    if able:
        return Pick(name, rule, min(able, key=order))
    if not known:
        return Pick(name, rule, None, reason="as nothing is trained yet")
    return Pick(name, rule, None, min(known, key=miss), f"of {len(known)} candidates")


def _knee(known: Sequence[Candidate]) -> Pick:
    rule = "knee of the front, beyond which speed costs most IoU"
    place = knee([point(candidate) for candidate in known])
    if place is None:
        return Pick("knee", rule, None, reason="as the front has no bend")
    return Pick("knee", rule, known[place])


def _by_speed(candidate: Candidate) -> Point:
    latency, iou = point(candidate)
    return latency, -iou


def _by_iou(candidate: Candidate) -> Point:
    latency, iou = point(candidate)
    return -iou, latency


def _described(candidate: Candidate, study: Study) -> str:
    baseline = study.candidates[0]
    latency, iou = point(candidate)
    name = f"{label(candidate, baseline)} ({candidate.id})"
    text = f"{name} with {100 * iou:.2f} % IoU in {latency:.3g} ms ({1000 / latency:.3g} fps)"
    if candidate.id != baseline.id and baseline.latency is not None:
        text += f", {baseline.latency.median_ms / latency:.2f} times as fast as the baseline"
    return text
