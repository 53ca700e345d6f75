"""The report's words and tables, from records: what is said, not how it looks."""

from collections.abc import Sequence

from offramp.core.costs import Cost
from offramp.core.plan import Plan
from offramp.report.headline import ClassRow, Comparison, PieceRow, Side
from offramp.report.material import Material, NamedPlan
from offramp.report.page import Markup, Row, Section, note, table, tiles
from offramp.report.words import NONE, milliseconds, number, percent, points, times, work


def opening(lead: Comparison) -> str:
    """Say in one sentence what stopping early does on the leading images."""
    ratio = lead.latency_ratio
    time = f" and takes {ratio:.2f} times less time" if ratio is not None else ""
    kind = "calibration" if lead.fitted else "held-out"
    return (
        f"On {number(lead.images)} {kind} images ({lead.split}), stopping early does "
        f"{lead.macs_ratio:.2f} times less work{time}, at a mIoU of {percent(lead.early.miou)} "
        f"instead of {percent(lead.full.miou)}."
    )


def big_numbers(lead: Comparison) -> Markup:
    """Show the leading comparison in four numbers."""
    where = f"{lead.split}, {'fitted' if lead.fitted else 'held out'}"
    ratio = lead.latency_ratio
    return tiles(
        [
            (times(lead.macs_ratio), f"less work ({where})", lead.macs_ratio > 1),
            (times(ratio), f"less time ({where})", ratio is not None and ratio > 1),
            (percent(lead.early.miou), f"mIoU ({where})", False),
            (points(lead.miou_change), "mIoU against the full network", lead.miou_change >= 0),
        ]
    )


def savings(rows: Sequence[Comparison], lead: Comparison, by_class: Sequence[ClassRow]) -> Section:
    """Compare the full network with the plan on every set of images, and class by class on one.

    Args:
        rows: the comparisons; the last is that of the headline's plan on the calibration images.
        lead: the one that leads the report.
        by_class: classes on the leading images.
    """
    beside = f"The plan '{rows[-1].plan}' beside the same network without early exits. "
    if any(not row.fitted for row in rows):
        words: list[Markup | str] = [
            f"{beside}Held-out figures are bold: they are the honest ones. The thresholds were "
            "fitted on the calibration images, so those figures flatter the plan."
        ]
    else:
        words = [
            f"{beside}All figures are of the images that the plan was fitted on.",
            note(
                "No held-out figures yet: these flatter the plan. Make them with: offramp eval "
                "BUNDLE --data DATA --split test --json > RUN/eval/test.json"
            ),
        ]
    parts = [*words, _savings_table(rows), _class_table(by_class, lead.split)]
    return Section("savings", "What early exits save", parts)


def plan_table(plans: Sequence[NamedPlan]) -> Markup:
    """List the plans with what they do on the calibration images."""
    body = [
        Row([named.name, _thresholds(named.plan), *_plan_figures(named.plan)]) for named in plans
    ]
    full = plans[0].plan.full
    figures = [percent(full.miou), work(full.macs), times(1.0), milliseconds(full.latency_ms)]
    body.append(Row(["full network", NONE, *figures], "total"))
    columns = ["plan (calibration)", "exits and thresholds", "mIoU", "work", "saved", "latency"]
    return table(columns, body, wordy=True)


def network_section(material: Material, rows: Sequence[PieceRow], full: Cost) -> Section:
    """List the pieces of the network with their costs."""
    body = [_piece(row, full) for row in rows]
    decode = material.costs.decode
    body.append(
        Row(["resizing the frame, enlarging the answer", *_cost(decode, full), NONE, NONE, NONE])
    )
    body.append(
        Row(
            ["full network", *_cost(full, full), work(full.macs), milliseconds(full.latency_ms),
             NONE],
            "total",
        )
    )  # fmt: skip
    columns = [
        "piece", "work", "of full", "parameters", "latency", "of full", "work to here",
        "time to here", "images that stop",
    ]  # fmt: skip
    heads = ", ".join(f"{e.point}/{e.head}" for e in material.headline.plan.exits)
    text = (
        "Segments in the order of the path; beneath each, in colour, the head that the plan reads "
        f"there ({heads}). An image that stops at an exit has paid for every segment before it, "
        "for every head that it read on its way, and for one decoding."
    )
    parts: list[Markup | str] = [text, table(columns, body)]
    if full.latency_ms > 0 and decode.latency_ms / full.latency_ms > 0.25:
        part = percent(decode.latency_ms / full.latency_ms, 0)
        parts.append(
            note(
                f"Decoding alone is {part} of the full network's time, and no early exit saves it: "
                "that is why time shrinks less than work."
            )
        )
    return Section("network", "The network, piece by piece", parts)


def caveats(material: Material, rows: Sequence[Comparison], calib: str) -> list[str]:
    """Say what the figures do not show."""
    texts = [
        f"Plans and thresholds were chosen on the {calib} images; figures on them are fitted, not "
        "a promise for new images.",
        "The latency of calibration figures is a sum of separately measured pieces (medians), for "
        "the machine below; the latency of evaluated splits was timed image by image, whole, "
        "resizing and decoding included. Compare each only with its own full network.",
        "Work counts multiply-accumulates of convolutions and matrix products; scores, resizing "
        "and decoding cost time but no such work.",
    ]
    if any(row.split == "val" for row in rows):
        texts.append(
            "The val images chose the best epoch of training; no threshold was fitted on them, but "
            "they are not wholly untouched. A test split is."
        )
    engines = sorted({e.engine for e in material.evaluations.values() if e.engine})
    if engines:
        texts.append("Evaluated splits ran on: " + "; ".join(engines) + ".")
    if any(row.plan == "" for row in rows):
        texts.append(
            "An evaluation has the exits of none of this run's plans: it is shown, but does not "
            "lead the report."
        )
    return texts


def _savings_table(rows: Sequence[Comparison]) -> Markup:
    columns = ["", "mIoU", "mIoU per image", "work", "latency (mean)", "p50 / p95"]
    body = []
    for row in rows:
        held_out = "fitted" if row.fitted else "held out"
        early = f"plan {row.plan}" if row.plan else "early exits of another plan"
        body += [
            Row([f"{row.split}: {number(row.images)} images, {held_out}"], "group"),
            Row(["full network", *_side(row.full)], "quiet" if row.fitted else ""),
            Row([early, *_side(row.early)], "quiet" if row.fitted else "strong"),
            Row(["difference", *_difference(row)], "quiet"),
        ]
    return table(columns, body)


def _class_table(rows: Sequence[ClassRow], split: str) -> Markup:
    body = []
    for row in rows:
        change = NONE
        if row.full is not None and row.early is not None:
            change = points(row.early - row.full)
        values = [NONE if v is None else percent(v) for v in (row.full, row.early)]
        body.append(Row([row.name, *values, change]))
    return table([f"IoU of a class ({split})", "full", "plan", "difference"], body)


def _side(side: Side) -> list[str]:
    quantiles = NONE
    if side.quantiles_ms is not None:
        quantiles = " / ".join(f"{ms:.2f}" for ms in side.quantiles_ms) + " ms"
    return [
        percent(side.miou),
        percent(side.miou_per_image),
        work(side.macs),
        milliseconds(side.latency_ms),
        quantiles,
    ]


def _difference(row: Comparison) -> list[str]:
    per_image = points(row.early.miou_per_image - row.full.miou_per_image)
    less = [
        f"{times(ratio)} less" if ratio else NONE for ratio in (row.macs_ratio, row.latency_ratio)
    ]
    return [points(row.miou_change), per_image, *less, ""]


def _thresholds(plan: Plan) -> str:
    exits = [f"{e.point}/{e.head}" + ("" if e.rule is None else f" ({e.rule})") for e in plan.exits]
    text = " → ".join(exits)
    text = f"{text} by {', '.join(plan.scores)}" if plan.setting == "input-dependent" else text
    return text if plan.certificate is None else f"{text}; promised {plan.certificate}"


def _plan_figures(plan: Plan) -> list[str]:
    done = plan.expected
    saved = times(plan.full.macs / done.macs)
    return [percent(done.miou), work(done.macs), saved, milliseconds(done.latency_ms)]


def _piece(row: PieceRow, full: Cost) -> Row:
    if row.path is None or row.share is None:
        return Row([row.name, *_cost(row.cost, full), "", "", ""])
    path = [work(row.path.macs), milliseconds(row.path.latency_ms), percent(row.share, 1)]
    return Row([f"↳ {row.name}", *_cost(row.cost, full), *path], "head")


def _cost(cost: Cost, full: Cost) -> list[str]:
    """Write work, its share, parameters, time and its share."""
    share = percent(cost.latency_ms / full.latency_ms, 1) if full.latency_ms > 0 else NONE
    return [
        work(cost.macs) if cost.macs else NONE,
        percent(cost.macs / full.macs, 1),
        number(cost.parameters) if cost.parameters else NONE,
        milliseconds(cost.latency_ms),
        share,
    ]
