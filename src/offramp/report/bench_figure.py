"""Draw what the paths through a bundle take: medians, how sure they are, and slow cases."""

from dataclasses import dataclass

from offramp.report.style import ACCENT, INK, MUTED, canvas, svg, tidy

WALK, DECODE = "#8fd3ca", "#cbd5e1"
"""Colours of a bar up to the answer, and of enlarging it."""


@dataclass(frozen=True)
class Bar:
    """One path.

    Attributes:
        name: where it leads.
        p50_ms: median.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        interval_ms: 95 % confidence interval of the median, if there is one.
        decode_share: of its time, from 0 to 1.
    """

    name: str
    p50_ms: float
    p95_ms: float
    p99_ms: float
    interval_ms: tuple[float, float] | None
    decode_share: float


@dataclass(frozen=True)
class BenchFigure:
    """What the figure shows.

    Attributes:
        title: which bundle, at which size, in which engine.
        bars: from top to bottom.
        expected_ms: an image at the plan's exit shares.
    """

    title: str
    bars: tuple[Bar, ...]
    expected_ms: float


def draw_bench(record: BenchFigure) -> str:
    """Draw a bar for each path, and a line where the plan's mean lies; returns SVG text."""
    bars = record.bars
    with canvas(9, 1.7 + 0.44 * len(bars)) as (figure, axes):
        rows = range(len(bars))
        walked = [bar.p50_ms * (1 - bar.decode_share) for bar in bars]
        decoded = [bar.p50_ms * bar.decode_share for bar in bars]
        axes.barh(rows, walked, height=0.62, color=WALK, label="to the answer")
        axes.barh(rows, decoded, height=0.62, left=walked, color=DECODE, label="enlarging it")
        for row, bar in zip(rows, bars, strict=True):
            axes.plot([bar.p50_ms, bar.p99_ms], [row, row], color=MUTED, lw=1, zorder=2)
            if bar.interval_ms:
                axes.plot(bar.interval_ms, [row, row], color=INK, lw=4, zorder=3)
        for kind, marker, label in (("p95_ms", "|", "p95"), ("p99_ms", ".", "p99")):
            slow = [getattr(bar, kind) for bar in bars]
            axes.plot(slow, list(rows), ls="", marker=marker, color=MUTED, ms=8, label=label)
        axes.axvline(
            record.expected_ms, color=ACCENT, ls="--", lw=1.4, label="at the plan's shares"
        )
        axes.set_yticks(list(rows), [bar.name for bar in bars])
        axes.invert_yaxis()
        axes.set_xlim(0)
        axes.set_xlabel("milliseconds a frame; dark: 95 % interval of the median")
        axes.set_title(record.title, color=INK, pad=26)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize=9)
        tidy(axes, grid="x")
        return svg(figure)
