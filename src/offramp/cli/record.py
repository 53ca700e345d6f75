"""`offramp record`: the trace and the costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, say, table, track, verb

if TYPE_CHECKING:
    from offramp.core.costs import Costs
    from offramp.metrics.trace import Trace
    from offramp.training.run import Run


@verb
def record(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    split: Annotated[str, typer.Option(help="Images to record.")] = "calib",
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Into trace.SPLIT.npz, for compare; time nothing.")
    ] = False,
    json: Json = False,
) -> dict[str, Any]:
    """Read every head on every image, and measure what each piece of the network costs."""
    from offramp.profiling.record import record_run
    from offramp.training.run import Run

    opened = Run.open(run)
    file = opened.trace_file
    if held_out:
        file = file.with_name(f"trace.{split}.npz")
        trace, costs = _held_out(opened, split, file)
    else:
        trace, costs = record_run(opened, split, threads=threads, track=track)
    exits: list[dict[str, Any]] = []
    for row, (point, head) in enumerate(trace.exits):
        cost = costs.of([(point, head)])
        exits.append(
            {
                "point": point,
                "head": head,
                "miou": trace.exit_miou(row),
                "macs": cost.macs,
                "latency_ms": cost.latency_ms,
            }
        )
    rows = [
        [
            f"{e['point']}/{e['head']}",
            f"{100 * e['miou']:.2f} %",
            macs_text(e["macs"]),
            f"{e['latency_ms']:.2f} ms",
        ]
        for e in exits
    ]
    say(table(["exit", f"{split} mIoU", "work", "latency"], rows), json)
    say(f"trace: {file}\ncosts: {opened.costs_file}", json)
    return {
        "images": len(trace.images),
        "exits": exits,
        "trace": str(file),
        "costs": str(opened.costs_file),
        "size": list(trace.size),
        "engine": dict(costs.engine),
    }


def _held_out(run: "Run", split: str, file: Path) -> tuple["Trace", "Costs"]:
    """Record a split beside the one that thresholds are fitted on; costs stay as measured."""
    from offramp.core.costs import Costs
    from offramp.core.errors import BadInput
    from offramp.core.files import read_json
    from offramp.evaluation import record as record_trace

    if not run.costs_file.is_file():
        raise BadInput(
            f"there is no cost table at {run.costs_file}",
            repair=f"record what to fit on first: offramp record {run.folder}",
        )
    costs = Costs.parse(read_json(run.costs_file), str(run.costs_file))
    trace = record_trace(run.load_network(), run.dataset, split, track)
    trace.save(file)
    return trace, costs
