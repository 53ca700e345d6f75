"""A front as one HTML page: the interactive plot, why this design, and the table of all."""

from offramp.report import page
from offramp.report.frontier_plot import Front, plot
from offramp.report.page import Markup, Row, Section
from offramp.report.words import NONE, percent
from offramp.search.axes import Axis, axis_of
from offramp.search.neighbours import same_design
from offramp.search.point import Point
from offramp.search.why import design_words, why

__all__ = ["Front", "frontier_page"]


def frontier_page(front: Front) -> str:
    """Write the page; it refers to nothing outside itself, and needs no library to be shown.

    Raises:
        UnknownName: there is no such cost.
        BadInput: it is not known of one of the designs.
    """
    axis = axis_of(front.cost, [point for _, point in front.designs])
    reasons = why(front.goal, front.chosen, front.full, front.frontier, front.cost)
    return page.page(
        f"{front.goal.setting.capitalize()} designs of {front.name}",
        "offramp search",
        [page.lead(reasons[0]), _tiles(front, axis)],
        [
            _plot_section(front, axis),
            Section("why", "Why this one", [page.points(reasons[1:])]),
            _table_section(front),
        ],
        _foot(front),
    )


def _tiles(front: Front, axis: Axis) -> Markup:
    chosen, full = front.chosen, front.full
    tiles = [(percent(chosen.miou), f"mIoU; full network {percent(full.miou)}", False)]
    shown = [axis, *(other for other in front.axes if other.name in ("macs", "latency"))]
    for other in dict.fromkeys(shown):
        here, there = other.of(chosen), other.of(full)
        tiles.append((f"{there / here:.2f}×", f"less {other.what}: {other.said(here)} of "
                      f"{other.said(there)}", here < there))  # fmt: skip
    if chosen.held_out is not None:
        tiles.append((percent(chosen.held_out), "mIoU on images that were held out", False))
    return page.tiles(tiles)


def _plot_section(front: Front, axis: Axis) -> Section:
    by_network = any(p.network != front.full.network for _, p in front.designs)
    colour = "its network" if by_network else "the position of its first exit"
    beside = " Faint dots are exits alone." if front.cloud else ""
    text = (
        f"Each dot is a design, coloured by {colour}. The line joins those that no other dot beats "
        f"at the cost shown; the search looked for the front of {axis.what} alone, so for other "
        f"costs there may be better designs.{beside} Shaded is what the bounds forbid."
    )
    hint = (
        "Point at a dot, touch it, or use the arrow keys to see the design; click to keep it shown."
    )
    return Section("front", "Accuracy against cost", [text, plot(front), hint])


def _table_section(front: Front) -> Section:
    axes = front.axes
    points = [(role, p) for role, p in front.designs if role != "cloud"]
    cost = axis_of(front.cost)
    points.sort(key=lambda item: (item[0] == "full", cost.of(item[1])))
    held = any(p.held_out is not None for _, p in points)
    columns = ["", "design", "mIoU", *(["held out"] if held else []), *(a.what for a in axes)]
    rows = [
        Row(
            [
                _role(front, role, p),
                design_words(p),
                percent(p.miou),
                *([NONE if p.held_out is None else percent(p.held_out)] if held else []),
                *(a.short(a.of(p)) for a in axes),
            ],
            {"chosen": "strong", "full": "quiet"}.get(role, ""),
        )
        for role, p in points
    ]
    return Section("designs", "All designs of the front", [page.table(columns, rows, wordy=True)])


def _role(front: Front, role: str, point: Point) -> str:
    if role == "full":
        return "full"
    chosen = role == "chosen"  # its figures may be summed in another order than the front's
    places = (
        place
        for place, other in enumerate(front.frontier, 1)
        if other is point or (chosen and same_design(other, point))
    )
    number = str(next(places, ""))
    return f"{number} chosen".strip() if chosen else number


def _foot(front: Front) -> Markup:
    notes = [
        "mIoU is of one confusion matrix over all images that the designs were chosen on, so it "
        "flatters them; offramp eval gives that of other images.",
    ]
    if front.goal.setting == "anytime":
        notes.append("Of an anytime design, mIoU is that of its weakest early exit.")
    return page.joined([page.title("How to read these figures"), page.points(notes)])
