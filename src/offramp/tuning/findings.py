"""IOT's three findings, and what exits add, checked on a study: true, false or not tested.

Each claim is made measurable here, so that it can come out false:

- *retraining*: at every lowered resolution that was tried both ways, the baseline's weights lose
  more than a point of IoU against those retrained there (IOT §4.3.2);
- *luma*: every candidate with one channel is dominated by one in colour with the same other knobs
  at any size. One that is faster than all of those has nothing to be compared with (IOT §4.3.3).
  One that was given up counts as dominated if one in colour was no slower and better after as
  many epochs;
- *width*: of all knobs alone, width makes the network most times faster for at most one point of
  IoU, over all pairs of candidates that differ in that knob only (IOT §4.4.3). A budget instead of
  a quotient, because a knob that loses nothing would divide by zero;
- *exits*: a point with exits dominates one of the static front. Beyond IOT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from offramp.core.model import format_size
from offramp.tuning.candidate import Candidate, Study
from offramp.tuning.frontier import dominates
from offramp.tuning.label import label
from offramp.tuning.recommend import finished, frontier, point

Verdict = Literal["true", "false", "not tested"]
POINT = 0.01
"""One point of IoU."""

BUDGETS = (POINT, 2 * POINT, 5 * POINT)
"""IoU that a knob may cost; the first within which any knob makes anything faster is judged."""


@dataclass(frozen=True)
class Finding:
    """A claim, and what the study says of it.

    Attributes:
        claim: what should hold.
        verdict: whether it does here.
        figures: the evidence, a sentence each; why, where nothing was tested.
    """

    claim: str
    verdict: Verdict
    figures: tuple[str, ...]


def findings(study: Study) -> tuple[Finding, ...]:
    """Check all claims: retraining, luma, width, exits; in this order."""
    return retraining(study), luma(study), width(study), exits(study)


def retraining(study: Study) -> Finding:
    """Check whether a lower resolution needs weights that were trained at it."""
    claim = "Retraining after lowering the resolution is needed"
    figures, needed = [], []
    trained = _trained(study)
    for old in finished(study):
        if old.stage != "resolution-untrained":
            continue
        for new in trained:
            if (new.size, new.knobs) == (old.size, old.knobs):
                gap = point(new)[1] - point(old)[1]
                needed.append(gap > POINT)
                figures.append(
                    f"{format_size(old.size)}: {_percent(old)} with the baseline's weights, "
                    f"{_percent(new)} retrained ({100 * gap:+.2f} points)"
                )
    if not needed:
        return _untested(claim, "no resolution was tried both without and with retraining")
    return Finding(claim, "true" if all(needed) else "false", tuple(figures))


def luma(study: Study) -> Finding:
    """Check whether one channel is dominated by lower resolutions in colour."""
    claim = "One luma channel is dominated by lower resolutions in colour"
    base = study.candidates[0]
    trained = _trained(study)
    figures, beaten = [], []
    for grey in trained:
        peers = [other for other in trained if _is_colour_of(other, grey)]
        if grey.knobs.get("channels") != 1 or not peers:
            continue
        name = f"{label(grey, base)} ({_percent(grey)}, {_ms(grey)})"
        better = [other for other in peers if dominates(point(other), point(grey))]
        if better:
            best = max(better, key=lambda other: point(other)[1])
            figures.append(f"{name} is dominated by {label(best, base)} "
                           f"({_percent(best)}, {_ms(best)})")  # fmt: skip
            beaten.append(True)
        elif all(point(grey)[0] < point(other)[0] for other in peers):
            figures.append(f"{name} is faster than all in colour: nothing to compare it with")
        else:
            figures.append(f"{name} is not dominated")
            beaten.append(False)
    for grey in study.candidates:
        behind = _given_up(grey, [other for other in trained if _is_colour_of(other, grey)])
        if grey.knobs.get("channels") == 1 and behind is not None:
            other, reached = behind
            figures.append(
                f"{label(grey, base)} was given up after {grey.rungs[-1].epoch} epochs with "
                f"{100 * grey.rungs[-1].iou:.2f} %, where {label(other, base)}, no slower, had "
                f"{100 * reached:.2f} %"
            )
            beaten.append(True)
    if not beaten:
        return _untested(claim, *figures, "no luma candidate has one in colour to compare it with")
    return Finding(claim, "true" if all(beaten) else "false", tuple(figures))


def width(study: Study) -> Finding:
    """Check whether width is the knob with the largest gain for little IoU."""
    claim = "Width is the strongest knob"
    knobs = _pairs(_trained(study))
    if "width" not in knobs or len(knobs) < 2:
        return _untested(claim, "there are no pairs that differ in width only, or none in others")
    best = {knob: [_gain(pairs, budget) for budget in BUDGETS] for knob, pairs in knobs.items()}
    figures = tuple(
        f"{knob}: " + ", ".join(
            f"{_times(ratio)} for at most {100 * budget:g} %-points"
            for ratio, budget in zip(best[knob], BUDGETS, strict=True)
        ) + f" ({len(knobs[knob])} pairs)"
        for knob in sorted(knobs, key=lambda knob: best[knob], reverse=True)
    )  # fmt: skip
    for place, budget in enumerate(BUDGETS):
        gains = {knob: ratios[place] for knob, ratios in best.items()}
        if max(gains.values()) > 1:
            strongest = all(gains["width"] > g for knob, g in gains.items() if knob != "width")
            judged = f"judged within {100 * budget:g} %-points of IoU"
            return Finding(claim, "true" if strongest else "false", (*figures, judged))
    return _untested(claim, *figures, "no knob makes anything faster within these losses")


def exits(study: Study) -> Finding:
    """Check whether exits add a point that dominates one of the static front."""
    claim = "Exits add a point that dominates one of the static front"
    known = finished(study)
    static = frontier([candidate for candidate in known if candidate.kind == "static"])
    with_exits = [candidate for candidate in known if candidate.kind == "exits"]
    if not with_exits or not static:
        return _untested(claim, "the study has no finished point with exits")
    base = study.candidates[0]
    figures = [
        f"{label(one, base)} ({one.id}; {_percent(one)}, {_ms(one)}) dominates "
        f"{label(other, base)} ({other.id}; {_percent(other)}, {_ms(other)})"
        for one in with_exits
        for other in static
        if dominates(point(one), point(other))
    ]
    verdict: Verdict = "true" if figures else "false"
    if not figures:
        figures = [f"none of {len(with_exits)} points with exits dominates any of {len(static)}"]
    if any(one.latency is not None and one.latency.predicted for one in with_exits):
        figures.append("latency with exits is the mean over images of measured paths")
    return Finding(claim, verdict, tuple(figures))


def _trained(study: Study) -> list[Candidate]:
    """List the static candidates that were trained at their own size."""
    return [
        candidate
        for candidate in finished(study)
        if candidate.kind == "static" and candidate.stage != "resolution-untrained"
    ]


def _given_up(candidate: Candidate, others: Sequence[Candidate]) -> tuple[Candidate, float] | None:
    """Find who was best where a candidate was given up, and no slower; with its IoU there."""
    if candidate.status != "stopped" or not candidate.rungs or candidate.latency is None:
        return None
    at = candidate.rungs[-1]
    ahead = [
        (other, rung.iou)
        for other in others
        for rung in other.rungs
        if rung.epoch == at.epoch
        and rung.iou > at.iou
        and point(other)[0] <= candidate.latency.median_ms
    ]
    return max(ahead, key=lambda pair: pair[1], default=None)


def _is_colour_of(other: Candidate, grey: Candidate) -> bool:
    """Tell whether `other` is `grey` in colour, at whatever size."""
    return other.knobs.get("channels") == 3 and other.knobs == {**grey.knobs, "channels": 3}


def _pairs(trained: Sequence[Candidate]) -> dict[str, list[tuple[Candidate, Candidate]]]:
    """Group slower and faster candidates that differ in one thing by what that is."""
    found: dict[str, list[tuple[Candidate, Candidate]]] = {}
    for slow in trained:
        for fast in trained:
            differing = _differing(slow, fast)
            if len(differing) == 1 and point(fast)[0] < point(slow)[0]:
                found.setdefault(differing[0], []).append((slow, fast))
    return found


def _differing(one: Candidate, other: Candidate) -> list[str]:
    names = [name for name in one.knobs if one.knobs[name] != other.knobs.get(name)]
    return names if one.size == other.size else ["resolution", *names]


def _gain(pairs: Sequence[tuple[Candidate, Candidate]], budget: float) -> float:
    """Find the largest latency ratio of pairs that lose at most `budget` IoU; 1 if none does."""
    ratios = [
        point(slow)[0] / point(fast)[0]
        for slow, fast in pairs
        if point(slow)[1] - point(fast)[1] <= budget + 1e-9  # 0.98 − 0.97 exceeds 0.01 by a hair
    ]
    return max(ratios, default=1.0)


def _untested(claim: str, *figures: str) -> Finding:
    return Finding(claim, "not tested", figures)


def _percent(candidate: Candidate) -> str:
    return f"{100 * point(candidate)[1]:.2f} %"


def _ms(candidate: Candidate) -> str:
    return f"{point(candidate)[0]:.3g} ms"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}×" if ratio > 1 else "nothing"
