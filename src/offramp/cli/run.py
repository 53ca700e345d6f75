"""`offramp run`: images, folders and videos."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, track, verb
from offramp.core.errors import BadInput


@verb
def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    sources: Annotated[list[str], typer.Argument(help="Images, folders of images, videos.")],
    out: Annotated[Path, typer.Option(help="Folder of the outputs.")],
    deadline_ms: Annotated[
        float | None, typer.Option(help="Refine each answer until then.", min=0)
    ] = None,
    save: Annotated[str | None, typer.Option(help="Of masks,overlay,jsonl,video.")] = None,
    engine: Annotated[str, typer.Option(help="Which engine.")] = "onnxruntime",
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Segment every frame of the sources, stopping early where the plan allows."""
    import numpy as np

    from offramp.runtime.session import Session
    from offramp.video.run import run as run_sources
    from offramp.video.sources import open_source

    opened = [open_source(source) for source in sources]
    kinds = None if save is None else [kind.strip() for kind in save.split(",") if kind.strip()]
    session = Session(bundle, engine, threads=threads)
    tally = run_sources(session, opened, out, save=kinds, deadline_ms=deadline_ms, track=track)
    if not tally.frames:
        raise BadInput("no frame could be read", got=f"{tally.unreadable} unreadable frames")
    p50, p95 = np.percentile(tally.latency_ms, [50, 95])
    mean = float(np.mean(tally.latency_ms))
    shares = {point: tally.taken[point] / tally.frames for point in session.points}
    say(f"{tally.frames} frames, {tally.unreadable} unreadable, {tally.late} late", json)
    say("exits taken: " + ", ".join(f"{p} {100 * s:.1f} %" for p, s in shares.items()), json)
    say(f"latency: median {p50:.2f} ms, p95 {p95:.2f} ms, mean {mean:.2f} ms", json)
    say(f"outputs: {out}", json)
    return {
        "frames": tally.frames,
        "exit_share": shares,
        "latency_ms": {"p50": float(p50), "p95": float(p95), "mean": mean},
        "dropped": 0,
        "unreadable": tally.unreadable,
        "late": tally.late,
        "out": str(out),
    }
