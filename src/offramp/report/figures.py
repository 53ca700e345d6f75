"""Draw the records: each function takes one record and returns SVG text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from offramp.report.records import Curves, Frontier, Heads, ScorePanel, ShareBar
from offramp.report.style import (
    ACCENT,
    INK,
    MUTED,
    SETTING,
    canvas,
    label_spots,
    svg,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Colours = Mapping[str, str]
MEGA = 1e6


def draw_frontier(record: Frontier, colours: Colours) -> str:
    """Draw mIoU against work: exits alone faint, frontiers as lines, plans as marks."""
    with canvas(10, 5) as (figure, axes):
        for point, spots in record.singles.items():
            axes.scatter(
                [s.macs / MEGA for s in spots],
                [100 * s.miou for s in spots],
                s=34, color=colours[point], alpha=0.5, linewidths=0, label=f"exits at {point}",
            )  # fmt: skip
        for setting, line in record.lines.items():
            x, y = [s.macs / MEGA for s in line], [100 * s.miou for s in line]
            axes.step(x, y, where="post", color=SETTING[setting][0], lw=1.8, alpha=0.75,
                      label=f"frontier, {setting}")  # fmt: skip
        labels = []
        for plan in record.plans:
            colour, marker = SETTING[plan.setting]
            x, y = [s.macs / MEGA for s in plan.answers], [100 * s.miou for s in plan.answers]
            axes.plot(x, y, marker=marker, ms=9, color=colour, mec="white", mew=1.2, ls=":", lw=1.5,
                      zorder=4)  # fmt: skip
            labels.append((x[0], y[0], plan.name, colour))
        x0, y0 = record.full.macs / MEGA, 100 * record.full.miou
        axes.plot([x0], [y0], marker="X", ms=11, color=INK, mec="white", mew=1, ls="", zorder=5)
        axes.axhline(y0, color=MUTED, lw=0.8, ls=(0, (4, 4)), zorder=1)
        axes.set(xlabel="work an image (million multiply-accumulates)", ylabel="dataset mIoU (%)")
        axes.set_xlim(0, 1.05 * max(x0, axes.dataLim.x1))
        axes.margins(y=0.1)
        tidy(axes)
        axes.legend(loc="lower right", frameon=False, fontsize=9.5, labelcolor=INK)
        dots = [(s.macs / MEGA, 100 * s.miou) for spots in record.singles.values() for s in spots]
        label_spots(axes, [(x0, y0, record.full.name, INK), *labels], dots)
        return svg(figure)


def draw_shares(bars: Sequence[ShareBar], colours: Colours) -> str:
    """Draw which share of the images takes which exit, a bar a plan."""
    with canvas(10, 0.7 + 0.52 * len(bars)) as (figure, axes):
        for row, bar in enumerate(bars):
            left = 0.0
            for point, share in bar.shares.items():
                axes.barh(row, 100 * share, left=left, height=0.66, color=colours[point],
                          edgecolor="white", linewidth=1.5)  # fmt: skip
                if share >= 0.05:
                    text = f"{point} {100 * share:.0f} %" if share >= 0.14 else f"{100 * share:.0f}"
                    axes.text(left + 50 * share, row, text, ha="center", va="center",
                              color="white", fontsize=10, fontweight="bold")  # fmt: skip
                left += 100 * share
        axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
        axes.invert_yaxis()
        axes.set(xlim=(0, 100), xlabel="share of the images that stop there (%)")
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=11)
        for side in ("left", "top", "right"):
            axes.spines[side].set_visible(False)
        return svg(figure)


def draw_scores(panels: Sequence[ScorePanel], colours: Colours) -> str:
    """Draw each image's score against how right the exit was, one panel an exit."""
    columns = min(len(panels), 3)
    lines = -(-len(panels) // columns)
    with canvas(10, 3.9 * lines, nrows=lines, ncols=columns, squeeze=False, sharey=True) as (
        figure,
        grid,
    ):
        for axes, panel in zip(grid.flat, panels, strict=False):
            _score_panel(axes, panel, colours[panel.point])
            axes.set_xlabel(f"score: {panel.score_name}")
        for axes in grid[:, 0]:
            axes.set_ylabel("mIoU of the image at this exit (%)")
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        return svg(figure)


def draw_heads(record: Heads, colours: Colours) -> str:
    """Draw the mIoU of every candidate head by position, lightest on the left."""
    with canvas(10, 4.2) as (figure, axes):
        axes.axhline(100 * record.own, color=INK, lw=1.3, ls=(0, (5, 3)))
        points = list(record.by_point)
        labels, marks = [], []
        for place, (point, dots) in enumerate(record.by_point.items()):
            x = place + np.linspace(-0.3, 0.3, len(dots)) if len(dots) > 1 else [float(place)]
            best = max(dots, key=lambda dot: dot.miou)
            for at, dot in zip(x, dots, strict=True):
                marks.append((float(at), 100 * dot.miou))
                ring = INK if dot.chosen else "white"
                axes.plot([at], [100 * dot.miou], marker="o", ms=11 if dot.chosen else 8, ls="",
                          color=colours[point], mec=ring, mew=2 if dot.chosen else 0.8)  # fmt: skip
                if dot.chosen or dot is best:
                    labels.append((at, 100 * dot.miou, dot.head, colours[point]))
        axes.set_xticks(range(len(points)), points)
        axes.tick_params(axis="x", length=0, labelcolor=INK, labelsize=11)
        axes.set(xlim=(-0.5, len(points) - 0.5), ylabel="dataset mIoU (%)")
        axes.margins(y=0.12)
        tidy(axes, grid="y")
        axes.annotate("network's own end", (-0.48, 100 * record.own), (0, 3), va="bottom",
                      textcoords="offset points", fontsize=10, fontweight="bold")  # fmt: skip
        label_spots(axes, labels, marks)
        return svg(figure)


def draw_curves(stages: Sequence[Curves], colours: Colours) -> str:
    """Draw validation mIoU above training loss, a column a stage."""
    with canvas(10, 5.4, nrows=2, ncols=len(stages), squeeze=False, sharex="col",
                height_ratios=(3, 2)) as (figure, grid):  # fmt: skip
        for column, stage in enumerate(stages):
            upper, lower = grid[0, column], grid[1, column]
            _miou_curves(upper, stage, colours)
            mark = "o" if len(stage.loss) < 15 else ""
            lower.plot(list(stage.loss), list(stage.loss.values()), color=MUTED, lw=1.6,
                       marker=mark, ms=4)  # fmt: skip
            upper.set_title(f"{stage.stage[:5]} {stage.stage[5:]}")
            lower.set(xlabel="epoch", ylabel="training loss" if column == 0 else "")
            lower.xaxis.get_major_locator().set_params(integer=True)
            for axes in (upper, lower):
                tidy(axes)
        grid[0, 0].set_ylabel("validation mIoU (%)")
        return svg(figure)


def _score_panel(axes: "Axes", panel: ScorePanel, colour: str) -> None:
    stops = panel.score >= panel.threshold
    if not panel.more_is_surer:
        stops = panel.score <= panel.threshold
    groups = (
        (~panel.reached, "#cbd5e1", "stopped before"),
        (panel.reached & stops, colour, "stops here"),
        (panel.reached & ~stops, "white", "goes on"),
    )
    for chosen, fill, name in groups:
        if chosen.any():
            edge = colour if fill == "white" else "none"
            label = f"{name} {int(chosen.sum())}"
            axes.scatter(panel.score[chosen], 100 * panel.miou[chosen], s=24, c=fill, alpha=0.75,
                         edgecolors=edge, linewidths=1.1, label=label)  # fmt: skip
    axes.axvline(panel.threshold, color=ACCENT, lw=1.6)
    axes.annotate(f"threshold {panel.threshold:.3f}", (panel.threshold, 1), (5, -4),
                  xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
                  color=ACCENT, fontsize=10, fontweight="bold")  # fmt: skip
    known = "" if np.isnan(panel.correlation) else f"   ρ = {panel.correlation:.2f}"
    axes.set_title(f"{panel.name}{known}", fontsize=11, pad=24)
    axes.margins(y=0.12)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.985), ncols=3, frameon=False,
                fontsize=9.5, handletextpad=0.1, columnspacing=1.0, labelcolor=INK)  # fmt: skip
    tidy(axes)


def _miou_curves(axes: "Axes", stage: Curves, colours: Colours) -> None:
    """Draw a faint line a head, and label the best of each position at its end."""
    best: dict[str, tuple[float, int]] = {}
    mark = "o" if all(len(values) < 15 for values in stage.miou.values()) else ""
    for name, values in stage.miou.items():
        point = name.partition("/")[0]
        epoch = max(values)
        axes.plot(list(values), [100 * v for v in values.values()], color=colours.get(point, MUTED),
                  lw=1.4, alpha=0.7, marker=mark, ms=4)  # fmt: skip
        best[point] = max(best.get(point, (-1.0, epoch)), (100 * values[epoch], epoch))
    top, bottom = axes.get_ylim()[1], axes.get_ylim()[0]
    gap, last = 0.085 * (top - bottom), -np.inf
    for point, (value, epoch) in sorted(best.items(), key=lambda item: item[1]):
        last = max(value, last + gap)  # labels keep their distance
        axes.annotate(point, (epoch, last), (7, 0), textcoords="offset points", va="center",
                      color=colours.get(point, MUTED), fontsize=9.5, fontweight="bold",
                      annotation_clip=False)  # fmt: skip
