"""`offramp run`: images, folders, videos, and a live camera."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, say, track, verb
from offramp.cli.engine import Engine, Precision, Threads
from offramp.core.errors import BadInput

if TYPE_CHECKING:
    from offramp.video.live import Live
    from offramp.video.sources import Source


@verb
def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    sources: Annotated[
        list[str], typer.Argument(help="Images, folders of images, videos; or a camera.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the outputs.")],
    deadline_ms: Annotated[
        float | None, typer.Option(help="What each answer may take at most.", min=0)
    ] = None,
    save: Annotated[str | None, typer.Option(help="Of masks,overlay,jsonl,video.")] = None,
    engine: Engine = "onnxruntime",
    precision: Precision = None,
    threads: Threads = None,
    seconds: Annotated[
        float | None, typer.Option(help="End a live camera after so long.", min=0)
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Segment every frame of the sources, stopping early where the plan allows."""
    import numpy as np

    from offramp.runtime.session import Session
    from offramp.video.run import run as run_sources

    opened, live = _open(sources, seconds)
    kinds = None if save is None else [kind.strip() for kind in save.split(",") if kind.strip()]
    session = Session(bundle, engine, threads=threads, precision=precision)
    with _until_interrupted(live):
        tally = run_sources(session, opened, out, save=kinds, deadline_ms=deadline_ms, track=track)
    if not tally.frames:
        raise BadInput("no frame could be read", got=f"{tally.unreadable} unreadable frames")
    p50, p95 = np.percentile(tally.latency_ms, [50, 95])
    mean = float(np.mean(tally.latency_ms))
    shares = {point: tally.taken[point] / tally.frames for point in session.points}
    lost = f", {tally.dropped} dropped" if live else ""
    say(f"{tally.frames} frames, {tally.unreadable} unreadable, {tally.late} late{lost}", json)
    say("exits taken: " + ", ".join(f"{p} {100 * s:.1f} %" for p, s in shares.items()), json)
    say(f"latency: median {p50:.2f} ms, p95 {p95:.2f} ms, mean {mean:.2f} ms", json)
    say(f"outputs: {out}", json)
    return {
        "frames": tally.frames,
        "exit_share": shares,
        "latency_ms": {"p50": float(p50), "p95": float(p95), "mean": mean},
        "dropped": tally.dropped,
        "unreadable": tally.unreadable,
        "late": tally.late,
        "out": str(out),
    }


def _open(texts: list[str], seconds: float | None) -> "tuple[Sequence[Source], Live | None]":
    """Open the sources; and name the live one, if it is one."""
    from offramp.video.address import Address
    from offramp.video.live import Live
    from offramp.video.sources import open_source

    addresses = [Address.parse(text) for text in texts]
    if not any(address.live for address in addresses):
        if seconds is not None:
            raise BadInput("--seconds is for live cameras", repair="leave it out")
        return [open_source(address.secret) for address in addresses], None
    if len(addresses) > 1:
        repair = "give it alone; offramp serve is for several cameras"
        raise BadInput("a live camera never ends, so nothing can follow it", repair=repair)
    live = Live(addresses[0], seconds=seconds)
    return [live], live


@contextmanager
def _until_interrupted(live: "Live | None") -> Iterator[None]:
    """Let Ctrl-C end a live camera, after which the run is summed up; twice, it interrupts."""
    if live is None:
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        live.stop()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
