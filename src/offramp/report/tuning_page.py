"""A study of candidates as one HTML page that refers to nothing outside itself."""

from pathlib import Path

from offramp.core.files import write_text
from offramp.core.model import format_size
from offramp.report import page
from offramp.report.page import Markup, Row, Section
from offramp.report.tuning_figures import FOCUS, below, draw_front, draw_stages
from offramp.report.words import NONE, milliseconds, number, percent, times, work
from offramp.tuning.candidate import CANDIDATES, Candidate, Latency, Study
from offramp.tuning.findings import findings
from offramp.tuning.label import label
from offramp.tuning.recommend import finished, frontier, recommend, sentence

COLUMNS = (
    "candidate", "id", "IoU", "latency", "p5 to p95", "fps", "faster", "parameters", "work",
    "input MB", "forward MB", "state",
)  # fmt: skip


def is_study(folder: Path) -> bool:
    """Tell whether `folder` holds the record of a study."""
    return (folder / CANDIDATES).is_file()


def write_tuning(folder: Path, out: Path | None = None) -> Path:
    """Write the report of a study, finished or not, as one self-contained HTML file.

    Args:
        folder: of the study.
        out: the file; absent: `report/index.html` in the study.

    Returns:
        The file.

    Raises:
        BadInput: the folder holds no study.
        MissingExtra: matplotlib is not installed.
    """
    study = Study.load(folder)
    file = out or folder / "report" / "index.html"
    write_text(file, tuning_page(study))
    return file


def tuning_page(study: Study) -> str:
    """Write the page.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    sections = [_advice_section(study)]
    if finished(study):
        sections += [_front_section(study)]
    sections += [_table_section(study)]
    if len(finished(study)) > 1:
        sections += [_stage_section(study), _finding_section(study)]
    foot = [
        page.title("How to read these figures"),
        page.points(_caveats(study)),
        page.facts(_facts(study)),
    ]
    return page.page(
        f"Tuning {study.model} on {_data_name(study)}",
        "offramp tune",
        [page.lead(_opening(study)), _big_numbers(study)],
        sections,
        page.joined(foot),
    )


def _opening(study: Study) -> str:
    state = "The study is finished" if study.done else "The study is not finished"
    trained = sum(c.kind == "static" and c.finished and bool(c.epochs) for c in study.candidates)
    return (
        f"{state}: {len(study.candidates)} candidates were proposed and {trained} trained to their "
        f"end, for {study.metric} of {100 * study.min_iou:g} % or more in at most "
        f"{study.max_latency_ms:g} ms."
    )


def _big_numbers(study: Study) -> Markup:
    """Show the chosen candidate in four numbers, or how far the study is."""
    chosen = study.chosen
    if chosen is None:
        return page.tiles(
            [
                (number(len(finished(study))), "candidates with IoU and latency", False),
                (number(len(frontier(study.candidates))), "of them on the front", False),
            ]
        )
    ratio = chosen.baseline_latency.median_ms / chosen.latency.median_ms
    name = label(study.candidate(chosen.id), study.candidates[0])
    tested = chosen.test_iou is not None
    return page.tiles(
        [
            (times(ratio), "as fast as the baseline, timed in turn with it", ratio > 1),
            (milliseconds(chosen.latency.median_ms), f"an image, of {name}", chosen.fits),
            (percent(chosen.iou), f"{study.metric} on the images that it was chosen on", False),
            (percent(chosen.test_iou) if chosen.test_iou is not None else NONE,
             "the same on the test images" if tested else "there are no test images", tested),
        ]
    )  # fmt: skip


def _advice_section(study: Study) -> Section:
    parts: list[Markup | str] = []
    chosen = study.chosen
    if chosen is not None and not chosen.fits:
        name = label(study.candidate(chosen.id), study.candidates[0])
        parts.append(
            page.note(f"No candidate keeps both bounds. Closest: {name}, with {chosen.missing}.")
        )
    parts.append(page.points([sentence(pick, study) for pick in recommend(study)]))
    if chosen is not None:
        parts.append(_chosen_table(study))
        if chosen.bundle:
            parts.append(f"The chosen candidate lies ready as a bundle in {chosen.bundle}.")
    return Section("advice", "Recommendation", parts)


def _chosen_table(study: Study) -> Markup:
    chosen = study.chosen
    if chosen is None:
        raise ValueError("nothing was chosen")
    base = study.candidates[0]
    rows = [
        (label(base, base), chosen.baseline_latency, base.iou, chosen.baseline_test_iou),
        (label(study.candidate(chosen.id), base), chosen.latency, chosen.iou, chosen.test_iou),
    ]
    if chosen.id == base.id:
        rows = rows[1:]
    body = [
        Row([name, milliseconds(latency.median_ms), _spread(latency), _share(iou), _share(test)])
        for name, latency, iou, test in rows
    ]
    columns = ("timed again, in turn", "latency", "p5 to p95", "IoU", "IoU on test")
    return page.table(columns, body)


def _front_section(study: Study) -> Section:
    away = below(study)
    caption = (
        "A mark a candidate, coloured by the stage that proposed it. Lines: the most IoU that can "
        "be had at each frame rate. Dotted: the wanted bounds; dashed: 30 fps. Frame rates count "
        "by ratios."
    )
    if away:
        caption += (
            f" Not shown, as they are more than {FOCUS:g} points below the best: "
            + "; ".join(f"{label(c, study.candidates[0])} ({_share(c.iou)})" for c in away)
            + "."
        )
    drawing = page.chart(draw_front(study), "IoU against frame rate", caption)
    return Section("front", "Accuracy against frame rate", [drawing])


def _stage_section(study: Study) -> Section:
    caption = (
        "A panel a stage, in the order of effort. The cross is the baseline, faint dots are all "
        "other candidates. Each panel has its own scale of IoU."
    )
    drawing = page.chart(draw_stages(study), "candidates of each stage", caption)
    return Section("stages", "Stage by stage", [drawing])


def _table_section(study: Study) -> Section:
    best = {candidate.id for candidate in frontier(study.candidates)}
    lines: list[Row] = []
    for stage in dict.fromkeys(candidate.stage for candidate in study.candidates):
        lines.append(Row([stage], "group"))
        lines += [
            _line(candidate, study, candidate.id in best)
            for candidate in study.candidates
            if candidate.stage == stage
        ]
    words = (
        "Bold rows are on the front: no other candidate is at least as fast and at least as "
        f"accurate. IoU is {study.metric}; 'faster' is against the baseline."
    )
    return Section("table", "All candidates", [words, page.table(COLUMNS, lines, wordy=True)])


def _line(candidate: Candidate, study: Study, best: bool) -> Row:
    base = study.candidates[0]
    latency = candidate.latency
    state: str = "front" if best else candidate.status
    if candidate.reason:
        state += f": {candidate.reason}"
    timed = [NONE] * 4
    if latency is not None:
        ratio = base.latency.median_ms / latency.median_ms if base.latency else None
        timed = [milliseconds(latency.median_ms), _spread(latency), f"{latency.fps:.1f}",
                 times(ratio)]  # fmt: skip
    cells = [
        label(candidate, base), candidate.id, _share(candidate.iou), *timed,
        number(candidate.parameters), work(candidate.macs), f"{candidate.input_mb:.2f}",
        f"{candidate.forward_mb:.2f}", state,
    ]  # fmt: skip
    return Row(cells, "strong" if best else "" if candidate.finished else "quiet")


def _finding_section(study: Study) -> Section:
    parts: list[Markup | str] = [
        "What the thesis IOT found on its own images and its Raspberry Pi, and whether exits add "
        "to it, checked on the candidates of this study."
    ]
    for finding in findings(study):
        parts += [page.heading(f"{finding.claim}: {finding.verdict}"), page.points(finding.figures)]
    return Section("findings", "Findings", parts)


def _caveats(study: Study) -> list[str]:
    split = study.candidates[0].iou_split if study.candidates else "val"
    texts = [
        f"IoU is of the {split} split, on which the candidates were compared and the best epoch "
        "was taken: it flatters all of them. Only the test figures of the chosen one are held out.",
        "One training a candidate: differences of a few tenths of a point may be chance.",
        "A candidate that was stopped, or is too slow, has no final IoU and stands on no front.",
    ]
    if any(c.latency is not None and c.latency.predicted for c in study.candidates):
        texts.append(
            "Latencies of points with exits are means over images of what measured pieces sum up "
            "to; the others were timed whole."
        )
    return [*texts, *study.notes]


def _facts(study: Study) -> list[tuple[str, str]]:
    place = "target device" if study.remote else "this study's machine"
    engine = ", ".join(f"{name} {value}" for name, value in study.engine.items())
    return [
        ("Network", f"{study.model}, {len(study.names)} classes"),
        ("Native size", f"{format_size(study.size)} pixels"),
        ("Data set", _data_name(study)),
        ("Level", f"{study.level}: {', '.join(study.stages)}"),
        ("Time", f"{study.spent_s / 60:.0f} of {study.budget_s / 60:.0f} minutes"),
        (f"Latency ({place})", engine or "conditions not recorded"),
    ]


def _spread(latency: Latency) -> str:
    if latency.predicted:
        return "predicted"
    return f"{latency.p5_ms:.2f} to {latency.p95_ms:.2f}"


def _share(iou: float | None) -> str:
    return NONE if iou is None else percent(iou)


def _data_name(study: Study) -> str:
    file = Path(study.data)
    return file.parent.name if file.name == "dataset.yaml" else file.stem
