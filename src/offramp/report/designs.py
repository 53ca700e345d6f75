"""Draw chosen designs along the backbone, a row a plan (MESS figure 6).

The bar is the backbone, each segment as wide as its share of the full network's work and as
dark as the share of images that run it. Under it hang the heads that were chosen, layer by layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offramp.core.costs import Costs
from offramp.core.head import OWN, HeadSpec
from offramp.core.plan import Plan, Setting
from offramp.report.style import FAINT, INK, MUTED, SETTING, canvas, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

WIDTH, BOX, GAP = 10.0, 1.4, 0.12
"""Inches: the figure, a head's box, and the least space between two."""

LAYER, BAR = 0.27, 0.4
"""Inches: the height of a layer's box, and of the backbone's bar."""


@dataclass(frozen=True)
class DrawnExit:
    """One exit of a design.

    Attributes:
        point: the position where it sits.
        place: the backbone's work up to it, as a share of the full network's.
        layers: what its head is made of, from the features to the answer.
        work: the head's work as a share of the full network's.
        score: what decides here.
        rule: at which scores an image stops; empty where none decides.
        share: of the images that stop here.
    """

    point: str
    place: float
    layers: tuple[str, ...]
    work: float
    score: str
    rule: str
    share: float


@dataclass(frozen=True)
class DrawnDesign:
    """One row of the figure.

    Attributes:
        name: of the plan.
        setting: how it runs.
        segments: of the backbone: the position that ends it, its share of the full network's
            work, and the share of images that run it.
        exits: in the order of the path.
        macs: mean work an image, as a share of the full network's.
        miou: dataset mIoU, from 0 to 1.
    """

    name: str
    setting: Setting
    segments: tuple[tuple[str, float, float], ...]
    exits: tuple[DrawnExit, ...]
    macs: float
    miou: float


def drawn_design(name: str, plan: Plan, costs: Costs) -> DrawnDesign:
    """Work out what a plan looks like.

    Raises:
        BadInput: the cost table lacks an exit of the plan.
    """
    total = costs.of([(costs.points[-1], OWN)]).macs
    exits = tuple(
        DrawnExit(
            point=e.point,
            place=costs.segment_path(e.point).macs / total,
            layers=head_layers(e.head),
            work=(costs.of([(e.point, e.head)]).macs - costs.segment_path(e.point).macs) / total,
            score=", ".join(plan.deciding_scores(e)),
            rule="" if e.rule is None else str(e.rule),
            share=e.share,
        )
        for e in plan.exits
    )
    segments = []
    for index, (point, cost) in enumerate(zip(costs.points, costs.segments, strict=True)):
        beyond = [e for e in plan.exits if costs.points.index(e.point) >= index]
        runs = sum(e.share for e in beyond) if plan.setting == "input-dependent" else 1.0
        segments.append((point, cost.macs / total, runs if beyond else 0.0))
    done = plan.expected
    return DrawnDesign(
        name, plan.setting, tuple(segments), exits, done.macs / plan.full.macs, done.miou
    )


def head_layers(head: str) -> tuple[str, ...]:
    """List the layers of a head in a few letters each (MESS eq. 1), from features to answer."""
    if head == OWN:
        return ("network's own",)
    spec = HeadSpec.parse(head)
    reduce = (f"1×1, channels ÷{spec.reduction}",) if spec.reduction > 1 else ()
    dilated = [f", dilation {2 ** (i + 1)}" if spec.rapid else "" for i in range(spec.blocks)]
    last = {"fcn": "FCN head", "dlb": "DeepLabV3 head", "fc": "fully connected"}[spec.kind]
    return (*reduce, *(f"3×3{text}" for text in dilated), last)


def draw_designs(designs: Sequence[DrawnDesign], colours: Mapping[str, str]) -> str:
    """Draw each design along the backbone.

    Args:
        designs: at least one.
        colours: of each position, see `point_colours`.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    heights = [1.45 + LAYER * max(len(e.layers) for e in d.exits) for d in designs]
    with canvas(WIDTH, sum(heights), nrows=len(designs), squeeze=False,
                height_ratios=heights) as (figure, grid):  # fmt: skip
        for axes, design, height in zip(grid[:, 0], designs, heights, strict=True):
            axes.set(xlim=(0, WIDTH), ylim=(height, 0))
            axes.set_axis_off()
            _head_line(axes, design)
            _backbone(axes, design)
            for exit, left in zip(design.exits, box_places(design), strict=True):
                _exit(axes, exit, left, colours[exit.point])
        return svg(figure)


def box_places(design: DrawnDesign) -> list[float]:
    """Place the heads' boxes: each under its exit, or as near as boxes do not overlap.

    Returns:
        The left edge of each box in inches, within the figure.
    """
    places: list[float] = []
    for exit in design.exits:
        wanted = exit.place * WIDTH - BOX / 2
        places.append(max(wanted, places[-1] + BOX + GAP if places else 0.0))
    limit = WIDTH - BOX
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - BOX - GAP
    return places


def _head_line(axes: "Axes", design: DrawnDesign) -> None:
    colour = SETTING[design.setting][0]
    named = "" if design.name == design.setting else f"   {design.setting}"
    axes.text(0, 0.2, design.name, color=colour, fontsize=12.5, fontweight="bold", va="center")
    axes.text(WIDTH, 0.2, f"{named}   {100 * design.miou:.2f} % mIoU   {100 * design.macs:.1f} % "
              "of the full network's work", color=MUTED, fontsize=10.5, ha="right",
              va="center")  # fmt: skip


def _backbone(axes: "Axes", design: DrawnDesign) -> None:
    """Draw the segments; what no image runs stays white."""
    left = 0.0
    for point, share, runs in design.segments:
        wide = share * WIDTH
        axes.add_patch(_box((left, 0.42), wide, BAR, "white", MUTED, 0.8, zorder=1))
        axes.add_patch(_box((left, 0.42), wide, BAR, INK, "none", 0, 0.08 + 0.5 * runs
                            if runs else 0, zorder=2))  # fmt: skip
        text = f"{point}\n{100 * share:.0f} %"
        if wide > 0.09 * len(point) + 0.08:
            light = "white" if runs > 0.5 else INK if runs else MUTED
            axes.text(left + wide / 2, 0.42 + BAR / 2, text, ha="center", va="center",
                      fontsize=8.5, color=light, linespacing=1.1, zorder=3)  # fmt: skip
        left += wide


def _exit(axes: "Axes", exit: DrawnExit, left: float, colour: str) -> None:
    """Draw an exit's mark at its place, its head as stacked boxes, and what it decides."""
    at, bar, top = exit.place * WIDTH, 0.42 + BAR, 1.06
    middle = left + BOX / 2
    axes.plot([at, at, middle, middle], [bar, bar + 0.06, top - 0.1, top], color=colour, lw=1.6,
              solid_joinstyle="round", zorder=4)  # fmt: skip
    axes.plot([at], [bar], marker="o", ms=6, color=colour, mec="white", mew=1, zorder=5)
    for row, layer in enumerate(exit.layers):
        last = row == len(exit.layers) - 1
        axes.add_patch(
            _box((left, top + row * LAYER), BOX, LAYER, colour if last else FAINT, "white", 1.2)
        )
        axes.text(middle, top + (row + 0.5) * LAYER, layer, ha="center", va="center",
                  fontsize=8.5, color="white" if last else INK,
                  fontweight="bold" if last else "normal")  # fmt: skip
    below = top + len(exit.layers) * LAYER + 0.06
    words = [f"head {100 * exit.work:.1f} % of the work"]
    words += [exit.score] if exit.rule else []
    stop = f"{100 * exit.share:.0f} % stop" if exit.rule or 0 < exit.share < 1 else ""
    words += [", ".join(part for part in (exit.rule, stop) if part)]
    axes.text(middle, below, "\n".join(words), ha="center", va="top", fontsize=8.2, color=MUTED,
              linespacing=1.25)  # fmt: skip


def _box(corner: tuple[float, float], wide: float, high: float, fill: str, edge: str,
         line: float, alpha: float = 1.0, zorder: float = 3) -> "Rectangle":  # fmt: skip
    from matplotlib.patches import Rectangle

    return Rectangle(corner, wide, high, facecolor=fill, edgecolor=edge, linewidth=line,
                     alpha=alpha, zorder=zorder)  # fmt: skip
