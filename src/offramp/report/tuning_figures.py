"""Draw a study: the front of IoU against frame rate, and what each stage adds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from offramp.core.model import format_size
from offramp.report.style import ACCENT, INK, MUTED, canvas, label_spots, svg, tidy
from offramp.tuning.candidate import Candidate, Stage, Study
from offramp.tuning.label import BASELINE
from offramp.tuning.recommend import REAL_TIME_FPS, finished, frontier, point, recommend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGE: dict[Stage, tuple[str, str]] = {
    "baseline": (INK, "X"),
    "resolution-untrained": ("#94a3b8", "v"),
    "resolution": ("#332288", "o"),
    "luma": ("#b8a02e", "s"),
    "width": ("#cc6677", "^"),
    "expansion": ("#5aa9d6", "<"),
    "repetition": ("#117733", ">"),
    "pyramid": ("#882255", "p"),
    "combination": ("#aa4499", "h"),
    "exits": (ACCENT, "D"),
}
"""Colour and marker of a stage: Paul Tol's muted palette, the light ones darkened."""

BEHIND = "#cbd5e1"
FOCUS = 20.0
"""Points of IoU below the best that the front's figure shows."""

MIXED: tuple[Stage, ...] = ("combination", "exits")
"""Stages whose candidates differ in several things: no line joins them."""

MOST_NAMED = 12
"""A panel with more candidates than these names none of them."""

Spot = tuple[float, float]


def spot(candidate: Candidate) -> Spot:
    """Give frame rate, and IoU in percent, of a finished candidate."""
    latency, iou = point(candidate)
    return 1000 / latency, 100 * iou


def stages_of(study: Study) -> list[Stage]:
    """List the stages that finished any candidate, in the order of effort."""
    present = {candidate.stage for candidate in finished(study)}
    return [stage for stage in STAGE if stage in present]


def draw_front(study: Study) -> str:
    """Draw IoU against frame rate: all candidates, the fronts, the bounds and the picks.

    Candidates far below the best, such as lower resolutions without retraining, stay outside;
    `below` lists them.
    """
    known = finished(study)
    static = [candidate for candidate in known if candidate.kind == "static"]
    with canvas(10, 5.6) as (figure, axes):
        _scale(axes)
        for stage in stages_of(study):
            colour, marker = STAGE[stage]
            spots = [spot(candidate) for candidate in known if candidate.stage == stage]
            first = stage == "baseline"
            axes.plot(*zip(*spots, strict=True), ls="", marker=marker, ms=11 if first else 8,
                      color=colour, mec="white", mew=0.8, label=stage,
                      zorder=5 if first else 4)  # fmt: skip
        _line(axes, frontier(static), color=MUTED, lw=1.6, label="static front")
        if len(static) < len(known):
            _line(axes, frontier(known), color=ACCENT, lw=1.6, ls=(0, (4, 2)), label="with exits")
        _bounds(axes, study)
        shown = [spot(c) for c in known if spot(c)[1] >= _floor(study)]
        _frame(axes, [*shown, (1000 / study.max_latency_ms, 100 * study.min_iou)])
        label_spots(axes, _names(study), shown)
        axes.set(xlabel="frame rate (fps)", ylabel=f"{study.metric} (%)")
        tidy(axes)
        figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9.5,
                      labelcolor=INK)  # fmt: skip
        return svg(figure)


def draw_stages(study: Study) -> str:
    """Draw a panel a stage: its candidates named, all others faint behind, the baseline marked."""
    stages = [stage for stage in stages_of(study) if stage != "baseline"]
    columns = max(1, min(len(stages), 2))
    lines = max(1, -(-len(stages) // columns))
    with canvas(10, 0.6 + 2.6 * lines, nrows=lines, ncols=columns, squeeze=False, sharex=True) as (
        figure,
        grid,
    ):
        _scale(grid[0, 0])
        for axes, stage in zip(grid.flat, stages, strict=False):
            _panel(axes, study, stage)
        for axes in list(grid.flat)[len(stages) :]:
            axes.set_visible(False)
        figure.supxlabel("frame rate (fps)", fontsize=11, color=MUTED)
        figure.supylabel(f"{study.metric} (%)", fontsize=11, color=MUTED)
        return svg(figure)


def below(study: Study) -> list[Candidate]:
    """List the candidates that `draw_front` leaves out."""
    return [candidate for candidate in finished(study) if spot(candidate)[1] < _floor(study)]


def _panel(axes: "Axes", study: Study, stage: Stage) -> None:
    known, base = finished(study), study.candidates[0]
    here = [candidate for candidate in known if candidate.stage == stage]
    own = [spot(candidate) for candidate in here]
    start = [spot(base)] if base.finished else []
    behind = [spot(candidate) for candidate in known]
    colour, marker = STAGE[stage]
    axes.plot(*zip(*behind, strict=True), ls="", marker="o", ms=4.5, color=BEHIND)
    axes.plot(*zip(*sorted(own), strict=True), ls="" if stage in MIXED else "-", color=colour, lw=1,
              marker=marker, ms=7.5, mec="white", mew=0.8)  # fmt: skip
    for x, y in start:
        axes.plot([x], [y], marker="X", ms=9, color=INK, mec="white", mew=0.8)
    _frame(axes, [*own, *start], [x for x, _ in behind])
    axes.set_title(stage, color=colour, fontsize=11)
    tidy(axes)
    if stage not in MIXED and len(here) <= MOST_NAMED:
        label_spots(axes, [(*spot(c), _short(c), colour) for c in here], start)


def _short(candidate: Candidate) -> str:
    """Name a candidate within its stage, where one thing differs."""
    if candidate.stage in candidate.knobs:
        value = candidate.knobs[candidate.stage]
        return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}"
    return format_size(candidate.size)


def _floor(study: Study) -> float:
    """Give the IoU in percent below which a candidate is too far from the best to be drawn."""
    return max((spot(candidate)[1] for candidate in finished(study)), default=0.0) - FOCUS


def _scale(axes: "Axes") -> None:
    """Count frame rates by ratios, and write them as plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _line(axes: "Axes", candidates: Sequence[Candidate], **look: Any) -> None:
    """Draw what can be had at each frame rate: as much IoU as the next faster one has."""
    if candidates:
        spots = sorted(spot(candidate) for candidate in candidates)
        axes.step(*zip(*spots, strict=True), where="pre", zorder=3, alpha=0.85, **look)


def _bounds(axes: "Axes", study: Study) -> None:
    """Draw what is wanted, and IOT's real time."""
    fps, iou = 1000 / study.max_latency_ms, 100 * study.min_iou
    axes.axhline(iou, color=MUTED, lw=1, ls=":")
    axes.axvline(fps, color=MUTED, lw=1, ls=":")
    axes.axvline(REAL_TIME_FPS, color=BEHIND, lw=1, ls="--", zorder=1)
    axes.annotate(f"wanted: {iou:g} %", (0, iou), (4, 3), color=MUTED, fontsize=9.5,
                  xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
    axes.annotate(f"wanted: {study.max_latency_ms:g} ms", (fps, 0), (3, 4), color=MUTED,
                  fontsize=9.5, xycoords=("data", "axes fraction"),
                  textcoords="offset points")  # fmt: skip


def _names(study: Study) -> list[tuple[float, float, str, str]]:
    """Label the baseline and the picks, each once, with all that they are picked for."""
    base = study.candidates[0]
    named = {base.id: (base, [BASELINE])} if base.finished else {}
    for pick in recommend(study):
        if pick.candidate is not None:
            named.setdefault(pick.candidate.id, (pick.candidate, []))[1].append(pick.name)
    return [
        (*spot(candidate), " = ".join(names), STAGE[candidate.stage][0])
        for candidate, names in named.values()
        if spot(candidate)[1] >= _floor(study)
    ]


def _frame(axes: "Axes", spots: Sequence[Spot], rates: Sequence[float] = ()) -> None:
    """Show what lies around the spots, and at least the frame rates `rates`."""
    x = [*(rate for rate, _ in spots), *rates]
    y = [iou for _, iou in spots]
    high = max(max(y) - min(y), 1.0)
    axes.set_xlim(min(x) / 1.25, max(x) * 1.35)
    axes.set_ylim(min(y) - 0.12 * high, max(y) + 0.15 * high)
