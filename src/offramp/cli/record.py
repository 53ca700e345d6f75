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
    from offramp.core.files import write_text
    from offramp.evaluation import record as record_trace
    from offramp.profiling.latency import measure
    from offramp.training.run import Run

    opened = Run.open(run)
    network = opened.load_network()
    data = opened.dataset
    trace = record_trace(network, data, split, track)
    frame = data.read(data.samples(split)[0])[0].shape[:2]
    costs = measure(network, (frame[0], frame[1]), threads=threads, track=track)
    trace.save(opened.trace_file)
    write_text(opened.costs_file, costs.model_dump_json(indent=2) + "\n")
    exits = []
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
