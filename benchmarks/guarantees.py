"""How often are promises about the loss broken, and how often are they made?

    python benchmarks/guarantees.py RUN/trace.npz --draws 1000

The recorded images are taken as the whole world, so that the true loss of every configuration is
known: their mean. Calibration images are drawn from them with replacement, as many as half of
them and more. The family is one early exit with twenty thresholds. Beside it: the edge, where the
limit is a hair below the true loss of the middle threshold or of the last, and an invented family
in which bad configurations alternate with good ones. A promise counts as broken if any of the
configurations up to the chosen one is bad. Last, plain divisions in halves, as a user would do it,
with the loss on the other half.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import save
from numpy.typing import NDArray

from offramp.core.score import ScoreSpec
from offramp.guarantees import control_mean, divide, miou_losses
from offramp.guarantees.clips import units
from offramp.guarantees.pvalues import p_value
from offramp.guarantees.sequence import fixed_sequence
from offramp.metrics.trace import Trace

Floats = NDArray[np.float64]
METHODS = ("wsr", "hb", "crc")
LIMITS = (0.01, 0.02, 0.05)


@dataclass(frozen=True)
class Family:
    """Configurations whose true losses are known.

    Attributes:
        name: what it is.
        draw: n units by chance, L×n.
        signed: true mean loss of each, shape L.
        positive: true mean of its positive part, shape L.
        early: share of images that stop early, shape L.
        limits: to promise.
    """

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    signed: Floats
    positive: Floats
    early: Floats
    limits: tuple[float, ...]


def main() -> None:
    """Draw, certify, count, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("trace", type=Path)
    arguments.add_argument("--exit", help="POINT/HEAD; the early exit of highest mIoU if absent")
    arguments.add_argument("--score", default="mean-top1")
    arguments.add_argument("--draws", type=int, default=1000)
    arguments.add_argument("--confidence", type=float, default=0.95)
    arguments.add_argument("--name", default="guarantees", help="of the result file")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    trace = Trace.load(told.trace)
    row = _exit(trace, told.exit)
    taken, early = _thresholds(trace, row, told.score)
    miou, pixels = (
        units(losses).losses for losses in (miou_losses(trace, taken), _pixel_losses(trace, taken))
    )
    families = [
        _recorded("per-image mIoU", miou, early),
        _recorded("pixel error", pixels, early),
        _alternating(0.1),
    ]
    delta = round(1 - told.confidence, 12)
    sizes = (miou.shape[1] // 2, 400, 1500)
    rows = []
    for family in families:
        for limit in family.limits:
            for n in sizes:
                for method in METHODS:
                    rows.append(_counted(family, limit, n, method, delta, told.draws))
                    print(rows[-1])
    results = {
        "images": len(trace.images),
        "exit": "/".join(trace.exits[row]),
        "score": told.score,
        "draws": told.draws,
        "delta": delta,
        "allowed_with_three_sigma": delta + 3 * np.sqrt(delta * (1 - delta) / told.draws),
        "true_losses": {f.name: f.signed.tolist() for f in families},
        "rows": rows,
        "divisions": [
            _divided(miou, limit, method, delta, told.draws)
            for limit in (0.02, 0.05, 0.1)
            for method in METHODS
        ],
    }
    for line in results["divisions"]:
        print(line)
    told.out.mkdir(exist_ok=True)
    save(told.out / f"{told.name}.json", results)


def _exit(trace: Trace, name: str | None) -> int:
    if name:
        return trace.index(*name.split("/"))
    return int(np.argmax([trace.exit_miou(row) for row in range(len(trace.exits) - 1)]))


def _thresholds(trace: Trace, row: int, score: str) -> tuple[NDArray[np.intp], Floats]:
    """Choose for each of twenty shares of images the threshold at which they stop early."""
    sureness = trace.score(row, score) * (1 if ScoreSpec.parse(score).more_is_surer else -1)
    levels = np.quantile(sureness, np.linspace(0.95, 0, 20))
    stops = sureness[None] >= levels[:, None]  # L×N
    return np.where(stops, row, len(trace.exits) - 1), stops.mean(axis=1)


def _pixel_losses(trace: Trace, taken: NDArray[np.intp]) -> Floats:
    """Compute the share of labelled pixels that the full network gets right, less the early ones.

    The labelled pixels P follow from Σ unions = 2 P − Σ intersections.
    """
    right = trace.intersections.sum(axis=-1)  # E×N
    labelled = (trace.unions.sum(axis=-1) + right) / 2
    with np.errstate(invalid="ignore"):
        share = right / labelled
    return share[-1] - share[taken, np.arange(len(trace.images))]


def _recorded(name: str, losses: Floats, early: Floats) -> Family:
    signed, positive = losses.mean(axis=1), np.maximum(losses, 0).mean(axis=1)
    edges = {float(mean) * (1 - 1e-9) for means in (signed, positive) for mean in means[[10, -1]]}
    return Family(
        name,
        lambda rng, n: losses[:, rng.integers(0, losses.shape[1], n)],
        signed,
        positive,
        early,
        (*LIMITS, *sorted(edge for edge in edges if edge > 0.005)),
    )


def _alternating(limit: float) -> Family:
    """Invent a family: two good ones, then bad and good in turn; all or nothing is lost."""
    means = np.array([0.0, 0.2 * limit, *[1.001 * limit, 0.2 * limit] * 9])
    return Family(
        "alternating",
        lambda rng, n: (rng.random((len(means), n)) < means[:, None]) * 1.0,
        means,
        means,
        np.linspace(0.05, 1, 20),
        (limit,),
    )


def _chosen(losses: Floats, limit: float, method: str, delta: float) -> int | None:
    """Decide as `certify` and `control_mean` do; losses in an order of chance."""
    if method == "crc":
        return control_mean(losses, limit).index
    return fixed_sequence((p_value(row, limit, delta, method) for row in losses), delta)


def _counted(
    family: Family, limit: float, n: int, method: str, delta: float, draws: int
) -> dict[str, object]:
    """Count broken promises over many draws of n units."""
    true = family.signed if method == "wsr" else family.positive
    rng = np.random.default_rng(0)
    picks = [_chosen(family.draw(rng, n), limit, method, delta) for _ in range(draws)]
    worst = np.maximum.accumulate(true)
    return {
        "family": family.name,
        "limit": limit,
        "n": n,
        "method": method,
        "broken": float(np.mean([i is not None and worst[i] > limit for i in picks])),
        "mean_true_loss": float(np.mean([0.0 if i is None else true[i] for i in picks])),
        "made": float(np.mean([i is not None for i in picks])),
        "early": float(np.mean([0.0 if i is None else family.early[i] for i in picks])),
    }


def _divided(
    losses: Floats, limit: float, method: str, delta: float, draws: int
) -> dict[str, object]:
    """Certify on one half of the images, and look at the other."""
    held_out, made = [], 0
    for seed in range(draws):
        one, other = divide(losses.shape[1], seed=seed)
        order = np.random.default_rng(seed).permutation(one)
        index = _chosen(losses[:, order], limit, method, delta)
        made += index is not None
        rest = losses[0 if index is None else index, other]
        rest = rest if method == "wsr" else np.maximum(rest, 0)
        held_out.append(0.0 if index is None else float(rest.mean()))
    return {
        "limit": limit,
        "method": method,
        "held_out_above_limit": float((np.array(held_out) > limit).mean()),
        "mean_held_out_loss": float(np.mean(held_out)),
        "made": made / draws,
    }


if __name__ == "__main__":
    main()
