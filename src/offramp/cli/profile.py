"""`offramp profile`: work and parameters, block by block, and where exits would go."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, say, table, verb
from offramp.core.errors import BadInput
from offramp.core.head import FULL, LIGHT, HeadSpec
from offramp.core.headcost import head_cost
from offramp.core.spec import parse_yaml

if TYPE_CHECKING:
    from offramp.models.blocks import Block, Profile


@verb
def profile(
    model: Annotated[str, typer.Argument(help="Network; offramp models lists them.")],
    classes: Annotated[int, typer.Option(help="Number of classes.", min=1)],
    size: Annotated[str, typer.Option(help="Input size, WxH in pixels.")],
    knob: Annotated[list[str] | None, typer.Option(help="A knob: width=0.5.")] = None,
    exits: Annotated[
        int | None, typer.Option(help="Place so many exits at equal shares.", min=1, max=32)
    ] = None,
    after: Annotated[list[str] | None, typer.Option(help="Place an exit after this block.")] = None,
    heads: Annotated[str, typer.Option(help="Heads to cost: light, full, or a name.")] = "light",
    plot: Annotated[Path | None, typer.Option(help="Draw it: an SVG file to write.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Count multiply-accumulates and parameters, and say where exits would go (MESS §4.1)."""
    from offramp.core.model import format_size, parse_size
    from offramp.models.blocks import profile as profile_network
    from offramp.models.zoo import build, entry

    if exits is not None and after:
        raise BadInput("exits are placed twice", expected="either --exits or --after")
    if plot is not None and plot.suffix != ".svg":
        raise BadInput(
            "the plot is an SVG file", expected="a name that ends in .svg", got=str(plot)
        )
    found = entry(model)
    specs = _specs(heads, found.head)
    module = build(model, classes, **_knobs(knob or []))
    profiled = profile_network(module, parse_size(size), after or found.blocks)
    chosen = _placed(profiled, exits, tuple(after or found.exits))
    fixed = found.head if found.head.kind == "fc" and specs == (found.head,) else None
    placed = [_exit(block, classes, specs, fixed) for block in chosen]
    _say_blocks(profiled, json)
    padded = format_size(profiled.size)
    asked = format_size(parse_size(size))
    note = "" if padded == asked else f" (padded from {asked})"
    total = f"{macs_text(profiled.macs)} at {padded}{note}"
    say(f"{total}, {profiled.parameters:,} parameters", json)
    _say_exits(placed, profiled.macs, "" if exits is None else f"{exits} at equal shares", json)
    if plot is not None:
        _draw(
            profiled,
            [block.name for block in chosen],
            f"{model} at {padded}: {macs_text(profiled.macs)}",
            plot,
        )
        say(f"plot: {plot}", json)
    return {
        "model": model,
        "size": list(parse_size(size)),
        "padded_size": list(profiled.size),
        "classes": classes,
        "unit": "multiply-accumulates",
        "macs": profiled.macs,
        "parameters": profiled.parameters,
        "segments": [
            {
                "name": b.name,
                "macs": b.macs,
                "parameters": b.parameters,
                "path_macs": b.path_macs,
                "channels": b.channels,
                "stride": b.stride,
            }
            for b in profiled.blocks
        ],
        "exits": placed,
        "plot": None if plot is None else str(plot),
    }


def _placed(profiled: "Profile", exits: int | None, names: tuple[str, ...]) -> list["Block"]:
    """Choose the exits: N at equal shares, or those that are named, and always the end."""
    if exits is not None:
        return profiled.place(exits)
    if not names:
        return profiled.place(4)
    return [block for block in profiled.blocks if block.name in (*names, "end")]


def _exit(
    block: "Block", classes: int, specs: tuple[HeadSpec, ...], fixed: HeadSpec | None
) -> dict[str, Any]:
    """Describe an exit; its path counts the head where the network leaves no choice of one."""
    if block.name == "end":
        return {"after": "end", "path_macs": block.path_macs, "head": "own", "heads": []}
    feature = (block.channels, *block.size)
    heads = [(spec.name, head_cost(spec, feature, classes)) for spec in specs]
    return {
        "after": block.name,
        "path_macs": block.path_macs + (heads[0][1].macs if fixed else 0),
        "head": fixed.name if fixed else None,
        "heads": [
            {"name": name, "macs": cost.macs, "parameters": cost.parameters} for name, cost in heads
        ],
    }


def _specs(heads: str, plain: HeadSpec) -> tuple[HeadSpec, ...]:
    """List the heads that are named; a network that classifies has one in either space."""
    fixed = (plain,) if plain.kind == "fc" else None
    spaces = {"light": fixed or LIGHT, "full": fixed or FULL}
    return spaces[heads] if heads in spaces else (HeadSpec.parse(heads),)


def _say_blocks(profiled: "Profile", json: bool) -> None:
    rows = [
        [
            block.name,
            f"{block.channels}",
            f"1/{block.stride}",
            f"{block.parameters:,}",
            macs_text(block.macs),
            f"{100 * block.path_macs / profiled.macs:5.1f} % "
            + _bar(block.path_macs / profiled.macs),
        ]
        for block in profiled.blocks
    ]
    say(table(["block", "channels", "stride", "parameters", "work", "work so far"], rows), json)


def _say_exits(placed: list[dict[str, Any]], total: int, how: str, json: bool) -> None:
    rows = []
    for place in placed:
        macs = [head["macs"] for head in place["heads"]]
        cost = f"{macs_text(min(macs))} to {macs_text(max(macs))}" if macs else "its own"
        share = f"{100 * place['path_macs'] / total:.1f} %"
        rows.append([place["after"], macs_text(place["path_macs"]), share, cost])
    say(
        table([f"exit after ({how})" if how else "exit after", "path", "share", "heads"], rows),
        json,
    )


def _draw(profiled: "Profile", exits: list[str], title: str, file: Path) -> None:
    from offramp.core.files import write_text
    from offramp.report.workload import Workload, draw_workload

    record = Workload(
        title=title,
        blocks=tuple((block.name, block.macs) for block in profiled.blocks),
        exits=tuple(exits),
    )
    write_text(file, draw_workload(record))


def _bar(share: float, width: int = 20) -> str:
    filled = round(width * share)
    return "█" * filled + "·" * (width - filled)


def _knobs(settings: list[str]) -> dict[str, Any]:
    """Read "name=value" pairs; values are YAML."""
    knobs: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadInput("a knob without a value", expected="name=value", got=f"'{setting}'")
        knobs[name] = parse_yaml(value, f"the knob '{setting}'")
    return knobs
