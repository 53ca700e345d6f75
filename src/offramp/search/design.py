"""One design: which exits, and which score stops an image at each; as a plan, and as a point."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.costs import Costs
from offramp.core.plan import Plan, PlannedExit, Setting
from offramp.core.rule import AtLeast, AtMost, Rule
from offramp.core.score import ScoreSpec
from offramp.metrics.trace import Trace
from offramp.search.expectation import expect, full_network
from offramp.search.point import Point


@dataclass(frozen=True)
class Design:
    """One design.

    Attributes:
        rows: its exits, as rows of a trace in the order of the path.
        scores: what decides at each exit but the last; none where nothing decides.
        thresholds: one for each of these.
    """

    rows: tuple[int, ...]
    scores: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()


def plan_of(trace: Trace, costs: Costs, setting: Setting, design: Design) -> Plan:
    """Write a design as a plan, and replay it for what is expected."""
    names = tuple(dict.fromkeys(design.scores)) or trace.score_names[:1]
    rules: list[Rule | None] = [None] * len(design.rows)
    for place, (name, threshold) in enumerate(zip(design.scores, design.thresholds, strict=True)):
        kind = AtLeast if ScoreSpec.parse(name).more_is_surer else AtMost
        rules[place] = kind(threshold=threshold, score=names.index(name))
    full = full_network(trace, costs)
    plan = Plan(
        setting=setting,
        scores=names,
        exits=tuple(
            PlannedExit(point=trace.exits[row][0], head=trace.exits[row][1], rule=rule)
            for row, rule in zip(design.rows, rules, strict=True)
        ),
        expected=full,
        full=full,
        size=trace.size,
        images=len(trace.images),
        precision=trace.precision,
        engine=trace.engine,
    )
    return expect(plan, trace, costs)


def point_of(
    trace: Trace, costs: Costs, setting: Setting, design: Design, network: str = ""
) -> Point:
    """Say what a design does and costs; the mIoU of an anytime design is its weakest answer's."""
    exits = [trace.exits[row] for row in design.rows]
    taken = taken_by(trace, design)
    spent = [costs.of(exits[: place + 1]) for place in range(len(exits))]
    shares = np.bincount(taken, minlength=len(exits)) / len(taken)
    whole = spent[-1]
    miou = trace.miou(np.array(design.rows)[taken])
    if setting == "anytime":
        miou = min(trace.exit_miou(row) for row in design.rows[:-1] or design.rows)
    return Point(
        miou=miou,
        macs=float(np.mean([spent[i].macs for i in taken])),
        latency_ms=float(np.mean([spent[i].latency_ms for i in taken])),
        worst_latency_ms=whole.latency_ms,
        parameters=whole.parameters,
        bytes=costs.bundle_bytes(exits) if costs.knows("bytes") else 0,
        memory=costs.memory_of(exits) if costs.knows("memory") else 0,
        exits=tuple("/".join(pair) for pair in exits),
        thresholds=design.thresholds,
        scores=design.scores,
        shares=tuple(shares.tolist()),
        network=network,
    )


def taken_by(trace: Trace, design: Design) -> NDArray[np.intp]:
    """Say at which of its exits each image stops; shape N."""
    taken = np.full(len(trace.images), len(design.rows) - 1)
    running = np.ones(len(trace.images), dtype=bool)
    for place, (name, threshold) in enumerate(zip(design.scores, design.thresholds, strict=True)):
        values = trace.score(design.rows[place], name)
        up = ScoreSpec.parse(name).more_is_surer
        stops = running & ((values >= threshold) if up else (values <= threshold))
        taken[stops] = place
        running &= ~stops
    return taken
