"""The verbs, gathered. Each loads what it needs when it is called, so that `--help` is quick."""

import typer

from offramp.cli import data, device
from offramp.cli.bench import bench
from offramp.cli.compare import compare
from offramp.cli.convert import convert
from offramp.cli.demo import demo
from offramp.cli.eval import evaluate
from offramp.cli.export import export
from offramp.cli.learn import learn
from offramp.cli.models import models
from offramp.cli.profile import profile
from offramp.cli.record import record
from offramp.cli.report import report
from offramp.cli.run import run
from offramp.cli.search import search
from offramp.cli.serve import serve
from offramp.cli.train import train
from offramp.cli.tune import tune

app = typer.Typer(
    name="offramp",
    help="Give a segmentation network early exits, find the cheapest way to run it, and run it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo)
app.command("models")(models)
app.add_typer(data.app, name="data")
app.command("profile")(profile)
app.command("train")(train)
app.command("learn")(learn)
app.command("record")(record)
app.command("search")(search)
app.command("compare")(compare)
app.command("export")(export)
app.command("convert")(convert)
app.command("eval")(evaluate)
app.command("run")(run)
app.command("serve")(serve)
app.command("bench")(bench)
app.command("tune")(tune)
app.add_typer(device.app, name="device")
app.command("report")(report)


def main() -> None:
    """Run the command line."""
    app()
