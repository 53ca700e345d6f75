"""Colours, fonts and SVG: what all figures share. The only place that imports matplotlib."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from offramp.core.errors import MissingExtra
from offramp.core.plan import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1e293b"
MUTED = "#64748b"
FAINT = "#e2e8f0"
ACCENT = "#0f766e"

SETTING: dict[Setting, tuple[str, str]] = {
    "input-dependent": (ACCENT, "D"),
    "budgeted": ("#475569", "s"),
    "anytime": ("#9333ea", "o"),
}
"""Colour and marker of a setting."""

_EARLY_TO_LATE = ("#d97706", "#dc4a1a", "#db2777", "#7c3aed", "#2563eb", "#1e3a8a")
_FONTS = ("Inter", "Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")


def point_colours(points: Sequence[str]) -> dict[str, str]:
    """Give each position a colour: warm where the path begins, deep blue at its end."""
    steps = max(len(points) - 1, 1)
    return {point: _between(index / steps) for index, point in enumerate(points)}


@contextmanager
def canvas(width: float, height: float, **layout: Any) -> Iterator[tuple["Figure", Any]]:
    """Open a figure with its axes, in the report's style.

    Args:
        width: inches; the page shows a full-width figure at 10.
        height: inches.
        layout: as for `matplotlib.figure.Figure.subplots`.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "train", "offramp report") from None
    with mpl.rc_context(_settings()):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(**layout)
        yield figure, axes


def svg(figure: "Figure") -> str:
    """Write a figure as SVG text; call it within `canvas`. The same figure gives the same text."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    return text[text.index("<svg") :]


def tidy(axes: "Axes", *, grid: str = "both") -> None:
    """Leave out the box, and draw a faint grid along "x", "y", "both" or "none"."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if grid != "none":
        axes.grid(axis=grid, color=FAINT, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def label_spots(
    axes: "Axes",
    spots: Sequence[tuple[float, float, str, str]],
    marks: Sequence[tuple[float, float]] = (),
) -> None:
    """Write labels beside marks, each at the first place where it covers no label and no mark.

    Args:
        axes: drawn, with final limits.
        spots: x, y, text and colour.
        marks: x and y of what else should stay visible.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    figure = axes.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    frame = axes.get_window_extent()
    centres = axes.transData.transform([*marks, *((x, y) for x, y, _, _ in spots)])
    used: list[Any] = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in centres]
    for x, y, text, colour in spots:
        for dx, dy, across, up in _PLACES:
            label = axes.annotate(
                text, (x, y), (dx, dy), textcoords="offset points", ha=across, va=up,
                color=colour, fontsize=10, fontweight="bold", annotation_clip=False,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip
            label.set_in_layout(False)
            box = label.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 + 2 and frame.y0 <= box.y0
            if inside and box.y1 <= frame.y1 and not any(box.overlaps(other) for other in used):
                break
            if (dx, dy, across, up) != _PLACES[-1]:
                label.remove()
        used.append(box.padded(1))


_PLACES = (
    (9, 0, "left", "center"),
    (0, 9, "center", "bottom"),
    (0, -9, "center", "top"),
    (-9, 0, "right", "center"),
    (0, 22, "center", "bottom"),
    (0, -22, "center", "top"),
    (-9, 12, "right", "bottom"),
    (-9, -12, "right", "top"),
    (-9, 24, "right", "bottom"),
    (-9, -24, "right", "top"),
)


def _between(place: float) -> str:
    """Mix the palette at `place`, from 0 to 1."""
    scaled = place * (len(_EARLY_TO_LATE) - 1)
    left = min(int(scaled), len(_EARLY_TO_LATE) - 2)
    part = scaled - left
    a, b = (bytes.fromhex(colour[1:]) for colour in _EARLY_TO_LATE[left : left + 2])
    mixed = (round(p + (q - p) * part) for p, q in zip(a, b, strict=True))
    return "#" + bytes(mixed).hex()


def _settings() -> dict[str, Any]:
    from matplotlib import font_manager

    present = set(font_manager.get_font_names())
    return {
        "font.family": [name for name in _FONTS if name in present],
        "font.size": 11,
        "axes.labelsize": 11,
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlecolor": INK,
        "axes.edgecolor": "#94a3b8",
        "axes.labelcolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "text.color": INK,
        "svg.fonttype": "path",
        "svg.hashsalt": "offramp",
    }
