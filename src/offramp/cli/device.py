"""`offramp device`: untrained candidates for a target device, and their times there."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, table, track, verb

app = typer.Typer(help="Measure candidates of a study on the device that shall run them.")


@app.command("export")
@verb
def export(
    study: Annotated[Path, typer.Argument(metavar="TUNE", help="Folder of a study.")],
    out: Annotated[Path, typer.Option(help="Folder to copy to the device.")],
    combinations: Annotated[
        int, typer.Option(help="Combinations of knobs besides single ones.", min=0)
    ] = 30,
    json: Json = False,
) -> dict[str, Any]:
    """Write a study's candidates as bundles with random weights, for `offramp device measure`."""
    from offramp.tuning.device import export_study

    bundles = export_study(study, out, combinations, track)
    size = sum(bundle.bytes for bundle in bundles)
    say(f"{len(bundles)} bundles, {size / 1e6:.1f} MB: {out}", json)
    say(f"on the device: offramp device measure {out.name} --json > latencies.json", json)
    return {"out": str(out), "bundles": len(bundles), "bytes": size}


@app.command("measure")
@verb
def measure(
    folder: Annotated[Path, typer.Argument(help="Folder that device export wrote.")],
    rounds: Annotated[int, typer.Option(help="How often each is timed.", min=3)] = 40,
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Time all candidates of a folder in turn; the JSON is what `offramp tune` takes."""
    from offramp.tuning.clock import measure_folder

    found = measure_folder(folder, threads, rounds, track)
    rows = [
        [name, f"{one.median_ms:.2f} ms", f"{one.p5_ms:.2f} to {one.p95_ms:.2f}"]
        for name, one in found.latencies.items()
    ]
    say(table(["candidate", "latency", "p5 to p95"], rows), json)
    say(", ".join(f"{key} {value}" for key, value in found.engine.items()), json)
    return found.model_dump(mode="json")
