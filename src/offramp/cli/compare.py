"""`offramp compare`: every exit strategy on the same exits, judged on held-out images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, say, table, track, verb
from offramp.cli.search import CostName

if TYPE_CHECKING:
    from offramp.core.costs import Costs
    from offramp.metrics.trace import Trace
    from offramp.search.compare import Comparison, Row
    from offramp.search.strategies import Strategy
    from offramp.search.tally import Tally

MAX_MIOU_LOSS = 0.01
FRONTIER = ("miou", "miou_per_image", "macs", "latency_ms")


@verb
def compare(
    run: Annotated[Path, typer.Argument(help="Folder of a recorded run.")],
    policies: Annotated[str, typer.Option(help="All, or names with commas between.")] = "all",
    max_miou_loss: Annotated[
        float | None, typer.Option(help="Most mIoU lost, 0 to 1; absent: 0.01.")
    ] = None,
    min_miou: Annotated[float | None, typer.Option(help="Least mIoU, 0 to 1.")] = None,
    exits: Annotated[
        str | None, typer.Option(help="POINT/HEAD, with commas between; absent: of a plan.")
    ] = None,
    on: Annotated[
        Path | None, typer.Option(help="Trace of the held-out images; absent: half of the run's.")
    ] = None,
    cost: Annotated[CostName, typer.Option(help="What cheapest counts.")] = CostName.macs,
    seed: Annotated[int, typer.Option(help="Of the division in halves.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; absent: RUN/compare.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Fit every exit strategy on some images, and follow it on others."""
    from offramp.core.costs import Costs
    from offramp.core.files import read_json, write_json, write_text
    from offramp.metrics.trace import Trace
    from offramp.report.compare_page import comparison_page
    from offramp.search.compare import beside, halves
    from offramp.search.compare import compare as compare_strategies
    from offramp.search.goal import Goal

    loss = MAX_MIOU_LOSS if max_miou_loss is None and min_miou is None else max_miou_loss
    goal = Goal(max_miou_loss=loss, min_miou=min_miou, cost=cost.value)
    trace = Trace.load(run / "trace.npz")
    costs = Costs.parse(read_json(run / "costs.json"), str(run / "costs.json"))
    chosen = _strategies(policies, trace)
    traces = halves(trace, seed) if on is None else beside(trace, Trace.load(on))
    rows, source = _exits(run, exits, traces[0], costs)
    found = compare_strategies(traces, costs, rows, chosen, goal, track)
    folder = out or run / "compare"
    page = folder / "index.html"
    answer = {
        "exits": ["/".join(trace.exits[row]) for row in rows],
        "exits_from": source,
        "images": {"fitted": len(traces[0].images), "held_out": len(traces[1].images)},
        "wanted_miou": {"fitted": found.wanted[0], "held_out": found.wanted[1]},
        "cost": goal.cost,
        "rows": [_row(row) for row in found.rows],
        "page": str(page),
    }
    write_text(page, comparison_page(found, run.resolve().name))
    write_json(folder / "compare.json", answer)
    if not json:
        _print(found, source)
    say(f"page: {page}", json)
    return answer


def _strategies(text: str, trace: "Trace") -> tuple["Strategy", ...]:
    """Read names of strategies; "all" stands for all that the trace's scores allow."""
    from offramp.search.strategies import Strategy, usual

    if text == "all":
        return usual(trace)
    names = dict.fromkeys(name.strip() for name in text.split(","))
    return tuple(Strategy.parse(name) for name in names)


def _exits(
    run: Path, text: str | None, trace: "Trace", costs: "Costs"
) -> tuple[tuple[int, ...], str]:
    """Find the exits, and say where they come from."""
    from offramp.core.errors import BadInput
    from offramp.core.plan import Plan
    from offramp.search.exits import named_exits, planned_exits, usual_exits

    if text is not None:
        return named_exits(trace, text.split(",")), "--exits"
    files = [f for f in run.glob("plans/*.json") if not f.name.endswith(".frontier.json")]
    for file in sorted(files, key=lambda f: f.stat().st_mtime, reverse=True):
        try:
            plan = Plan.load(file)
            if plan.setting == "input-dependent" and len(plan.exits) > 1:
                return planned_exits(trace, plan), f"plan {file.stem}"
        except BadInput:  # an older run's plan, or another version's: the next may do
            continue
    return usual_exits(trace, costs), "the fitted images"


def _row(row: "Row") -> dict[str, Any]:
    """Write a row; its figures are of the held-out images."""
    fit = row.fit
    return {
        "policy": row.policy,
        "kind": row.kind,
        **_tally(row.held_out, row.points),
        "met": row.met,
        "kept": row.kept,
        "fitted": _tally(row.fitted, row.points),
        "scores": [] if fit is None else list(fit.plan.scores),
        "rules": [] if fit is None else [e.rule.model_dump() for e in fit.plan.exits if e.rule],
        "weight": None if fit is None else fit.weight,
        "frontier": [{key: getattr(one, key) for key in FRONTIER} for one in row.frontier],
    }


def _tally(tally: "Tally", points: tuple[str, ...]) -> dict[str, Any]:
    return {
        "miou": tally.miou,
        "miou_per_image": {"mean": tally.miou_per_image, "std": tally.miou_std},
        "macs": tally.macs,
        "latency_ms": tally.latency_ms,
        "latency_std_ms": tally.latency_std_ms,
        "exit_share": dict(zip(points, tally.shares, strict=True)),
    }


def _print(found: "Comparison", source: str) -> None:
    """Print the rows as a table, strategies in the order of their use."""
    from offramp.report.compare_records import by_use

    order = [row for row in found.rows if row.kind == "fixed"]
    order += by_use(found.strategies, found.fitting.cost)
    order += [row for row in found.rows if row.kind == "bound"]
    lines = [
        [
            row.policy + ("" if row.met or row.kind != "strategy" else " (falls short)"),
            f"{100 * row.held_out.miou:.2f} %" + (" *" if row.kept else "  "),
            f"{100 * row.held_out.miou_per_image:.2f} ± {100 * row.held_out.miou_std:.1f} %",
            macs_text(row.held_out.macs),
            f"{row.held_out.latency_ms:.2f} ms",
            " ".join(f"{100 * share:.0f}" for share in row.held_out.shares),
            f"{100 * row.fitted.miou:.2f} %",
        ]
        for row in order
    ]
    columns = ["strategy", "mIoU", "per image", "work", "latency", "stop at each exit, %", "fitted"]
    print(table(columns, lines))
    problem = found.fitting
    exits = " → ".join("/".join(problem.trace.exits[row]) for row in problem.rows)
    print(
        f"exits, from {source}: {exits}\n"
        f"fitted on {len(problem.trace.images)} images for {100 * found.wanted[0]:.2f} % mIoU; "
        f"figures are of {len(found.held_out.trace.images)} others, where * marks "
        f"{100 * found.wanted[1]:.2f} % or more; an oracle knows the truth"
    )
