"""`offramp eval`: accuracy, work and time on labelled images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, say, table, track, verb
from offramp.cli.engine import Engine, Precision, Threads
from offramp.core.progress import Track

if TYPE_CHECKING:
    from offramp.data.dataset import Dataset
    from offramp.runtime.session import Session


@verb
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    data: Annotated[Path, typer.Option(help="Data set: dataset.yaml or its folder.")],
    split: Annotated[str, typer.Option(help="Which images.")] = "test",
    engine: Engine = "onnxruntime",
    precision: Precision = None,
    threads: Threads = None,
    json: Json = False,
) -> dict[str, Any]:
    """Run a bundle on labelled images by its plan, and beside it without early exits."""
    from offramp.data.dataset import Dataset
    from offramp.runtime.session import Session

    session = Session(bundle, engine, threads=threads, precision=precision)
    result = described_evaluation(session, Dataset.open(data), split, track)
    rows = [
        [
            name,
            f"{100 * r['miou']:.2f} %",
            f"{100 * r['miou_per_image']['mean']:.2f} ± {100 * r['miou_per_image']['std']:.2f} %",
            macs_text(r["macs"]),
            f"{r['latency_ms']['p50']:.2f} ms",
            f"{r['latency_ms']['p95']:.2f} ms",
        ]
        for name, r in (("with early exits", result), ("full network", result["full"]))
    ]
    say(table(["", "mIoU", "per image", "work", "p50", "p95"], rows), json)
    taken = ", ".join(f"{p} {100 * share:.1f} %" for p, share in result["exit_share"].items())
    ious = ", ".join(
        f"{n} {100 * v:.2f} %" if v is not None else f"{n} absent" for n, v in result["iou"].items()
    )
    say(f"exits taken: {taken}\nIoU: {ious}\n{result['images']} images, {result['engine']}", json)
    return result


def described_evaluation(
    session: "Session", data: "Dataset", split: str, track: Track
) -> dict[str, Any]:
    """Evaluate a session, and describe the outcome as `eval --json` prints it."""
    import numpy as np

    from offramp.runtime.accuracy import Outcome, evaluate, mean_macs

    early, full = evaluate(session, data, split, track)
    manifest = session.bundle.manifest

    def described(outcome: Outcome, macs: float) -> dict[str, Any]:
        per_image = outcome.miou_per_image
        p50, p95 = np.percentile(outcome.latency_ms, [50, 95])
        return {
            "miou": outcome.miou,
            "miou_per_image": {
                "mean": float(np.nanmean(per_image)),
                "std": float(np.nanstd(per_image)),
            },
            "iou": {
                name: None if np.isnan(value) else float(value)
                for name, value in zip(manifest.model.names, outcome.iou, strict=True)
            },
            "macs": macs,
            "latency_ms": {
                "p50": float(p50),
                "p95": float(p95),
                "mean": float(outcome.latency_ms.mean()),
            },
        }

    shares = np.bincount(early.taken, minlength=len(session.points)) / len(early.taken)
    return {
        **described(early, mean_macs(session, early.taken)),
        "exit_share": dict(zip(session.points, shares.tolist(), strict=True)),
        "full": described(full, float(manifest.full_macs)),
        "images": len(early.taken),
        "split": split,
        "engine": session.engine.label,
        "size": list(manifest.model.size),
    }
