"""`offramp convert`: a bundle for another engine or precision, its plan fitted again there."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, say, table, track, verb

if TYPE_CHECKING:
    from offramp.core.plan import Plan
    from offramp.export.convert import Choose, Converted, Recorded
    from offramp.search import Goal


class PrecisionName(StrEnum):
    """Of the numbers in which the engine computes."""

    f32 = "f32"
    bf16 = "bf16"
    int8 = "int8"


class CostName(StrEnum):
    """What cheapest counts; parameters and memory are not known of a bundle's pieces."""

    macs = "macs"
    latency = "latency"
    worst_latency = "worst-latency"
    bytes = "bytes"


@verb
def convert(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    data: Annotated[Path, typer.Option(help="Data set: dataset.yaml or its folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    precision: Annotated[PrecisionName, typer.Option(help="Of the numbers to compute in.")],
    engine: Annotated[str, typer.Option(help="Which engine will run it.")] = "onnxruntime",
    split: Annotated[str, typer.Option(help="Images on which the plan is fitted.")] = "calib",
    images: Annotated[int, typer.Option(min=1, help="Most images for the ranges of int8.")] = 300,
    max_miou_loss: Annotated[
        float | None, typer.Option(help="Most mIoU lost against the source's full network.")
    ] = None,
    min_miou: Annotated[float | None, typer.Option(help="Least mIoU, 0 to 1.")] = None,
    max_macs: Annotated[float | None, typer.Option(help="Most MACs an image.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Most ms, on average.")] = None,
    max_worst_latency_ms: Annotated[
        float | None, typer.Option(help="Most ms of an image that goes to the last exit.")
    ] = None,
    max_bytes: Annotated[float | None, typer.Option(help="Most bytes of the bundle.")] = None,
    cost: Annotated[CostName, typer.Option(help="What cheapest counts.")] = CostName.macs,
    early_exits: Annotated[
        int | None, typer.Option(help="Early exits: at most (input-dependent) or just (anytime).")
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the images that is not fitted on.")
    ] = 0.5,
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each piece is timed.")] = 40,
    json: Json = False,
) -> dict[str, Any]:
    """Bring a bundle to an engine and a precision, and fit its plan again on that engine's answers.

    Its rules belong to the engine and the precision then; others refuse it.
    """
    from offramp.core.bundle import Bundle
    from offramp.data.dataset import Dataset
    from offramp.export.convert import convert as convert_bundle
    from offramp.search import Goal
    from offramp.search.expectation import expect

    source = Bundle.open(bundle)
    given = {
        "max_miou_loss": max_miou_loss,
        "min_miou": min_miou,
        "max_macs": max_macs,
        "max_latency_ms": max_latency_ms,
        "max_worst_latency_ms": max_worst_latency_ms,
        "max_bytes": max_bytes,
        "early_exits": early_exits,
    }
    bounds = {name: value for name, value in given.items() if value is not None}
    setting = source.manifest.plan.setting
    goal = None
    if bounds or setting == "input-dependent":
        goal = Goal(setting=setting, cost=cost.value, **bounds)  # type: ignore[arg-type]
    done = convert_bundle(
        source, Dataset.open(data), out, chooser(source.manifest.plan, goal, held_out),
        engine=engine, precision=precision.value, split=split, images=images,
        threads=threads, rounds=rounds, track=track,
    )  # fmt: skip
    before = expect(source.manifest.plan, *done.before)
    return report(done, before, source, json)


def chooser(old: "Plan", goal: "Goal | None", held_out: float) -> "Choose":
    """Make what finds the new plan: of the old one's setting, policy and scores.

    Args:
        old: the plan that the bundle came with.
        goal: what is sought; a loss of mIoU counts from the source's full network, so that what
            the precision costs is part of it. None: the same exits, which decide nothing.
        held_out: share of the images on which the plan is not fitted.
    """
    from dataclasses import replace

    from offramp.search.design import Design, plan_of
    from offramp.search.policy import search_policy
    from offramp.search.search import divided, divisible

    def choose(before: "Recorded", after: "Recorded") -> "Plan":
        trace, costs = after
        if goal is None:
            rows = tuple(trace.index(planned.point, planned.head) for planned in old.exits)
            return plan_of(trace, costs, old.setting, Design(rows))
        sought = goal
        share = divisible(held_out, trace)
        if goal.max_miou_loss is not None:
            full = before.trace.subset(divided(before.trace, share)[0])
            least = full.exit_miou(len(full.exits) - 1) - goal.max_miou_loss
            sought = replace(goal, max_miou_loss=None, min_miou=max(least, goal.min_miou or -1.0))
        chain = [f"{planned.point}/{planned.head}" for planned in old.exits]
        exits = [] if old.policy == "threshold" else chain
        return search_policy(
            trace, costs, sought, old.policy, exits, track,
            held_out=share, scores=trace.score_names if old.policy == "threshold" else (),
        ).plan  # fmt: skip

    return choose


def report(done: "Converted", before: "Plan", source: Any, json: bool) -> dict[str, Any]:
    """Print what changed, and describe it as JSON."""
    manifest = done.bundle.manifest
    plan, parity = manifest.plan, manifest.parity
    rows, described = [], {}
    for key, name, each in (("before", "before", before), ("after", "after", plan)):
        described[key] = {"plan": each.expected.model_dump(), "full": each.full.model_dump()}
        for what, figures in (("plan", each.expected), ("full network", each.full)):
            rows.append(
                [
                    f"{what} {name}",
                    f"{100 * figures.miou:.2f} %",
                    macs_text(figures.macs),
                    f"{figures.latency_ms:.2f} ms",
                ]
            )
    say(table(["", "mIoU", "work", "latency"], rows), json)
    exits = ", ".join(
        f"{e.point}/{e.head}{'' if e.rule is None else f' {e.rule}'} {100 * e.share:.1f} %"
        for e in plan.exits
    )
    lines = [f"{plan.images} images, {done.label}", f"exits: {exits}"]
    if plan.division is not None:
        held = plan.division.held_out
        lines.append(
            f"on {held.images} images held out: plan {100 * held.expected.miou:.2f} %, "
            f"full network {100 * held.full.miou:.2f} %"
        )
    if done.dropped:
        lines.append(f"exits that the new plan does not use: {', '.join(done.dropped)}")
    if source.manifest.plan.certificate is not None:
        lines.append("the promise of the old plan does not hold for the new one")
    lines += [
        f"labels as before: {100 * parity.label_agreement:.3f} %; largest difference of a score "
        f"{parity.max_score_difference:.1e}",
        f"size: {source.bytes / 1e6:.2f} MB before, {done.bundle.bytes / 1e6:.2f} MB after",
        f"bundle: {done.bundle.folder}",
    ]
    say("\n".join(lines), json)
    return {
        "bundle": str(done.bundle.folder),
        "engine": done.label,
        "precision": plan.precision,
        "belongs_to": plan.engine,
        **described,
        "held_out": plan.division and plan.division.held_out.model_dump(),
        "exits": [planned.model_dump() for planned in plan.exits],
        "dropped": list(done.dropped),
        "parity": parity.model_dump(),
        "bytes": {"before": source.bytes, "after": done.bundle.bytes},
        "images": plan.images,
    }
