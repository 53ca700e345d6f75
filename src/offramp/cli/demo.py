"""`offramp demo`: the whole story on built-in data."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from offramp.cli.console import Json, say, track, verb

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scale:
    """How much the demo does: images by split, clip length, and what the recipe changes."""

    images: dict[str, int]
    clip: int
    settings: tuple[str, ...]


FULL = Scale(
    images={"train": 320, "val": 48, "calib": 100, "test": 80},
    clip=150,
    settings=(
        "size=320x192",
        "exits.points=[stem, bottleneck1, fusion]",
        "exits.heads=[r1-b0-fcn, r4-b2-rapid-fcn, r2-b3-rapid-fcn]",
        "stage1.epochs=12",
        "stage1.lr=0.003",
        "stage2.epochs=6",
    ),
)
QUICK = Scale(
    images={"train": 32, "val": 8, "calib": 16, "test": 8},
    clip=20,
    settings=(
        "size=160x96",
        "knobs.width=0.5",
        "exits.points=[stem, bottleneck1]",
        "exits.heads=[r1-b0-fcn, r4-b2-rapid-fcn]",
        "stage1.epochs=3",
        "stage2.epochs=2",
    ),
)


@verb
def demo(
    out: Annotated[Path, typer.Option(help="Folder of everything that it makes.")],
    quick: Annotated[bool, typer.Option("--quick", help="A minute instead of five.")] = False,
    json: Json = False,
) -> dict[str, Any]:
    """Make data, train, record, search, export, evaluate, run on a video, and report.

    Call it again after an interrupt and it goes on where it was.
    """
    from offramp.cli.eval import described_evaluation
    from offramp.core.files import write_json
    from offramp.data.dataset import Dataset
    from offramp.data.synthetic.write import make_factory
    from offramp.export import export
    from offramp.profiling.record import record_run
    from offramp.report import write_report
    from offramp.runtime.session import Session
    from offramp.search import Goal, search
    from offramp.training.recipe import load_recipe
    from offramp.training.run import Run
    from offramp.training.train import train
    from offramp.video.run import run as run_sources
    from offramp.video.sources import open_source

    scale = QUICK if quick else FULL
    logger.info("1/7 drawing a factory floor under eight ceiling cameras")
    make_factory(out / "data", images=scale.images, clip_frames=scale.clip, track=track)
    data = Dataset.open(out / "data")
    logger.info("2/7 training FastSCNN with early exits, in two stages")
    recipe = load_recipe(None, scale.settings)
    run = train(Run.resume(out / "run", "fastscnn", recipe, data), track)
    logger.info("3/7 recording what every exit says, measuring what every piece costs")
    trace, costs = record_run(run, track=track)
    logger.info("4/7 searching the cheapest plan that loses at most 1 pp of mIoU")
    found = search(trace, costs, Goal.cheapest(max_miou_loss=0.01), track)
    plan_file = run.folder / "plans" / "input-dependent.json"
    found.save(plan_file)
    logger.info("5/7 exporting the bundle and checking it against the network")
    bundle = export(run.load_network(), found.plan, run.frames(8), out / "factory.offramp")
    session = Session(bundle)
    logger.info("6/7 evaluating on cameras that training never saw, running on a video")
    result = described_evaluation(session, data, "test", track)
    write_json(run.folder / "eval" / "test.json", result)
    clips = [open_source(str(data.root / video.video)) for video in data.spec.videos.values()]
    tally = run_sources(session, clips, out / "video", track=track)
    logger.info("7/7 writing the report")
    report = write_report(run.folder)
    full = result["full"]
    summary = {
        "report": str(report),
        "bundle": str(bundle.folder),
        "full_miou": full["miou"],
        "miou": result["miou"],
        "macs_ratio": full["macs"] / result["macs"],
        "latency_ratio": full["latency_ms"]["mean"] / result["latency_ms"]["mean"],
        "frames": tally.frames,
        "video": str(out / "video"),
    }
    say(
        f"full network {100 * full['miou']:.2f} % mIoU on unseen cameras, "
        f"with early exits {100 * result['miou']:.2f} %\n"
        f"{summary['macs_ratio']:.2f} times less work, "
        f"{summary['latency_ratio']:.2f} times faster, decoding included\n"
        f"{tally.frames} frames of video: {out / 'video'}\n"
        f"report: {report}",
        json,
    )
    return summary
