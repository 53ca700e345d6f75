"""Draw how the search's time grows, from the rows of `search.py`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offramp.report.style import INK, MUTED, canvas, svg, tidy

COLOURS = ("#94a3b8", "#0f766e", "#9333ea")
MARKERS = ("s", "D", "o")
NUMBERS = {1: "one early exit", 2: "any two", 3: "any three"}
ALIKE = {0.0: "heads independent", 0.6: "as in a trained run", 0.9: "nearly the same"}

Row = Mapping[str, Any]


def draw(panels: Mapping[str, Sequence[Row]]) -> str:
    """Draw time against images, heads, levels and exits; one panel each, both axes logarithmic.

    Args:
        panels: rows of `images`, `heads`, `levels` and `exits`.
    """
    with canvas(10, 7.2, nrows=2, ncols=2, sharey=True) as (figure, grid):
        for axes, (name, rows) in zip(grid.flat, panels.items(), strict=True):
            _panel(axes, name, rows)
            axes.set_title(_title(name, rows))
        for axes in grid[:, 0]:
            axes.set_ylabel("seconds")
        return svg(figure)


def _panel(axes: Any, name: str, rows: Sequence[Row]) -> None:
    """Draw one line for each number of exits; where these are the axis, for how alike heads are."""
    by = "alike" if name == "exits" else "exits"
    words: Callable[[Any], str] = (lambda key: ALIKE.get(key, str(key))) if by == "alike" else (
        lambda key: NUMBERS[key]
    )  # fmt: skip
    for place, key in enumerate(dict.fromkeys(row[by] for row in rows)):
        here = [row for row in rows if row[by] == key]
        x, y = [row[name] for row in here], [row["seconds"] for row in here]
        axes.plot(x, y, color=COLOURS[place], marker=MARKERS[place], ms=6, lw=1.7, label=words(key))
        open_ = [row for row in here if not row["optimal"]]
        axes.plot([r[name] for r in open_], [r["seconds"] for r in open_], ls="", marker="o", ms=13,
                  mfc="none", mec=INK)  # fmt: skip
    ticks = sorted({row[name] for row in rows})
    axes.set(yscale="log", xlabel=_axis(name))
    if name != "exits":
        axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xmargin(0.08)
    tidy(axes)
    axes.legend(frameon=False, fontsize=9.5, labelcolor=MUTED, loc="upper left")


def _axis(name: str) -> str:
    return {"heads": "heads at each position", "levels": "thresholds of an exit, at most",
            "exits": "early exits, at most"}.get(name, name)  # fmt: skip


def _title(name: str, rows: Sequence[Row]) -> str:
    """Say what is the same in all rows of a panel."""
    first = rows[0]
    same = {
        "images": f"{first['heads']} heads, {first['levels']} thresholds",
        "heads": f"{first['images']} images, {first['levels']} thresholds",
        "levels": f"{first['images']} images, {first['heads']} heads",
        "exits": f"{first['images']} images, {first['heads']} heads, {first['levels']} thresholds",
    }
    return same[name]
