"""`offramp search`: the optimal plan, and the frontier."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, table, track, verb

if TYPE_CHECKING:
    from offramp.search import Found


class SettingName(StrEnum):
    """The inference settings of MESS §5.1."""

    budgeted = "budgeted"
    anytime = "anytime"
    input_dependent = "input-dependent"


class CostName(StrEnum):
    """What cheapest counts."""

    macs = "macs"
    latency = "latency"


@verb
def search(
    run: Annotated[Path, typer.Argument(help="Folder of a recorded run.")],
    setting: Annotated[SettingName, typer.Option(help="How the plan will run.")],
    max_miou_loss: Annotated[float | None, typer.Option(help="Most mIoU lost, 0 to 1.")] = None,
    min_miou: Annotated[float | None, typer.Option(help="Least mIoU, 0 to 1.")] = None,
    max_macs: Annotated[float | None, typer.Option(help="Most MACs an image.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Most milliseconds.")] = None,
    cost: Annotated[CostName, typer.Option(help="What cheapest counts.")] = CostName.macs,
    early_exits: Annotated[
        int | None, typer.Option(help="Early exits: at most (input-dependent) or just (anytime).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Plan file; absent: in the run.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Judge every configuration on the trace, and write the best as a plan."""
    from offramp.core.costs import Costs
    from offramp.core.files import read_json
    from offramp.metrics.trace import Trace
    from offramp.search import Goal
    from offramp.search import search as search_plan

    goal = Goal(
        setting=setting.value,
        max_miou_loss=max_miou_loss,
        min_miou=min_miou,
        max_macs=max_macs,
        max_latency_ms=max_latency_ms,
        cost=cost.value,
        early_exits=early_exits,
    )
    trace = Trace.load(run / "trace.npz")
    costs = Costs.parse(read_json(run / "costs.json"), str(run / "costs.json"))
    found = search_plan(trace, costs, goal, track)
    plan = found.plan
    file = out or run / "plans" / f"{setting.value}.json"
    found.save(file)
    if not json:
        _print(found, file)
    done = plan.expected
    return {
        "plan": str(file),
        "miou": done.miou,
        "macs": done.macs,
        "latency_ms": done.latency_ms,
        "full": plan.full.model_dump(),
        "policy": plan.policy,
        "scores": plan.scores,
        "exits": [planned.model_dump() for planned in plan.exits],
        "configurations": found.configurations,
        "seconds": found.seconds,
        "optimal": True,
        "frontier": [asdict(point) for point in found.frontier],
    }


def _print(found: "Found", file: Path) -> None:
    """Print the plan as two tables."""
    plan = found.plan
    rows = [
        [
            f"{e.point}/{e.head}",
            "-" if e.rule is None else f"{', '.join(plan.scores)} {e.rule}",
            f"{100 * e.share:.1f} %",
            f"{100 * e.miou:.2f} %",
        ]
        for e in plan.exits
    ]
    print(table(["exit", "rule", "stop here", "its mIoU"], rows))
    done, full = plan.expected, plan.full
    print(
        table(
            ["", "mIoU", "per image", "work", "latency"],
            [
                [
                    name,
                    f"{100 * e.miou:.2f} %",
                    f"{100 * e.miou_per_image:.2f} %",
                    macs_text(e.macs),
                    f"{e.latency_ms:.2f} ms",
                ]
                for name, e in (("this plan", done), ("full network", full))
            ],
        )
    )
    print(
        f"{found.configurations:,} configurations in {found.seconds:.1f} s; "
        f"{full.macs / done.macs:.2f} times less work on the {plan.images} recorded images\n"
        f"plan: {file}"
    )
