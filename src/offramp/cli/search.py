"""`offramp search`: the optimal plan, that of a policy, or a certified one; and the frontier."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, track, verb
from offramp.cli.found import described, print_found

if TYPE_CHECKING:
    from offramp.search import Found
    from offramp.search.certified import Terms
    from offramp.search.search import Network


class SettingName(StrEnum):
    """The inference settings of MESS §5.1."""

    budgeted = "budgeted"
    anytime = "anytime"
    input_dependent = "input-dependent"


class CostName(StrEnum):
    """What cheapest counts."""

    macs = "macs"
    latency = "latency"
    worst_latency = "worst-latency"
    parameters = "parameters"
    bytes = "bytes"
    memory = "memory"


class UnitsName(StrEnum):
    """What counts once in a promise."""

    groups = "groups"
    images = "images"


@verb
def search(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Recorded runs; several are one space, side by side."
        ),
    ],
    setting: Annotated[SettingName, typer.Option(help="How the plan will run.")],
    max_miou_loss: Annotated[float | None, typer.Option(help="Most mIoU lost, 0 to 1.")] = None,
    min_miou: Annotated[float | None, typer.Option(help="Least mIoU, 0 to 1.")] = None,
    max_macs: Annotated[float | None, typer.Option(help="Most MACs an image.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Most ms, on average.")] = None,
    max_worst_latency_ms: Annotated[
        float | None, typer.Option(help="Most ms of an image that goes to the last exit.")
    ] = None,
    max_parameters: Annotated[float | None, typer.Option(help="Most parameters.")] = None,
    max_bytes: Annotated[float | None, typer.Option(help="Most bytes of the bundle.")] = None,
    max_memory: Annotated[float | None, typer.Option(help="Most bytes at the peak.")] = None,
    cost: Annotated[CostName, typer.Option(help="What cheapest counts.")] = CostName.macs,
    early_exits: Annotated[
        int | None, typer.Option(help="Early exits: at most (input-dependent) or just (anytime).")
    ] = None,
    deadline: Annotated[
        list[str] | None,
        typer.Option(metavar="MS[:WEIGHT]", help="Anytime: when answers count, and how much."),
    ] = None,
    policy: Annotated[str, typer.Option(help="Exit strategy, such as rl:entropy.")] = "threshold",
    scores: Annotated[str, typer.Option(help="Scores to decide by: NAME,...; absent: any.")] = "",
    exits: Annotated[str, typer.Option(help="Exits to use: POINT/HEAD,...; absent: any.")] = "",
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the images that is not fitted on.")
    ] = 0.5,
    time_limit: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which the best so far stands.")
    ] = None,
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
    csv: Annotated[Path | None, typer.Option(help="Write the frontier as a table.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the frontier as a page.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Find the best plan of the whole space, and the frontier of mIoU against cost."""
    from offramp.core.errors import BadInput
    from offramp.search import Goal
    from offramp.search.certified import search_certified
    from offramp.search.policy import search_policy
    from offramp.search.search import divisible, search_networks
    from offramp.search.table import write_front

    terms = _terms(confidence, max_miou_loss, max_disagreement, units)
    goal = Goal(
        setting=setting.value,
        max_miou_loss=max_miou_loss if max_disagreement is None else max_disagreement,
        min_miou=min_miou,
        max_macs=max_macs,
        max_latency_ms=max_latency_ms,
        max_worst_latency_ms=max_worst_latency_ms,
        max_parameters=max_parameters,
        max_bytes=max_bytes,
        max_memory=max_memory,
        cost=cost.value,
        early_exits=early_exits,
        deadlines=tuple(map(_deadline, deadline or ())),
    )
    networks = _networks(runs)
    trace, costs = next(iter(networks.values()))
    share = divisible(held_out, trace)
    chosen, deciding = _names(exits), _names(scores)
    if (deciding or time_limit is not None) and (policy != "threshold" or terms is not None):
        raise BadInput("--scores and --time-limit are of the search for thresholds",
                       expected="neither with --policy or --confidence")  # fmt: skip
    if len(runs) > 1:
        _require_plain(policy, chosen, terms)
        found = search_networks(
            networks, goal, track, held_out=share, seconds=time_limit, scores=deciding
        )
    elif terms is None:
        found = search_policy(
            trace, costs, goal, policy, chosen, track,
            held_out=share, seconds=time_limit, scores=deciding,
        )  # fmt: skip
    else:
        found = search_certified(trace, costs, goal, terms, policy, chosen, track)
    run = Path(found.chosen.network or runs[0])
    file = out or run / "plans" / f"{_name(setting, policy, terms)}.json"
    found.save(file)
    if csv:
        write_front(csv, found.frontier, found.chosen, found.full)
    if plot:
        _write_page(plot, run, found, networks)
    if not json:
        print_found(found, file, [path for path in (csv, plot) if path])
    return described(found, file)


def _networks(runs: list[Path]) -> "dict[str, Network]":
    """Read traces and costs, by the path of their run."""
    from offramp.core.costs import Costs
    from offramp.core.files import read_json
    from offramp.metrics.trace import Trace

    return {
        str(run): (
            Trace.load(run / "trace.npz"),
            Costs.parse(read_json(run / "costs.json"), str(run / "costs.json")),
        )
        for run in runs
    }


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _deadline(text: str) -> tuple[float, float]:
    """Read "MS" or "MS:WEIGHT"."""
    from offramp.core.errors import BadInput

    time, _, weight = text.partition(":")
    try:
        return float(time), float(weight or 1)
    except ValueError:
        raise BadInput("a deadline", expected="MS or MS:WEIGHT", got=f"'{text}'") from None


def _require_plain(policy: str, exits: list[str], terms: "Terms | None") -> None:
    """Refuse what looks at one run only."""
    from offramp.core.errors import BadInput

    if policy != "threshold" or exits or terms is not None:
        raise BadInput(
            "several runs are searched for thresholds",
            expected="one run with --policy, --exits or --confidence",
        )


def _write_page(file: Path, run: Path, found: "Found", networks: "dict[str, Network]") -> None:
    """Write the frontier as a page, with each exit alone behind it."""
    from offramp.core.files import write_text
    from offramp.report.frontier import Front, frontier_page
    from offramp.search.design import Design, point_of

    cloud = [
        point_of(trace, costs, "budgeted", Design((row,)), name if len(networks) > 1 else "")
        for name, (trace, costs) in networks.items()
        for row in range(len(trace.exits) - 1)
    ]
    _, costs = networks[str(run)]
    front = Front(
        run.name, found.goal, found.cost, found.frontier, found.chosen, found.full,
        costs.points, tuple(cloud),
    )  # fmt: skip
    write_text(file, frontier_page(front))


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
