"""A comparison of strategies as one HTML page that refers to nothing outside itself."""

from collections.abc import Sequence

from offramp.report import page
from offramp.report.compare_figures import draw_exits, draw_families, draw_planes, draw_scores
from offramp.report.compare_records import Family, by_use, families, strategy_scores
from offramp.report.page import Markup, Section
from offramp.report.page import Row as Line
from offramp.report.style import point_colours
from offramp.report.words import milliseconds, percent, work
from offramp.search.compare import Comparison, Row
from offramp.search.problem import CostKind

COLUMNS = (
    "strategy (held-out images)", "mIoU", "mIoU per image", "work", "latency", "fitted mIoU",
    "λ",
)  # fmt: skip


def comparison_page(comparison: Comparison, name: str) -> str:
    """Write the page.

    Args:
        comparison: what was found.
        name: of the run.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    found = families(comparison)
    sections = [_table_section(comparison)]
    if found:
        sections += [
            _cost_section(comparison, found),
            _exit_section(comparison),
            _score_section(comparison, found),
        ]
    opening = (
        f"All strategies on the same exits, {' → '.join(_exits(comparison))}. Each was fitted on "
        f"{len(comparison.fitting.trace.images)} images, and of its fits the cheapest was picked "
        f"that keeps {percent(comparison.wanted[0])} mIoU there. All figures are of "
        f"{len(comparison.held_out.trace.images)} other images."
    )
    return page.page(
        f"Exit strategies on {name}", "offramp compare", [page.lead(opening)], sections, _foot()
    )


def _exits(comparison: Comparison) -> list[str]:
    problem = comparison.fitting
    return ["/".join(problem.trace.exits[row]) for row in problem.rows]


def _table_section(comparison: Comparison) -> Section:
    cost = comparison.fitting.cost
    fixed = [row for row in comparison.rows if row.kind == "fixed"]
    bounds = [row for row in comparison.rows if row.kind == "bound"]
    able = [row for row in by_use(comparison.strategies, cost) if row.met]
    unable = [row for row in by_use(comparison.strategies, cost) if not row.met]
    wanted = percent(comparison.wanted[1])
    lines = [*_group("No strategy: always the same exit", fixed)]
    lines += _group("Strategies, the cheapest on the images that they were fitted on first", able)
    lines += _group("Strategies of which no fit reached the wanted mIoU: their best", unable)
    lines += _group("Bounds: they know the truth, and cannot be deployed", bounds)
    words = (
        f"Wanted on these images: {wanted} mIoU. Rows in bold keep it. A strategy is fitted on few "
        "images, so it may miss by chance what it kept there: compare mIoU with fitted mIoU."
    )
    return Section("table", "What each does", [words, page.table(COLUMNS, lines)])


def _group(title: str, rows: Sequence[Row]) -> list[Line]:
    if not rows:
        return []
    return [Line([title], "group"), *(_line(row) for row in rows)]


def _line(row: Row) -> Line:
    held, weight = row.held_out, row.fit.weight if row.fit else None
    spread = f"{percent(held.miou_per_image)} ± {100 * held.miou_std:.1f}"
    cells = [
        row.policy,
        percent(held.miou),
        spread,
        work(held.macs),
        milliseconds(held.latency_ms),
        percent(row.fitted.miou),
        "" if weight is None else f"{weight:.3g}",
    ]
    return Line(cells, "quiet" if row.kind == "bound" else "strong" if row.kept else "")


def _cost_section(comparison: Comparison, found: Sequence[Family]) -> Section:
    timed = bool(comparison.fitting.costs.engine)
    cost: CostKind = "latency" if timed else "macs"
    what = "latency" if timed else "work"
    return Section(
        "cost",
        f"mIoU against {what}",
        [
            page.chart(
                draw_planes(comparison, found, cost),
                f"mIoU of every strategy against {what}",
                "Large marks: of each family the strategy that was cheapest when fitted; small "
                "ones: its others. Dashed: the best that was found by looking at the truth, which "
                "bounds all. Both mIoUs are of the same choice of exits: thresholds are picked by "
                "dataset mIoU, tables, ranges and auxiliary networks are fitted to per-image mIoU. "
                "Exits that are far cheaper and worse lie outside; see the table.",
            ),
            page.heading("Every fit of every strategy"),
            page.chart(
                draw_families(comparison, found, cost),
                f"mIoU against {what} for all fits, by family",
                "A family's strategies in colour, all others grey, the bound dashed. Each line is "
                "the outline of a strategy's fits on the held-out images; the mark is what was "
                "picked.",
            ),
        ],
    )


def _exit_section(comparison: Comparison) -> Section:
    rows = by_use(comparison.strategies, comparison.fitting.cost)
    rows += [row for row in comparison.rows if row.kind == "bound"]
    colours = point_colours(comparison.fitting.costs.points)
    chart = page.chart(
        draw_exits(rows, colours),
        "share of the images that stop at each exit, by strategy",
        "In the order of the table, the bounds last.",
    )
    return Section("exits", "Who stops where", [chart])


def _score_section(comparison: Comparison, found: Sequence[Family]) -> Section:
    colours = point_colours(comparison.fitting.costs.points)
    parts: list[Markup | str] = [
        "Of each family the strategy that was cheapest when fitted. Above: how often each score "
        "occurs; below: how right the exit was on each image. In colour the images that come to "
        "the exit, in grey those that stopped before. Shaded: scores at which an image stops. A "
        "score is worth something where it rises or falls with mIoU; ρ is the rank correlation "
        "of both over all images. Tables over two scores are not drawn."
    ]
    for family in found:
        record = strategy_scores(family.best, comparison.held_out)
        if record is not None:
            what = f"{record.policy}: scores at each exit, and mIoU against the score"
            parts += [
                page.heading(record.policy),
                page.chart(draw_scores(record, colours), what, f"Family: {family.name}."),
            ]
    return Section("scores", "What the scores are worth", parts)


def _foot() -> Markup:
    return page.joined(
        [
            page.title("How to read these figures"),
            page.points(
                [
                    "mIoU is of one confusion matrix over all images; mIoU per image is the mean "
                    "and standard deviation over images.",
                    "Latency is a sum of separately measured pieces; work counts every head that "
                    "an image was read at.",
                    "“Most mIoU” improves one image's exit at a time until none can be; "
                    "“most mIoU per image” is the best there is for that measure.",
                    "λ is the mIoU that the full network's time was worth when tables were fitted.",
                ]
            ),
        ]
    )
