"""Draw a comparison of strategies: each function returns SVG text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from offramp.report.compare_records import ExitScores, Family, StrategyScores, spent
from offramp.report.style import ACCENT, INK, MUTED, canvas, label_spots, svg, tidy
from offramp.search.compare import DATASET, PER_IMAGE, Comparison, Row
from offramp.search.problem import CostKind
from offramp.search.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAMILY = {
    "confidence threshold": ("#332288", "o"),
    "entropy threshold": ("#cc6677", "s"),
    "agreement threshold": ("#5aa9d6", "^"),
    "range of scores": ("#117733", "D"),
    "per-class thresholds": ("#b8a02e", "v"),
    "auxiliary network": ("#882255", "P"),
    "learned table (RL)": ("#44aa99", "p"),
    "solved table": ("#aa4499", "h"),
}
"""Colour and marker of a family: Paul Tol's muted palette, the light ones darkened."""

BEHIND = "#cbd5e1"
Colours = Mapping[str, str]
AXES = {"macs": (1e6, "work an image (million multiply-accumulates)"),
        "latency": (1.0, "latency (ms)")}  # fmt: skip


def draw_planes(comparison: Comparison, families: Sequence[Family], cost: CostKind) -> str:
    """Draw both kinds of mIoU against cost: what each strategy does, and what bounds it."""
    held = comparison.held_out
    with canvas(10, 5.6, ncols=2) as (figure, pair):
        panels = ((pair[0], "miou", DATASET), (pair[1], "miou_per_image", PER_IMAGE))
        for axes, measure, bound in panels:
            (line,) = (row for row in comparison.rows if row.policy == bound)
            x, y = _line(line.frontier, cost, measure)
            axes.step(x, y, where="post", color=INK, lw=1.5, ls=(0, (4, 2)),
                      label="best in hindsight")  # fmt: skip
            _fixed(axes, comparison, cost, measure)
            marks = [spot for family in families for spot in _dots(axes, family, cost, measure)]
            full = _spot(comparison.rows[0].held_out, cost, measure)
            wanted = 100 * comparison.wanted[1] if measure == "miou" else full[1]
            _frame(axes, [*marks, full, (full[0], wanted)])
            inside = [spot for spot in zip(x, y, strict=True) if _within(axes, spot)]
            named = [name for name in _names(comparison, cost, measure) if _within(axes, name[:2])]
            label_spots(axes, named, [*marks, *inside])
            axes.set_xlabel(AXES[cost][1])
            tidy(axes)
        pair[0].axhline(100 * comparison.wanted[1], color=ACCENT, lw=1.1, ls=":")
        pair[0].annotate("wanted", (0, 100 * comparison.wanted[1]), (3, 2), ha="left",
                         xycoords=("axes fraction", "data"), textcoords="offset points",
                         color=ACCENT, fontsize=9.5, fontweight="bold")  # fmt: skip
        images = len(held.trace.images)
        pair[0].set_title(f"dataset mIoU (%) of {images} images")
        pair[1].set_title("mean of per-image mIoU (%)")
        handles, names = pair[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False,
                      fontsize=9.5, labelcolor=INK)  # fmt: skip
        return svg(figure)


def draw_families(comparison: Comparison, families: Sequence[Family], cost: CostKind) -> str:
    """Draw how far each family gets at every cost, a panel a family, all others faint behind."""
    columns = min(len(families), 4)
    lines = -(-len(families) // columns)
    (bound,) = (row for row in comparison.rows if row.policy == DATASET)
    with canvas(10, 0.5 + 2.6 * lines, nrows=lines, ncols=columns, squeeze=False, sharex=True,
                sharey=True) as (figure, grid):  # fmt: skip
        for axes, family in zip(grid.flat, families, strict=False):
            for row in comparison.strategies:
                axes.step(*_line(row.frontier, cost, "miou"), where="post", color=BEHIND, lw=0.7)
            axes.step(*_line(bound.frontier, cost, "miou"), where="post", color=INK, lw=1.2,
                      ls=(0, (4, 2)))  # fmt: skip
            colour, marker = FAMILY[family.name]
            for row in family.rows:
                axes.step(*_line(row.frontier, cost, "miou"), where="post", color=colour,
                          lw=1.8 if row is family.best else 0.9, alpha=0.9)  # fmt: skip
            x, y = _spot(family.best.held_out, cost, "miou")
            axes.plot([x], [y], marker=marker, ms=9, color=colour, mec="white", mew=1.2, zorder=4)
            axes.set_title(family.name, color=colour, fontsize=11)
            tidy(axes)
        for axes in list(grid.flat)[len(families) :]:
            axes.set_visible(False)
        figure.supxlabel(AXES[cost][1], fontsize=11, color=MUTED)
        figure.supylabel("dataset mIoU (%)", fontsize=11, color=MUTED)
        return svg(figure)


def draw_exits(rows: Sequence[Row], colours: Colours) -> str:
    """Draw which share of the held-out images takes which exit, a bar a strategy."""
    with canvas(10, 1.1 + 0.3 * len(rows)) as (figure, axes):
        for place, row in enumerate(rows):
            left = 0.0
            for point, share in zip(row.points, row.held_out.shares, strict=True):
                axes.barh(place, 100 * share, left=left, height=0.74, color=colours[point],
                          edgecolor="white", linewidth=1,
                          label=point if place == 0 else None)  # fmt: skip
                if share >= 0.045:
                    axes.text(left + 50 * share, place, f"{100 * share:.0f}", color="white",
                              ha="center", va="center", fontsize=9, fontweight="bold")  # fmt: skip
                left += 100 * share
        axes.set_yticks(range(len(rows)), [row.policy for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set(xlim=(0, 100), xlabel="share of the held-out images that stop there (%)")
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=9.5)
        for side in ("left", "top", "right"):
            axes.spines[side].set_visible(False)
        figure.legend(loc="outside upper center", ncols=len(rows[0].points), frameon=False,
                      fontsize=10, labelcolor=INK)  # fmt: skip
        return svg(figure)


def draw_scores(record: StrategyScores, colours: Colours) -> str:
    """Draw a strategy's score at each exit: how often it occurs, and how right the exit then was.

    Shaded bands are the scores at which the exit stops an image.
    """
    columns = len(record.exits)
    with canvas(10, 4.9, nrows=2, ncols=columns, squeeze=False, sharex=True, sharey="row",
                height_ratios=(2, 3)) as (figure, grid):  # fmt: skip
        known = np.concatenate([exit.score[np.isfinite(exit.score)] for exit in record.exits])
        bins = np.histogram_bin_edges(known, bins=24)
        pad = 0.03 * float(bins[-1] - bins[0])
        for column, exit in enumerate(record.exits):
            upper, lower = grid[0, column], grid[1, column]
            upper.set_xlim(bins[0] - pad, bins[-1] + pad)
            _histogram(upper, exit, bins, colours[exit.point])
            _scatter(lower, exit, colours[exit.point])
            for axes in (upper, lower):
                _bands(axes, exit)
                tidy(axes)
            lower.set_xlabel(record.score, fontsize=10)
        grid[0, 0].set_ylabel("images")
        grid[1, 0].set_ylabel("mIoU of the image (%)")
        return svg(figure)


def _line(
    tallies: Sequence[Tally], cost: CostKind, measure: str
) -> tuple[list[float], list[float]]:
    """List cost and mIoU of what none of the tallies beats, cheapest first."""
    spots = sorted(_spot(tally, cost, measure) for tally in tallies)
    kept: list[tuple[float, float]] = []
    for x, y in spots:
        if not kept or y > kept[-1][1]:
            kept.append((x, y))
    return [x for x, _ in kept], [y for _, y in kept]


def _spot(tally: Tally, cost: CostKind, measure: str) -> tuple[float, float]:
    return spent(tally, cost) / AXES[cost][0], 100 * float(getattr(tally, measure))


def _frame(axes: "Axes", spots: Sequence[tuple[float, float]]) -> None:
    """Show what lies around the spots: exits that are far cheaper and worse stay outside."""
    x, y = np.array(spots).T
    wide, high = max(np.ptp(x), 0.02 * x.max()), max(np.ptp(y), 0.5)
    axes.set_xlim(x.min() - 0.35 * wide, x.max() + 0.15 * wide)
    axes.set_ylim(y.min() - 0.2 * high, y.max() + 0.35 * high)


def _within(axes: "Axes", spot: tuple[float, float]) -> bool:
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return bool(left <= spot[0] <= right and low <= spot[1] <= high)


def _fixed(axes: "Axes", comparison: Comparison, cost: CostKind, measure: str) -> None:
    rows = [row for row in comparison.rows if row.kind == "fixed"]
    spots = [_spot(row.held_out, cost, measure) for row in rows]
    axes.plot(*zip(*spots, strict=True), marker="X", ms=10, color=MUTED, mec="white", mew=1,
              ls="", zorder=3, label="always one exit")  # fmt: skip


def _dots(axes: "Axes", family: Family, cost: CostKind, measure: str) -> list[tuple[float, float]]:
    colour, marker = FAMILY[family.name]
    spots = [_spot(row.held_out, cost, measure) for row in family.rows]
    axes.plot(*zip(*spots, strict=True), marker=marker, ms=5.5, color=colour, mec="white", mew=0.6,
              ls="", zorder=4, alpha=0.75)  # fmt: skip
    best = _spot(family.best.held_out, cost, measure)
    axes.plot(*best, marker=marker, ms=10, color=colour, mec="white", mew=1.2, ls="", zorder=5,
              label=family.name)  # fmt: skip
    return spots


def _names(
    comparison: Comparison, cost: CostKind, measure: str
) -> list[tuple[float, float, str, str]]:
    """Label the exits that are always taken by their position."""
    return [
        (*_spot(row.held_out, cost, measure), row.policy if place == 0 else row.points[0], MUTED)
        for place, row in enumerate(row for row in comparison.rows if row.kind == "fixed")
    ]


def _histogram(axes: "Axes", exit: ExitScores, bins: np.ndarray, colour: str) -> None:
    axes.hist(exit.score[np.isfinite(exit.score)], bins=list(bins), color=BEHIND)
    axes.hist(exit.score[exit.reached & np.isfinite(exit.score)], bins=list(bins), color=colour)
    axes.set_title(exit.name, fontsize=11)


def _scatter(axes: "Axes", exit: ExitScores, colour: str) -> None:
    for chosen, fill in ((~exit.reached, BEHIND), (exit.reached, colour)):
        axes.scatter(exit.score[chosen], 100 * exit.miou[chosen], s=16, c=fill, alpha=0.8,
                     linewidths=0)  # fmt: skip
    known = "" if np.isnan(exit.correlation) else f"ρ = {exit.correlation:.2f}"
    axes.set_title(known, fontsize=10, fontweight="normal", color=MUTED, pad=3)


def _bands(axes: "Axes", exit: ExitScores) -> None:
    """Shade where the exit stops images, and draw the thresholds."""
    left, right = axes.get_xlim()
    for low, high in exit.stops:
        shown = max(low, left), min(high, right)
        if shown[0] < shown[1]:
            axes.axvspan(*shown, color=ACCENT, alpha=0.12, lw=0, zorder=0)
        for end in (low, high):
            if left < end < right:
                axes.axvline(end, color=ACCENT, lw=1.4)
