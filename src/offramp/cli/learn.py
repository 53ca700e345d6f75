"""`offramp learn`: auxiliary networks that decide for the exits."""

from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, say, table, track, verb

if TYPE_CHECKING:
    from offramp.policies.learned import Judged

BESIDE = "mean-top1"
"""The score that needs no training, beside which the learned ones are shown."""


class SplitName(StrEnum):
    """Images that may be learned from."""

    train = "train"
    val = "val"


@verb
def learn(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    split: Annotated[SplitName, typer.Option(help="Which images.")] = SplitName.train,
    json: Json = False,
) -> dict[str, Any]:
    """Train a small network on each exit's prediction: classifier, regressor, exit-choice."""
    from offramp.evaluation import record
    from offramp.models.count import auxiliary_share
    from offramp.policies.learned import judged
    from offramp.training.auxiliary import learn as learn_scores
    from offramp.training.run import Run

    opened = Run.open(run)
    network = learn_scores(opened, split.value, track)
    others = "val" if split is SplitName.train else "train"
    names = [*(spec.name for spec in network.learned), BESIDE]
    found = judged(record(network, opened.dataset, others, track), names)
    share = auxiliary_share(network)
    say(_table(found, names), json)
    say(
        f"correlation: of the score's order on {others} with the images' mIoU; separation: how "
        "likely an image that may stop is surer than one that may not\n"
        f"they cost at most {100 * share:.2g} % of the work up to their exit\n"
        f"learned: {opened.auxiliary_file}\nrecord again: offramp record {run}",
        json,
    )
    return {
        "learned": str(opened.auxiliary_file),
        "judged_on": others,
        "work_share": share,
        "exits": [
            {
                "point": one.point,
                "head": one.head,
                "score": one.score,
                "correlation": None if isnan(one.correlation) else one.correlation,
                "separation": None if isnan(one.separation) else one.separation,
            }
            for one in found
        ],
    }


def _table(found: "list[Judged]", names: list[str]) -> str:
    """Lay out a row for each head, with both figures of each score."""
    rows: dict[str, list[str]] = {}
    for one in found:
        row = rows.setdefault(f"{one.point}/{one.head}", [])
        row.append(
            " ".join("-" if isnan(v) else f"{v:.2f}" for v in (one.correlation, one.separation))
        )
    return table(
        ["correlation, separation", *names], [[name, *cells] for name, cells in rows.items()]
    )
