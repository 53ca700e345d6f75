"""`offramp export`: the bundle, after its parity check."""

from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, verb


@verb
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    plan: Annotated[Path, typer.Argument(help="Plan that a search wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    form: Annotated[
        list[str] | None,
        typer.Option(help="A further form: prefixes, single, torch or ncnn; may be repeated."),
    ] = None,
    images: Annotated[int, typer.Option(help="Images of the parity check.", min=1)] = 16,
    json: Json = False,
) -> dict[str, Any]:
    """Write a bundle, and compare its answers with the network's on real images."""
    from offramp.core.plan import Plan
    from offramp.export import export as export_bundle
    from offramp.training.run import Run

    opened = Run.open(run)
    read = Plan.load(plan)
    bundle = export_bundle(opened.load_network(), read, opened.frames(images), out, form or ())
    parity = bundle.manifest.parity
    say(
        f"parity on {parity.images} images: {100 * parity.label_agreement:.3f} % of the labels "
        f"agree, {100 * parity.same_exits:.0f} % of the images take the same exit,\n"
        f"largest difference of a logit {parity.max_logit_difference:.1e}, "
        f"of a score {parity.max_score_difference:.1e}",
        json,
    )
    forms = bundle.manifest.form_parity
    for name, found in forms.items():
        say(
            f"form {name}: {100 * found.label_agreement:.3f} % of the labels agree, "
            f"largest difference of a score {found.max_score_difference:.1e}",
            json,
        )
    say(f"bundle: {out} ({bundle.bytes / 1e6:.1f} MB)", json)
    return {
        "bundle": str(out),
        "bytes": bundle.bytes,
        "parity": parity.model_dump(),
        "form_parity": {name: found.model_dump() for name, found in forms.items()},
    }
