"""The verbs, gathered. Each loads what it needs when it is called, so that `--help` is quick."""

import typer

from offramp.cli.eval import evaluate
from offramp.cli.export import export
from offramp.cli.record import record
from offramp.cli.search import search
from offramp.cli.train import train

app = typer.Typer(
    name="offramp",
    help="Give a segmentation network early exits, find the cheapest way to run it, and run it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def root() -> None:
    """Take no options of its own: every verb has its own."""


app.command("train")(train)
app.command("record")(record)
app.command("search")(search)
app.command("export")(export)
app.command("eval")(evaluate)


def main() -> None:
    """Run the command line."""
    app()
