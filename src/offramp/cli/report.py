"""`offramp report`: figures and one HTML page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, track, verb


@verb
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a recorded and searched run.")],
    out: Annotated[Path | None, typer.Option(help="HTML file; absent: in the run.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Write what early exits save as one HTML page with figures, for a browser."""
    from offramp.report import write_report

    file = write_report(run, out, track)
    say(f"report: {file}", json)
    return {"report": str(file)}
