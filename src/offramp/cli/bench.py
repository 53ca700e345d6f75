"""`offramp bench`: latency per exit."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, table, track, verb


@verb
def bench(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    against: Annotated[Path | None, typer.Option(help="Another bundle, timed in turn.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each path is timed.", min=3)] = 100,
    engine: Annotated[str, typer.Option(help="Which engine.")] = "onnxruntime",
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Time the path to every exit, and the full network beside it, interleaved."""
    from offramp.core.model import format_size
    from offramp.runtime.bench import bench as time_sessions
    from offramp.runtime.session import Session

    folders = [bundle] if against is None else [bundle, against]
    sessions = [Session(folder, engine, threads=threads) for folder in folders]
    timed = time_sessions(sessions, rounds, track=track)
    own = timed[0]
    other = timed[1].expected if against is not None else own.full
    exits: list[dict[str, Any]] = [
        {"point": point, "p50_ms": p50, "p95_ms": p95, "read_ms": read}
        for point, p50, p95, read in zip(own.points, own.p50, own.p95, own.read, strict=True)
    ]
    rows = [
        [e["point"], *(f"{e[key]:.3f} ms" for key in ("p50_ms", "p95_ms", "read_ms"))]
        for e in exits
    ]
    say(table(["path to", "median", "p95", "head and score"], rows), json)
    say(
        f"full network {own.full:.3f} ms, decoding {own.decode:.3f} ms, "
        f"a decision {1000 * own.decision:.1f} µs\n"
        f"at the plan's exit shares {own.expected:.3f} ms: {other / own.expected:.2f} times faster "
        f"than {'the full network' if against is None else against}\n"
        f"{sessions[0].engine.label}, {format_size(sessions[0].bundle.manifest.model.size)}",
        json,
    )
    return {
        "exits": exits,
        "full_ms": own.full,
        "decode_ms": own.decode,
        "decision_ms": own.decision,
        "expected_ms": own.expected,
        "against_ms": other,
        "ratio": other / own.expected,
        "rounds": rounds,
        "engine": sessions[0].engine.label,
        "size": list(sessions[0].bundle.manifest.model.size),
    }
