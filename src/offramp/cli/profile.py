"""`offramp profile`: work and parameters, block by block."""

from typing import Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, say, table, verb
from offramp.core.errors import BadInput
from offramp.core.spec import parse_yaml


@verb
def profile(
    model: Annotated[str, typer.Argument(help="Network; offramp models lists them.")],
    classes: Annotated[int, typer.Option(help="Number of classes.", min=1)],
    size: Annotated[str, typer.Option(help="Input size, WxH in pixels.")],
    knob: Annotated[list[str] | None, typer.Option(help="A knob: width=0.5.")] = None,
    exits: Annotated[int, typer.Option(help="Place this many exits.", min=1, max=32)] = 4,
    json: Json = False,
) -> dict[str, Any]:
    """Count multiply-accumulates and parameters, and say where exits would go (MESS §4.1)."""
    from offramp.core.model import format_size, parse_size
    from offramp.models.count import place, profile_blocks
    from offramp.models.zoo import build, entry

    pixels = parse_size(size)
    module = build(model, classes, **_knobs(knob or []))
    blocks = profile_blocks(module, entry(model), pixels)
    placed: list[dict[str, Any]] = [
        {"after": b.name, "path_macs": b.path_macs} for b in place(blocks, exits)
    ]
    total = blocks[-1].path_macs
    rows = [
        [
            block.name,
            f"{block.channels}",
            f"1/{block.stride:g}",
            f"{block.parameters:,}",
            macs_text(block.macs),
            f"{100 * block.path_macs / total:5.1f} % {_bar(block.path_macs / total)}",
        ]
        for block in blocks
    ]
    say(table(["block", "channels", "stride", "parameters", "work", "work so far"], rows), json)
    parameters = sum(block.parameters for block in blocks)
    say(f"{macs_text(total)} at {format_size(pixels)}, {parameters:,} parameters", json)
    say(f"{exits} exits at equal shares: after " + ", ".join(e["after"] for e in placed), json)
    return {
        "model": model,
        "size": list(pixels),
        "classes": classes,
        "macs": total,
        "parameters": parameters,
        "segments": [
            {
                "name": b.name,
                "macs": b.macs,
                "parameters": b.parameters,
                "path_macs": b.path_macs,
                "channels": b.channels,
                "stride": b.stride,
            }
            for b in blocks
        ],
        "exits": placed,
    }


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
