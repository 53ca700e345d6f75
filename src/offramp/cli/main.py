"""The verbs, gathered. Each loads what it needs when it is called, so that `--help` is quick."""

import typer

from offramp.cli import train as train_verb

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


app.command("train")(train_verb.train)


def main() -> None:
    """Run the command line."""
    app()
