"""From a run folder to one HTML page: gather, compute, draw, write."""

import logging
import platform
from collections.abc import Mapping
from datetime import date
from importlib import metadata
from pathlib import Path

from offramp.core.errors import BadInput
from offramp.core.files import write_text
from offramp.core.model import format_size
from offramp.core.progress import Track, silent
from offramp.report import headline, page, records, sections
from offramp.report.designs import draw_designs, drawn_design
from offramp.report.examples import examples
from offramp.report.figures import (
    draw_curves,
    draw_frontier,
    draw_heads,
    draw_scores,
    draw_shares,
)
from offramp.report.gallery import gallery
from offramp.report.material import Material, gather
from offramp.report.page import Section
from offramp.report.pictures import Walk, find_split, walk_examples
from offramp.report.style import point_colours
from offramp.training.run import Run

logger = logging.getLogger(__name__)


def write_report(folder: Path, out: Path | None = None, track: Track = silent) -> Path:
    """Write the report of a run as one self-contained HTML file.

    Args:
        folder: a run that was trained, recorded and searched.
        out: the file; absent: `report/index.html` in the run.
        track: shows progress.

    Returns:
        The file.

    Raises:
        BadInput: the folder is no run, or has no trace, costs or plan.
        MissingExtra: matplotlib is not installed.
    """
    run = Run.open(folder)
    material = gather(folder)
    calib, walks, missing = _pictures(run, material, track)
    comparisons = headline.comparisons(material, calib)
    lead = headline.leading(comparisons, material.headline.name)
    foot = [
        page.title("How to read these figures"),
        page.points(sections.caveats(material, comparisons, calib)),
        page.facts(_facts(run, material, calib)),
    ]
    text = page.page(
        f"Early exits for {run.state.model.name} on {_data_name(run)}",
        "offramp report",
        [page.lead(sections.opening(lead)), sections.big_numbers(lead)],
        [
            sections.savings(comparisons, lead, headline.classes(material, lead)),
            *_drawn(run, material, walks, missing),
        ],
        page.joined(foot),
    )
    file = out or folder / "report" / "index.html"
    write_text(file, text)
    return file


def _drawn(run: Run, material: Material, walks: list[Walk], missing: str) -> list[Section]:
    """Make the sections after the headline, leaving out those that have nothing to show."""
    colours = point_colours(material.costs.points)
    pieces, full = headline.pieces(material), headline.full_cost(material)
    parts = [
        _frontier_section(material, colours),
        _designs_section(material, colours),
        _shares_section(material, colours),
        _scores_section(material, colours),
        _gallery_section(run, walks, missing),
        _heads_section(material, colours),
        sections.network_section(material, pieces, full),
        _curves_section(material, colours),
    ]
    return [part for part in parts if part is not None]


def _pictures(run: Run, material: Material, track: Track) -> tuple[str, list[Walk], str]:
    """Name the recorded split, and draw the examples; where images are gone, say why."""
    split = "calib"
    try:
        data = run.dataset
        split = find_split(data, material.trace)
        chosen = examples(material.headline, material.trace)
        network = run.load_network()
        walks = walk_examples(
            network, data, split, material.headline, material.trace, chosen, track
        )
    except BadInput as error:
        logger.warning("the report has no pictures: %s", error)
        return split, [], str(error)
    return split, walks, ""


def _frontier_section(material: Material, colours: Mapping[str, str]) -> Section:
    record = records.frontier(material)
    caption = (
        "Faint dots: every exit alone, coloured by its position on the path. Lines: the best that "
        "can be had at each amount of work on the calibration images, heads that were read on the "
        "way included. An anytime plan has a mark for each of its answers, joined by dots; its "
        "work includes all heads read so far."
    )
    drawing = page.chart(draw_frontier(record, colours), "mIoU against work", caption)
    return Section(
        "frontier", "Accuracy against work", [drawing, sections.plan_table(material.plans)]
    )


def _designs_section(material: Material, colours: Mapping[str, str]) -> Section:
    designs = [drawn_design(each.name, each.plan, material.costs) for each in material.plans]
    caption = (
        "The bar is the network, each segment as wide as its share of the full network's work and "
        "as dark as the share of the images that run it. Under it hang the heads of each plan, "
        "layer by layer, with what decides there and the share of the images that stop."
    )
    drawing = page.chart(draw_designs(designs, colours), "Designs along the network", caption)
    return Section("designs", "What was chosen", [drawing])


def _shares_section(material: Material, colours: Mapping[str, str]) -> Section:
    caption = (
        "Where the images stop, on the calibration images unless a split is named. A budgeted plan "
        "has one exit; an anytime plan goes to its end when no deadline interrupts it."
    )
    bars = records.shares(material)
    drawing = page.chart(draw_shares(bars, colours), "exits taken by each plan", caption)
    return Section("shares", "Exits taken", [page.legend(list(colours.items())), drawing])


def _scores_section(material: Material, colours: Mapping[str, str]) -> Section | None:
    named = material.headline
    panels = records.score_panels(named, material.trace)
    if not panels:
        return None
    names = " or ".join(dict.fromkeys(panel.score_name for panel in panels))
    side, perfect = ("right", "1") if panels[0].more_is_surer else ("left", "−1")
    text = (
        "The plan sees no truth: it decides on one number an image, "
        f"{names}. The more that number says about how right the exit is, the "
        "safer it is to stop."
    )
    caption = (
        "One dot a calibration image. Images with a score on the "
        f"{side} of the threshold stop. ρ is the rank correlation of score and per-image mIoU over "
        f"all images: {perfect} would be a perfect judge, 0 a coin."
    )
    drawing = draw_scores(panels, colours)
    return Section("scores", "What the score knows", [text, page.chart(drawing, "scores", caption)])


def _gallery_section(run: Run, walks: list[Walk], missing: str) -> Section:
    if missing:
        return Section(
            "pictures", "Images through the exits", [page.note(f"No pictures: {missing}")]
        )
    spec = run.state.model
    return Section(
        "pictures", "Images through the exits", gallery(walks, spec.names, run.dataset.palette)
    )


def _heads_section(material: Material, colours: Mapping[str, str]) -> Section | None:
    record = records.heads(material)
    if not record.by_point:
        return None
    caption = (
        "Every trained candidate head alone on the calibration images; within a position, work "
        "grows from left to right. Ringed: the heads of the plan. Labelled besides: the most "
        "accurate of each position."
    )
    drawing = page.chart(draw_heads(record, colours), "mIoU of every head", caption)
    return Section("heads", "Candidate heads", [drawing])


def _curves_section(material: Material, colours: Mapping[str, str]) -> Section | None:
    stages = [records.curves(log) for log in material.logs]
    stages = [stage for stage in stages if stage.miou and stage.loss]
    if not stages:
        return None
    caption = (
        "Stage 1 trains the network with one light head at each position, stage 2 all candidate "
        "heads on the frozen network. A line a head, coloured by position; labels stand at the "
        "best of a position."
    )
    drawing = page.chart(draw_curves(stages, colours), "training curves", caption)
    return Section("training", "Training", [drawing])


def _facts(run: Run, material: Material, calib: str) -> list[tuple[str, str]]:
    engine = ", ".join(f"{name} {value}" for name, value in material.costs.engine.items())
    recorded = date.fromtimestamp(run.trace_file.stat().st_mtime).isoformat()
    return [
        ("Network", f"{run.state.model.name}, {run.state.model.classes} classes"),
        ("Input size", f"{format_size(material.trace.size)} pixels"),
        ("Data set", _data_name(run)),
        ("Calibration", f"{len(material.trace.images)} images ({calib}), recorded {recorded}"),
        (
            "Candidates",
            f"{len(material.trace.exits)} exits at {len(material.costs.points)} positions",
        ),
        ("Latency", engine or "not measured"),
        ("Versions", ", ".join(f"{name} {value}" for name, value in _versions().items())),
    ]


def _versions() -> dict[str, str]:
    libraries = ("offramp", "torch", "onnxruntime", "numpy", "matplotlib")
    return {"Python": platform.python_version()} | {n: metadata.version(n) for n in libraries}


def _data_name(run: Run) -> str:
    """Name the data set by its folder; the path before it is nobody's business."""
    file = Path(run.state.data)
    return file.parent.name if file.name == "dataset.yaml" else file.stem
