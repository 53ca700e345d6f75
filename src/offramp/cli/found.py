"""What `offramp search` says of what it found: as JSON, and in tables and sentences."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.cli.console import macs_text, table

if TYPE_CHECKING:
    from offramp.core.certificate import Promise
    from offramp.core.plan import Plan
    from offramp.search import Found


def described(found: "Found", file: Path) -> dict[str, Any]:
    from offramp.search.why import why

    plan = found.plan
    done = plan.expected
    return {
        "plan": str(file),
        "miou": done.miou,
        "macs": done.macs,
        "latency_ms": done.latency_ms,
        "full": plan.full.model_dump(),
        "fitted": plan.division and plan.division.fitted.model_dump(),
        "held_out": plan.division and plan.division.held_out.model_dump(),
        "fitted_gap": plan.division and plan.division.gap,
        "network": found.chosen.network,
        "policy": plan.policy,
        "scores": plan.scores,
        "exits": [planned.model_dump() for planned in plan.exits],
        "chosen": asdict(found.chosen),
        "why": why(found.goal, found.chosen, found.full, found.frontier, found.cost),
        "configurations": found.configurations,
        "seconds": found.seconds,
        "optimal": found.optimal,
        "gap": found.gap,
        "certificate": plan.certificate and plan.certificate.model_dump(),
        "frontier": [asdict(point) for point in found.frontier],
    }


def print_found(found: "Found", file: Path, others: list[Path]) -> None:
    """Print the plan as tables, why it is this one, and what is promised."""
    from offramp.search.why import why

    plan = found.plan
    rows = [
        [
            f"{e.point}/{e.head}",
            "-" if e.rule is None else f"{', '.join(plan.deciding_scores(e))} {e.rule}",
            f"{100 * e.share:.1f} %",
            f"{100 * e.miou:.2f} %",
        ]
        for e in plan.exits
    ]
    if found.chosen.network and len({point.network for point in found.frontier}) > 1:
        print(f"network: {found.chosen.network}")
    print(table(["exit", "rule", "stop here", "its mIoU"], rows))
    print(table(["", "images", "mIoU", "per image", "work", "latency"], list(_figures(plan))))
    if plan.division is not None:
        division = plan.division
        print(
            f"mIoU lost: {100 * division.fitted.loss:.2f} points on the images that it was fitted "
            f"on, {100 * division.held_out.loss:.2f} on those held out"
        )
    if plan.certificate is not None:
        print(_promised(plan.certificate))
    for sentence in why(found.goal, found.chosen, found.full, found.frontier, found.cost):
        print(sentence)
    print(_how_sure(found))
    for path in (file, *others):
        print(f"{'plan' if path is file else 'frontier'}: {path}")


def _figures(plan: "Plan") -> Iterator[list[str]]:
    """Lay out what the plan and the full network do, on all images and on each part."""
    parts = [("", plan.images, plan.expected, plan.full)]
    if plan.division is not None:
        for name, part in (("fitted", plan.division.fitted), ("held out", plan.division.held_out)):
            parts.append((f", {name}", part.images, part.expected, part.full))
    for name, images, expected, full in parts:
        for what, done in (("this plan", expected), ("full network", full)):
            yield [
                what + name,
                str(images),
                f"{100 * done.miou:.2f} %",
                f"{100 * done.miou_per_image:.2f} %",
                macs_text(done.macs),
                f"{done.latency_ms:.2f} ms",
            ]


def _how_sure(found: "Found") -> str:
    """Say how many designs there are, and whether the plan is the best of them."""
    judged = f"{found.configurations:,} configurations in {found.seconds:.1f} s"
    if found.plan.policy != "threshold" or found.plan.certificate is not None:
        return f"{judged}: the best of these fits"
    if found.optimal:
        return f"{judged}: the plan is the optimum"
    if found.goal.bounds_accuracy:
        return f"{judged}, not all judged: none is more than {100 * found.gap:.1f} % cheaper"
    return f"{judged}, not all judged: none has more than {100 * found.gap:.2f} points more mIoU"


def _promised(promise: "Promise") -> str:
    """Write what is promised, on what grounds, and what is not."""
    counted = "groups" if promise.units == "clips" else "images"
    beside = "agreement; whether the full network is right is not asked"
    if promise.quantity == "miou":
        beside = "the per-image mIoU; dataset mIoU is another quantity, and not promised"
    average = promise.average
    weaker = "none" if average.index is None else f"number {average.index + 1}"
    return (
        f"promised {promise}\n"
        f"  ({beside})\n"
        f"  tested on {promise.n} {counted} held out, {promise.searched} other images found the "
        f"plans; it holds for images drawn like them\n"
        f"  mean loss there {100 * promise.loss:.2f} %, by the bound at most "
        f"{100 * promise.bound:.2f} %; number {(promise.index or 0) + 1} of "
        f"{promise.designs} plans, safest first\n"
        f"  a weaker promise, on average over such tests (conformal risk control): {weaker}"
    )
