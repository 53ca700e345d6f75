"""From a front to its interactive plot: the data as JSON, and the place where a script draws it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from offramp.report.frontier_script import SCRIPT
from offramp.report.page import Markup, joined, legend
from offramp.report.style import point_colours
from offramp.report.words import percent
from offramp.search.axes import AXES, Axis
from offramp.search.goal import Goal
from offramp.search.neighbours import same_design
from offramp.search.point import Point
from offramp.search.slack import slacks
from offramp.search.why import rule_words

CSS = """
.front { display:grid; grid-template-columns:minmax(0,1fr) 290px; gap:6px 22px; margin:14px 0 4px; }
.front .controls { grid-column:1/-1; display:flex; flex-wrap:wrap; gap:8px 20px; font-size:14px; }
.front .controls div { display:flex; flex-wrap:wrap; gap:4px; align-items:center; }
.front .controls span { color:var(--muted); margin-right:4px; }
.front button { font:inherit; color:var(--ink); background:var(--paper); cursor:pointer;
  border:1px solid #cbd5e1; border-radius:7px; padding:3px 10px; }
.front button[aria-pressed=true] { background:var(--accent); border-color:var(--accent);
  color:#fff; }
.front svg { display:block; width:100%; touch-action:pan-y; cursor:crosshair; border-radius:6px; }
.front svg:focus-visible, .front button:focus-visible { outline:2px solid var(--accent);
  outline-offset:2px; }
.front svg text { font-size:12.5px; fill:var(--muted); }
.front svg text.name { font-weight:700; font-size:13px; paint-order:stroke; stroke:#fff;
  stroke-width:4px; stroke-linejoin:round; }
.front .panel { border:1px solid var(--line); border-radius:10px; padding:12px 14px;
  font-size:14px; align-self:start; background:var(--ground); min-height:330px; }
.front .panel b.role { display:block; color:var(--accent); font-size:12.5px;
  letter-spacing:.03em; text-transform:uppercase; }
.front .panel ol { margin:6px 0 8px; padding-left:20px; } .front .panel li { margin:3px 0;
  overflow-wrap:anywhere; } .front .panel li small { display:block; color:var(--muted); }
.front .panel table { font-size:13.5px; } .front .panel td { padding:3px 2px;
  white-space:normal; } .front .panel td:last-child { white-space:nowrap; }
.front .panel p { margin:8px 0 0; color:var(--muted); font-size:13.5px; }
@media (max-width:820px) { .front { grid-template-columns:minmax(0,1fr); }
  .front .panel { min-height:0; } }
"""


CLOSE = 0.05
"""The close-up shows designs that have at most this much less mIoU than the best."""

ROLES = {
    "front": "On the front",
    "chosen": "The chosen design",
    "full": "The full network",
    "cloud": "An exit alone",
}


@dataclass(frozen=True)
class Front:
    """What a search found, as far as its plot needs it.

    Attributes:
        name: of the run, or of the runs.
        goal: the bounds.
        cost: what the front's cost is, see `AXES`.
        frontier: the front, the cheapest first.
        chosen: the design that the search picked.
        full: the full network.
        positions: exit positions of the network in the order of the path.
        cloud: designs beside the front, drawn faintly: each exit alone (MESS fig. 5).
    """

    name: str
    goal: Goal
    cost: str
    frontier: tuple[Point, ...]
    chosen: Point
    full: Point
    positions: tuple[str, ...]
    cloud: tuple[Point, ...] = ()

    @property
    def designs(self) -> list[tuple[str, Point]]:
        """List every design with its role; the chosen one once, though it is on the front."""
        front = [("front", p) for p in self.frontier if not same_design(p, self.chosen)]
        cloud = [("cloud", p) for p in self.cloud]
        return [*cloud, *front, ("full", self.full), ("chosen", self.chosen)]

    @property
    def axes(self) -> list[Axis]:
        """List the costs that are known of all designs: those a plot can show."""
        points = [point for _, point in self.designs]
        return [axis for axis in AXES.values() if axis.known(points)]


def plot(front: Front) -> Markup:
    """Write the interactive plot (MESS fig. 5), with its style, data, script and legend.

    Drawn are mIoU against a cost that the reader picks, what none beats as a line, the bounds as
    dashed lines; hover, touch or arrow keys show a design.
    """
    data = json.dumps(_data(front)).replace("<", "\\u003c")  # so that no text ends the script
    return joined(
        [
            Markup(
                f'<style>{CSS}</style><div class="front"><div class="controls"></div>'
                '<div><svg tabindex="0" role="img" aria-label="mIoU against cost"></svg></div>'
                '<div class="panel" aria-live="polite"></div>'
                f'<script type="application/json">{data}</script></div>'
                "<noscript><p>The plot needs JavaScript; the table below holds the same "
                "figures.</p></noscript>"
            ),
            legend([(name, colour) for name, colour in _colours(front).items()]),
            Markup(f"<script>{SCRIPT}</script>"),
        ]
    )


def _data(front: Front) -> dict[str, Any]:
    colours, axes = _colours(front), front.axes
    bounds = {s.name: s for s in slacks(front.goal, front.chosen, front.full)}
    best = max(point.miou for _, point in front.designs)
    return {
        "axis": front.cost,
        "axes": [_axis(axis, bounds[axis.bound].bound if axis.bound in bounds else None)
                 for axis in axes],
        "floor": _floor(front),
        "closeup": 100 * (best - CLOSE),
        "roles": ROLES,
        "points": [
            _point(role, point, colours[_group(front, point)], axes)
            for role, point in front.designs
        ],
    }  # fmt: skip


def _axis(axis: Axis, bound: float | None) -> dict[str, Any]:
    return {
        "name": axis.name,
        "label": "work" if axis.name == "macs" else axis.name.replace("-", " "),
        "what": axis.what,
        "units": axis.units,
        "bound": bound,
        "most": "" if bound is None else axis.said(bound),
    }


def _point(role: str, point: Point, colour: str, axes: Sequence[Axis]) -> dict[str, Any]:
    rows = [("mIoU", percent(point.miou))]
    if point.held_out is not None:
        rows.append(("mIoU, held out", percent(point.held_out)))
    rows += [(axis.what, axis.short(axis.of(point))) for axis in axes]
    if point.network:
        rows.insert(0, ("network", point.network))
    return {
        "role": role,
        "colour": colour,
        "miou": 100 * point.miou,
        **{axis.name: axis.of(point) for axis in axes},
        "exits": [(name, _note(point, index)) for index, name in enumerate(point.exits)],
        "rows": rows,
    }


def _note(point: Point, index: int) -> str:
    notes = []
    if index < len(point.thresholds):
        notes.append(rule_words(point.scores[index], point.thresholds[index]))
    if index < len(point.shares):
        notes.append(f"{100 * point.shares[index]:.0f} % of the images stop")
    return ", ".join(notes)


def _floor(front: Front) -> float | None:
    """Translate the bounds on mIoU into the least, in percent."""
    bounds = []
    if front.goal.max_miou_loss is not None:
        bounds.append(front.full.miou - front.goal.max_miou_loss)
    if front.goal.min_miou is not None:
        bounds.append(front.goal.min_miou)
    return 100 * max(bounds) if bounds else None


def _group(front: Front, point: Point) -> str:
    """Say what gives a design its colour: its network, or where its first exit sits."""
    if any(other.network != point.network for _, other in front.designs):
        return point.network
    return point.exits[0].partition("/")[0]


def _colours(front: Front) -> dict[str, str]:
    """Give each group its colour, in the order of the path."""
    found = list(dict.fromkeys(_group(front, point) for _, point in front.designs))
    if set(found) <= set(front.positions):
        placed = point_colours(front.positions)
        return {name: placed[name] for name in front.positions if name in found}
    return point_colours(sorted(found))
