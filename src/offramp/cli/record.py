"""`offramp record`: the trace and the costs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, say, table, track, verb


@verb
def record(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    split: Annotated[str, typer.Option(help="Images to record.")] = "calib",
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Read every head on every image, and measure what each piece of the network costs."""
    from offramp.profiling.record import record_run
    from offramp.training.run import Run

    opened = Run.open(run)
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
    say(f"trace: {opened.trace_file}\ncosts: {opened.costs_file}", json)
    return {
        "images": len(trace.images),
        "exits": exits,
        "trace": str(opened.trace_file),
        "costs": str(opened.costs_file),
        "size": list(trace.size),
        "engine": dict(costs.engine),
    }
