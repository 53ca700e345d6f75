"""`offramp report`: figures and one HTML page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, track, verb


@verb
def report(
    run: Annotated[
        Path, typer.Argument(help="Folder of a recorded and searched run, or of a study of tune.")
    ],
    out: Annotated[Path | None, typer.Option(help="HTML file; absent: in the folder.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Write what early exits save, or what tuning found, as one HTML page with figures."""
    from offramp.report import write_report
    from offramp.report.tuning_page import is_study, write_tuning

    file = write_tuning(run, out) if is_study(run) else write_report(run, out, track)
    say(f"report: {file}", json)
    return {"report": str(file)}
