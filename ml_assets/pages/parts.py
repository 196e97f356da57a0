"""The HTML of a report: its look, and the parts it is put together from."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isnan

from ml_assets.pages.figures import DPI, WIDTH, data_uri
from ml_assets.pages.html import html_page


def whole(title: str, sections: Sequence[str]) -> str:
    """A page that needs nothing else and calls nobody."""
    return html_page(title, _STYLE, "\n".join(sections))


def section(title: str, content: str) -> str:
    """A heading and HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def table(
    head: Iterable[str], rows: Iterable[Iterable[str]], *, look: str = "", best: int | None = None
) -> str:
    """A table of cells that are HTML already; row ``best`` is marked."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f"<tr{' class=best' if number == best else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for number, row in enumerate(rows)
    )
    return f'<table class="{look}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def facts(rows: Mapping[str, str], *, look: str = "") -> str:
    """Terms and what is said of each, as text."""
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    return f'<dl class="{look}">{cells}</dl>' if look else f"<dl>{cells}</dl>"


def note(text: str) -> str:
    """A sentence in place of what is not there."""
    return f'<p class="note">{escape(text)}</p>'


def picture(png: bytes, alt: str) -> str:
    """A picture that is part of the page, all of them on one scale: the widest go across the page."""
    wide = int.from_bytes(png[16:20], "big") / (WIDTH * DPI)
    return f'<img style="width: {wide:.0%}" src="{data_uri(png)}" alt="{escape(alt)}">'


def legend(role: str) -> str:
    """A role and its colour."""
    return f'<i class="dot {role}"></i>{role}'


def lines(text: str) -> str:
    """One line per part between semicolons."""
    return "<br>".join(
        escape(part.strip().replace("> ", ">\u00a0").replace(">= ", ">=\u00a0")) for part in text.split(";")
    )


def number(value: float | None, sign: str = "") -> str:
    """Four digits behind the point, fewer for large numbers; what is undefined says so."""
    if value is None:
        return "–"
    if isnan(value):
        return '<span class="faint">undefined</span>'
    return f"{value:{sign},.4f}" if abs(value) < 100 else f"{value:{sign},.1f}"


_STYLE = """h2 { margin: 0 0 10px; font-size: 17px; }
h3 { margin: 18px 0 6px; font-size: 14px; color: var(--soft); font-weight: 600; }
section { margin-top: 36px; }
.who { margin: 8px 0 0; color: var(--soft); } .who b { color: var(--ink); font-weight: 600; }
.verdict strong { font-size: 32px; line-height: 1.15; letter-spacing: 0.02em; }
.verdict span { font-size: 13px; }
.open, .warn { background: #fef3c7; color: #92400e; }
td { padding: 8px 10px; border-top: 1px solid var(--line); vertical-align: top; }
.gates td { font-size: 13px; } .gates p { margin: 2px 0 0; } .gates td:nth-child(n+3) { color: #4b5563; width: 25%; }
.numbers th:nth-child(n+2), .numbers td:nth-child(n+2) { text-align: right; }
td:first-child { white-space: nowrap; } .numbers td { padding-top: 6px; padding-bottom: 6px; }
small { display: block; color: var(--soft); font-size: 11.5px; white-space: nowrap; }
.faint { color: #9ca3af; } .behind { color: #b91c1c; }
tr.best td { background: #f0fdf4; font-weight: 600; }
.note { color: var(--soft); margin: 8px 0 0; }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 5px; }
.candidate { background: #1f6feb; } .champion { background: #d97706; } .baseline { background: #9ca3af; }
img { display: block; max-width: 100%; height: auto; margin: 0 0 14px; }
dl.reading { grid-template-columns: 250px 1fr; gap: 8px 24px; font-size: 13px; }
.reading dt { color: var(--ink); font-weight: 600; }
@media (max-width: 700px) { dl, dl.reading { grid-template-columns: 1fr; }
  table { display: block; overflow-x: auto; } }
"""
