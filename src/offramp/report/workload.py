"""Draw where a network's work is, block by block, and where exits sit (MESS figure 3)."""

from dataclasses import dataclass

from offramp.report.style import ACCENT, INK, canvas, svg, tidy

FAINT, TAKEN = "#cbd5e1", "#8fd3ca"
"""Colours of a block's bar, and of one after which an exit sits."""


@dataclass(frozen=True)
class Workload:
    """What the figure shows.

    Attributes:
        title: which network, at which size, and its work.
        blocks: name and multiply-accumulates of each block, in the order of the path.
        exits: the blocks after which exits sit.
    """

    title: str
    blocks: tuple[tuple[str, int], ...]
    exits: tuple[str, ...]


def draw_workload(record: Workload) -> str:
    """Draw each block's share of the work as a bar, and the running share as a line."""
    total = sum(macs for _, macs in record.blocks)
    shares = [100 * macs / total for _, macs in record.blocks]
    running = [sum(shares[: i + 1]) for i in range(len(shares))]
    names = [name for name, _ in record.blocks]
    with canvas(max(6, 1.5 + 0.42 * len(names)), 4.6) as (figure, axes):
        here = range(len(names))
        taken = [name in record.exits for name in names]
        axes.bar(here, shares, width=0.72, color=[TAKEN if exit else FAINT for exit in taken])
        axes.set_ylabel("share of the work (%)")
        axes.set_xticks(list(here), names, rotation=55, ha="right", rotation_mode="anchor")
        axes.set_title(record.title, loc="left", color=INK)
        line = axes.twinx()
        line.plot(here, running, color=INK, lw=1.6, marker="o", ms=3.5)
        spots = [(i, running[i]) for i in here if taken[i]]
        line.plot(*zip(*spots, strict=True), ls="", marker="D", ms=9, color=ACCENT, mec="white")
        for i, share in spots:
            line.annotate(
                f"{share:.0f} %", (i, share), xytext=(-6, 7), textcoords="offset points",
                ha="right", color=INK, fontsize=9.5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
            )  # fmt: skip
        line.set(ylim=(0, 112), ylabel="work so far (%), exits marked")
        line.spines["top"].set_visible(False)
        tidy(axes, grid="y")
        return svg(figure)
