"""`offramp search`: the optimal plan, that of a policy, or a certified one; and the frontier."""

import re
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, table, track, verb

if TYPE_CHECKING:
    from offramp.core.certificate import Promise
    from offramp.search import Found
    from offramp.search.certified import Terms


class SettingName(StrEnum):
    """The inference settings of MESS §5.1."""

    budgeted = "budgeted"
    anytime = "anytime"
    input_dependent = "input-dependent"


class CostName(StrEnum):
    """What cheapest counts."""

    macs = "macs"
    latency = "latency"


class UnitsName(StrEnum):
    """What counts once in a promise."""

    groups = "groups"
    images = "images"


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
    policy: Annotated[str, typer.Option(help="Exit strategy, such as rl:entropy.")] = "threshold",
    exits: Annotated[str, typer.Option(help="Exits to use: POINT/HEAD,...; absent: any.")] = "",
    confidence: Annotated[
        float | None, typer.Option(help="Promise the loss with this probability.")
    ] = None,
    max_disagreement: Annotated[
        float | None, typer.Option(help="With --confidence: most pixels labelled otherwise.")
    ] = None,
    units: Annotated[
        UnitsName, typer.Option(help="With --confidence: what counts once.")
    ] = UnitsName.groups,
    out: Annotated[Path | None, typer.Option(help="Plan file; absent: in the run.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Judge configurations on the trace, and write the best as a plan."""
    from offramp.core.costs import Costs
    from offramp.core.files import read_json
    from offramp.metrics.trace import Trace
    from offramp.search import Goal
    from offramp.search.certified import search_certified
    from offramp.search.policy import search_policy

    terms = _terms(confidence, max_miou_loss, max_disagreement, units)
    goal = Goal(
        setting=setting.value,
        max_miou_loss=max_miou_loss if max_disagreement is None else max_disagreement,
        min_miou=min_miou,
        max_macs=max_macs,
        max_latency_ms=max_latency_ms,
        cost=cost.value,
        early_exits=early_exits,
    )
    trace = Trace.load(run / "trace.npz")
    costs = Costs.parse(read_json(run / "costs.json"), str(run / "costs.json"))
    named = [name for name in exits.split(",") if name.strip()]
    if terms is None:
        found = search_policy(trace, costs, goal, policy, named, track)
    else:
        found = search_certified(trace, costs, goal, terms, policy, named, track)
    file = out or run / "plans" / f"{_name(setting, policy, terms)}.json"
    found.save(file)
    if not json:
        _print(found, file)
    return _described(found, file)


def _terms(
    confidence: float | None, miou: float | None, disagreement: float | None, units: UnitsName
) -> "Terms | None":
    """Read what shall be promised, if anything."""
    from offramp.core.errors import BadInput
    from offramp.search.certified import Terms

    if confidence is None:
        if disagreement is not None:
            raise BadInput("a bound on disagreement is a promise", repair="give --confidence too")
        return None
    if (miou is None) == (disagreement is None):
        raise BadInput(
            "what shall be promised with this confidence?",
            expected="one of max-miou-loss, max-disagreement",
        )
    by_group = units is UnitsName.groups
    if miou is not None:
        return Terms(miou, confidence, "miou", by_group)
    assert disagreement is not None
    return Terms(disagreement, confidence, "disagreement", by_group)


def _name(setting: SettingName, policy: str, terms: "Terms | None") -> str:
    """Name the plan after its setting, or its policy; and tell one that is certified."""
    name = setting.value if policy == "threshold" else re.sub(r"[^A-Za-z0-9.-]+", "-", policy)
    return name if terms is None else f"{name}-certified"


def _described(found: "Found", file: Path) -> dict[str, Any]:
    plan = found.plan
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
        "optimal": found.optimal,
        "certificate": plan.certificate and plan.certificate.model_dump(),
        "frontier": [asdict(point) for point in found.frontier],
    }


def _print(found: "Found", file: Path) -> None:
    """Print the plan as two tables, and what is promised."""
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
    if plan.certificate is not None:
        print(_promised(plan.certificate))
    print(
        f"{found.configurations:,} configurations in {found.seconds:.1f} s; "
        f"{full.macs / done.macs:.2f} times less work on the {plan.images} recorded images\n"
        f"plan: {file}"
    )


def _promised(promise: "Promise") -> str:
    """Write what is promised, on what grounds, and what is not."""
    counted = "groups" if promise.units == "clips" else "images"
    beside = "agreement; whether the full network is right is not asked"
    if promise.quantity == "miou":
        beside = "the per-image mIoU; dataset mIoU is another quantity, and not promised"
    average = promise.average
    weaker = "none" if average.index is None else f"number {average.index + 1}"
    return (
        f"promised {promise}\n"
        f"  ({beside})\n"
        f"  tested on {promise.n} {counted} held out, {promise.searched} other images found the "
        f"plans; it holds for images drawn like them\n"
        f"  mean loss there {100 * promise.loss:.2f} %, by the bound at most "
        f"{100 * promise.bound:.2f} %; number {(promise.index or 0) + 1} of "
        f"{promise.designs} plans, safest first\n"
        f"  a weaker promise, on average over such tests (conformal risk control): {weaker}"
    )
