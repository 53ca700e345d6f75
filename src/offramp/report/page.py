"""HTML from plain text: every function escapes what it is given, and only this file writes tags."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from offramp.report.stylesheet import CSS


@dataclass(frozen=True)
class Markup:
    """Text that is HTML already; whatever is not Markup gets escaped."""

    html: str


@dataclass(frozen=True)
class Row:
    """A table's row.

    Attributes:
        cells: plain text.
        kind: "" or a class of the style sheet: "group" (one cell, as wide as the table), "strong",
            "quiet", "head", "total".
    """

    cells: Sequence[str]
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its address within the page.
        title: plain text.
        parts: in order; text becomes a paragraph.
    """

    anchor: str
    title: str
    parts: Sequence[Markup | str]


def page(
    title: str, kicker: str, top: Sequence[Markup | str], sections: Sequence[Section], foot: Markup
) -> str:
    """Put a whole document together; it refers to nothing outside itself."""
    links = "".join(f'<a href="#{escape(s.anchor)}">{escape(s.title)}</a>' for s in sections)
    body = "\n".join(_section(section) for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
<header><div>
<p class="kicker">{escape(kicker)}</p>
<h1>{escape(title)}</h1>
{_joined(top)}
<nav>{links}</nav>
</div></header>
<main>
{body}
</main>
<footer><div>
{foot.html}
</div></footer>
</body>
</html>
"""


def lead(text: str) -> Markup:
    """Write an opening paragraph."""
    return Markup(f'<p class="lead">{escape(text)}</p>')


def note(text: str) -> Markup:
    """Write a warning that stands out."""
    return Markup(f'<p class="note">{escape(text)}</p>')


def heading(text: str) -> Markup:
    """Write a heading within a section."""
    return Markup(f"<h3>{escape(text)}</h3>")


def tiles(values: Sequence[tuple[str, str, bool]]) -> Markup:
    """Write big numbers: value, what it is, and whether it is good news."""
    cells = "".join(
        f'<div class="tile{" good" if good else ""}"><b>{escape(value)}</b>'
        f"<span>{escape(what)}</span></div>"
        for value, what, good in values
    )
    return Markup(f'<div class="tiles">{cells}</div>')


def table(columns: Sequence[str], rows: Sequence[Row], *, wordy: bool = False) -> Markup:
    """Write a table that scrolls sideways where it is too wide; the first two may be wordy."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "\n".join(_row(row, len(columns)) for row in rows)
    kind = "wordy" if wordy else ""
    return Markup(
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def chart(svg: str, what: str, caption: str) -> Markup:
    """Embed an SVG drawing as an image, which keeps its identifiers to itself."""
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    return Markup(
        f'<figure><div class="scroll"><img class="chart" alt="{escape(what)}" '
        f'src="data:image/svg+xml;base64,{data}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Write colours with their names; a colour is any CSS colour."""
    items = "".join(
        f'<span><i style="background:{escape(colour)}"></i>{escape(name)}</span>'
        for name, colour in entries
    )
    return Markup(f'<div class="legend">{items}</div>')


@dataclass(frozen=True)
class Card:
    """A picture with words under it.

    Attributes:
        picture: a data URI.
        title: plain text.
        lines: plain text.
        badge: a word that stands out, or nothing.
        kind: "" or a class of the style sheet: "stop", "passed", "unread".
    """

    picture: str
    title: str
    lines: Sequence[str] = ()
    badge: str = ""
    kind: str = ""


def cards(values: Sequence[Card]) -> Markup:
    """Lay pictures out side by side, as many as the screen is wide."""
    return Markup(f'<div class="walk">{"".join(_card(value) for value in values)}</div>')


def facts(entries: Sequence[tuple[str, str]]) -> Markup:
    """Write names and what they stand for."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
    return Markup(f"<dl>{items}</dl>")


def points(texts: Sequence[str]) -> Markup:
    """Write a list."""
    return Markup("<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>")


def title(text: str) -> Markup:
    """Write a title of its own."""
    return Markup(f"<h2>{escape(text)}</h2>")


def joined(parts: Sequence[Markup | str]) -> Markup:
    """Put parts one after the other."""
    return Markup(_joined(parts))


def _section(section: Section) -> str:
    return (
        f'<section id="{escape(section.anchor)}"><h2>{escape(section.title)}</h2>\n'
        f"{_joined(section.parts)}</section>"
    )


def _row(row: Row, columns: int) -> str:
    if row.kind == "group":
        return f'<tr class="group"><td colspan="{columns}">{escape(row.cells[0])}</td></tr>'
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row.cells)
    return f'<tr class="{escape(row.kind)}">{cells}</tr>'


def _card(card: Card) -> str:
    lines = "".join(f'<span class="muted">{escape(line)}</span><br>' for line in card.lines)
    badge = f'<span class="badge">{escape(card.badge)}</span>' if card.badge else ""
    return (
        f'<div class="card {escape(card.kind)}">'
        f'<img alt="{escape(card.title)}" src="{escape(card.picture)}">'
        f"<div><b>{escape(card.title)}</b>{lines}{badge}</div></div>"
    )


def _joined(parts: Sequence[Markup | str]) -> str:
    return "\n".join(
        part.html if isinstance(part, Markup) else f"<p>{escape(part)}</p>" for part in parts
    )
