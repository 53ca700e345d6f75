"""`offramp tune`: from a network that is too slow to one that fits."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, macs_text, table, track, verb

if TYPE_CHECKING:
    from offramp.tuning.candidate import Candidate, Chosen, Study


class LevelName(StrEnum):
    """How much may change (IOT)."""

    entry = "entry"
    intermediate = "intermediate"
    expert = "expert"


@verb
def tune(
    data: Annotated[Path, typer.Option(help="Data set: dataset.yaml or its folder.")],
    model: Annotated[str, typer.Option(help="Network; offramp models lists them.")],
    level: Annotated[LevelName, typer.Option(help="Which knobs may be turned.")],
    max_latency_ms: Annotated[float, typer.Option(help="Most milliseconds an image.")],
    min_iou: Annotated[float, typer.Option(help="Least IoU, 0 to 1.")],
    time_budget: Annotated[str, typer.Option(help="How long: 90m, 2h, or seconds.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; one that is there goes on.")],
    recipe: Annotated[Path | None, typer.Option(help="Recipe; absent: the defaults.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="Change a key: stage1.epochs=3.")] = None,
    size: Annotated[str | None, typer.Option(help="Native size WxH; absent: the recipe's.")] = None,
    exits: Annotated[
        bool | None, typer.Option(help="Try early exits in the end; absent: at expert level.")
    ] = None,
    latencies: Annotated[
        Path | None, typer.Option(help="Times of a target device, see offramp device.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Database URL that several machines share.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each is timed.", min=3)] = 40,
    json: Json = False,
) -> dict[str, Any]:
    """Try smaller inputs, smaller networks and early exits, and choose the fastest that will do."""
    from offramp.data.dataset import Dataset
    from offramp.training.recipe import load_recipe
    from offramp.tuning.clock import Latencies
    from offramp.tuning.task import Task, parse_budget
    from offramp.tuning.tune import tune as run_study

    settings = [*(set or ()), *([f"size={size}"] if size else [])]
    told = load_recipe(recipe, settings)
    task = Task(
        data=Dataset.open(data),
        model=model,
        out=out,
        level=level.value,
        max_latency_ms=max_latency_ms,
        min_iou=min_iou,
        budget_s=parse_budget(time_budget),
        recipe=told,
        exits=level is LevelName.expert if exits is None else exits,
        threads=threads,
        rounds=rounds,
        latencies=Latencies.load(latencies) if latencies else None,
        storage=storage,
    )
    study = run_study(task, track)
    if not json:
        _print(study, out)
    result = _described(study, out)
    if study.chosen is None or not study.chosen.fits:
        if json:
            import json as writer

            print(writer.dumps(result, indent=2, allow_nan=False))
        raise typer.Exit(1)
    return result


def _described(study: "Study", out: Path) -> dict[str, Any]:
    from offramp.tuning.recommend import finished, frontier

    return {
        "study": str(out),
        "metric": study.metric,
        "candidates": [c.model_dump(mode="json") for c in study.candidates],
        "frontier": [c.id for c in frontier(finished(study))],
        "chosen": study.chosen and study.chosen.model_dump(mode="json"),
        "notes": study.notes,
        "engine": study.engine,
        "spent_s": study.spent_s,
    }


def _print(study: "Study", out: Path) -> None:
    from offramp.tuning.recommend import finished, frontier, recommend, sentence

    best = {c.id for c in frontier(finished(study))}
    columns = ["candidate", "parameters", "input", "forward", "work", "latency", "p5 to p95"]
    rows = [_row(c, c.id in best) for c in study.candidates]
    print(table([*columns, "fps", "IoU", "", ""], rows))
    print(f"IoU is the {study.metric} on the validation images; * stands on the front")
    for pick in recommend(study):
        print(sentence(pick, study))
    for note in study.notes:
        print(f"note: {note}")
    print(_said(study, study.chosen, out) if study.chosen else "nothing was trained")


def _row(candidate: "Candidate", best: bool) -> list[str]:
    c, latency = candidate, candidate.latency
    times = ["-", "-", "-"]
    if latency is not None:
        spread = f"{latency.p5_ms:.2f} to {latency.p95_ms:.2f}"
        times = [f"{latency.median_ms:.2f} ms", spread, f"{latency.fps:.1f}"]
    return [
        c.id,
        f"{c.parameters:,}",
        f"{c.input_mb:.2f} MB",
        f"{c.forward_mb:.2f} MB",
        macs_text(c.macs),
        *times,
        "-" if c.iou is None else f"{100 * c.iou:.2f} %",
        "*" if best else "",
        c.status,
    ]


def _said(study: "Study", chosen: "Chosen", out: Path) -> str:
    """Say what was chosen, or that nothing fits and what comes closest."""
    spread = f"{chosen.latency.p5_ms:.2f} to {chosen.latency.p95_ms:.2f}"
    ratio = chosen.baseline_latency.median_ms / chosen.latency.median_ms
    test = "" if chosen.test_iou is None else f", {100 * chosen.test_iou:.2f} % on test"
    head = "chosen" if chosen.fits else f"nothing fits ({chosen.missing}); closest"
    lines = [
        f"{head}: {chosen.id}, {chosen.latency.median_ms:.2f} ms ({spread}), "
        f"{ratio:.2f} times as fast as the baseline, IoU {100 * chosen.iou:.2f} % on val{test}",
        f"bundle: {out / chosen.bundle}" if chosen.bundle else "",
        f"study: {out} ({study.spent_s / 60:.1f} of {study.budget_s / 60:.1f} minutes)",
    ]
    return "\n".join(line for line in lines if line)
