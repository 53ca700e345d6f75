"""`offramp data`: check a data set, convert a public one, or make a synthetic one."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, table, track, verb
from offramp.core.errors import DataFault

app = typer.Typer(
    help="Check and convert data sets, and make synthetic ones.", no_args_is_help=True
)


class Kind(StrEnum):
    """The synthetic data sets."""

    factory = "factory"
    packages = "packages"


@app.command("check")
@verb
def check(
    data: Annotated[
        Path, typer.Argument(help="Data set: dataset.yaml, its folder, or a public set's folder.")
    ],
    json: Json = False,
) -> dict[str, Any]:
    """Open every image and mask, and name every fault with its file; exit status 2 if any."""
    from offramp.data.check import check as check_data
    from offramp.data.dataset import Dataset

    health = check_data(Dataset.open(data), track=track)
    faults = [{"file": str(fault.file), "what": fault.what} for fault in health.faults]
    result = {
        "images": health.images,
        "classes": health.pixels,
        "faults": faults,
    }
    splits = ", ".join(f"{split} {count}" for split, count in health.images.items())
    say(f"images: {splits}", json)
    rows = [[name, f"{100 * share:.2f} %"] for name, share in health.pixels.items()]
    say(table(["class", "share of pixels"], rows), json)
    if faults and json:
        import json as writer

        print(writer.dumps(result, indent=2))
    for fault in health.faults:
        say(f"fault: {fault}", json)
    if faults:
        raise DataFault(f"{data} has {len(faults)} faults")
    say("no faults", json)
    return result


@app.command("convert")
@verb
def convert(
    data: Annotated[
        Path, typer.Argument(help="Data set: dataset.yaml, its folder, or a public set's folder.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    json: Json = False,
) -> dict[str, Any]:
    """Write a data set as images and index masks with a dataset.yaml; all of it or nothing."""
    from offramp.data.convert import convert as convert_data
    from offramp.data.dataset import Dataset

    source = Dataset.open(data)
    made = convert_data(source, out, track)
    images = {split: len(source.samples(split)) for split in source.splits}
    say(f"images: {', '.join(f'{split} {count}' for split, count in images.items())}", json)
    say(f"data set: {made}", json)
    return {"data": str(made), "images": images, "names": list(source.names)}


@app.command("make")
@verb
def make(
    kind: Annotated[Kind, typer.Argument(help="Which scenes.")],
    out: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    train: Annotated[int, typer.Option(help="Images to train on.", min=1)] = 400,
    val: Annotated[int, typer.Option(help="Images to pick the best epoch by.", min=1)] = 80,
    calib: Annotated[int, typer.Option(help="Images to fit thresholds on.", min=1)] = 120,
    test: Annotated[int, typer.Option(help="Images to report on.", min=1)] = 120,
    clip: Annotated[int, typer.Option(help="Frames of the clip; 0: none.", min=0)] = 200,
    size: Annotated[str, typer.Option(help="Image size, WxH in pixels.")] = "640x384",
    seed: Annotated[int, typer.Option(help="The same seed makes the same images.", min=0)] = 0,
    json: Json = False,
) -> dict[str, Any]:
    """Draw labelled scenes: ceiling cameras in a factory, or packages on a conveyor belt."""
    from offramp.core.model import parse_size
    from offramp.data.synthetic.write import make_factory, make_packages

    height, width = parse_size(size)
    counts = {"train": train, "val": val, "calib": calib, "test": test}
    if kind is Kind.factory:
        made = make_factory(
            out, images=counts, width=width, height=height, seed=seed, clip_frames=clip, track=track
        )
    else:
        made = make_packages(out, images=counts, width=width, height=height, seed=seed, track=track)
    say(f"data set: {made}", json)
    return {"data": str(made), "images": counts, "seed": seed}
