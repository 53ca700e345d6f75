"""`offramp train`: both training stages."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, table, track, verb


@verb
def train(
    data: Annotated[Path, typer.Option(help="Data set: dataset.yaml or its folder.")],
    model: Annotated[str, typer.Option(help="Network; offramp models lists them.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    recipe: Annotated[Path | None, typer.Option(help="Recipe; absent: the defaults.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="Change a key: stage1.epochs=3.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    stage1_of: Annotated[
        Path | None, typer.Option(help="Take stage 1 from this run; train other heads on it.")
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Train a network with early exits in two stages, and report each exit's mIoU."""
    from offramp.data.dataset import Dataset
    from offramp.training.launch import Team
    from offramp.training.recipe import load_recipe
    from offramp.training.run import Run
    from offramp.training.train import assist
    from offramp.training.train import train as train_run

    told = load_recipe(recipe, set or ())
    if told.nodes > 1 and Team.of(told.devices, told.nodes).node > 0:
        assist(out, told, track)
        raise typer.Exit
    begin = Run.resume if resume else Run.create
    run = begin(out, model, told, Dataset.open(data))
    if stage1_of is not None and not run.state.done:
        run.take_stage1(Run.open(stage1_of))
    if run.state.weights:
        say(f"weights: {run.state.weights}", json)
    train_run(run, track)
    exits: list[dict[str, Any]] = [
        {"point": point, "head": head, "miou": miou}
        for (point, head), miou in (
            (name.rsplit("/", 1), miou) for name, miou in run.state.miou.items()
        )
    ]
    rows = [[f"{e['point']}/{e['head']}", f"{100 * e['miou']:.2f} %"] for e in exits]
    say(table(["exit", "val mIoU"], rows), json)
    say(f"run: {out}", json)
    return {"run": str(out), "exits": exits}
