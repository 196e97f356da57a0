"""A model card as one HTML file that needs nothing else and calls nobody."""

import re
from collections.abc import Mapping, Sequence
from html import escape

from ml_assets.pages.html import html_page
from ml_assets.registry.card import Section, headline, sections, verdict
from ml_assets.registry.compare import UNKNOWN
from ml_assets.registry.facts import ModelFacts

LOOKS = {
    "PASS": "pass",
    "WARN": "open",
    "FAIL": "fail",
    "REFUSED": "fail",
    "NOT EVALUATED": "open",
    "override": "fail",
}
NUMBER = re.compile(r"[-+]?[\d.,]+%?|undefined|" + UNKNOWN)


def card_html(facts: ModelFacts) -> str:
    """The card as one HTML page."""
    word, why = verdict(facts)
    aliases = "".join(f'<span class="alias">{escape(alias)}</span>' for alias in facts.aliases)
    header = (
        f'<header><div><p class="kicker">Model card</p><h1>{escape(facts.declared.name)} {aliases}</h1>'
        f'<p class="who">{escape(headline(facts))}</p></div>'
        f'<div class="verdict {LOOKS[word]}"><strong>{word}</strong><span>{escape(why)}</span></div></header>'
    )
    body = "\n".join([header, *(_section(section) for section in sections(facts))])
    return html_page(f"{facts.declared.name} version {facts.version}", _STYLE, body)


def _section(section: Section) -> str:
    parts = [f"<p>{_text(text)}</p>" for text in section.says]
    if len(section.says) > 1:
        parts = [f"<ul>{''.join(f'<li>{_text(text)}</li>' for text in section.says)}</ul>"]
    if section.pairs:
        parts.append(_pairs(section.pairs))
    if section.rows:
        parts.append(_table(section.head, section.rows))
    if section.shares:
        parts.append(_bars(section.shares))
    content = "".join(parts) or f'<p class="faint">{UNKNOWN.capitalize()}.</p>'
    return f"<section><h2>{escape(section.title)}</h2>{content}</section>"


def _text(text: str) -> str:
    """Text as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _value(text: str) -> str:
    if text in LOOKS:
        return f'<span class="badge {LOOKS[text]}">{text}</span>'
    if text.startswith(UNKNOWN):
        return f'<span class="faint">{escape(text)}</span>'
    return f"<code>{text}</code>" if re.fullmatch("[0-9a-f]{40,}", text) else _text(text)


def _pairs(pairs: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{_value(v)}</dd>' for k, v in pairs.items())}</dl>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; columns of numbers are set to the right."""
    looks = [
        ' class="number"' if n and all(NUMBER.fullmatch(row[n]) for row in rows) else ""
        for n in range(len(head))
    ]
    top = "".join(
        f'<th scope="col"{look}>{escape(cell)}</th>' for look, cell in zip(looks, head, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{look}>{_value(cell)}</td>' for look, cell in zip(looks, row, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _bars(shares: Mapping[str, float]) -> str:
    largest = max(shares.values()) or 1.0
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td><i class="bar" style="width:{share / largest:.1%}"></i></td>'
        f"<td>{share:.1%}</td></tr>"
        for name, share in shares.items()
    )
    return f'<table class="bars"><tbody>{rows}</tbody></table>'


_STYLE = """h2 { margin: 0 0 8px; font-size: 17px; }
section { margin-top: 32px; } p { margin: 0 0 8px; } ul { margin: 0 0 8px; padding-left: 20px; }
.who { margin: 8px 0 0; color: var(--soft); }
.alias { display: inline-block; vertical-align: middle; margin-left: 6px; padding: 3px 12px; border-radius: 99px;
  font-size: 13px; font-weight: 600; letter-spacing: 0; background: #dbeafe; color: #1e40af; }
.verdict strong { font-size: 32px; line-height: 1.15; letter-spacing: 0.02em; } .verdict span { font-size: 13px; }
.open { background: #fef3c7; color: #92400e; }
td { padding: 6px 10px; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
th.number, td.number { text-align: right; }
code { font: 12.5px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: #f3f4f6; padding: 1px 5px;
  border-radius: 4px; }
.bars td { padding: 3px 10px; border: 0; overflow-wrap: normal; white-space: nowrap; }
.bars td:nth-child(2) { width: 100%; } .bars td:last-child { text-align: right; }
.bar { display: block; height: 12px; margin-top: 4px; border-radius: 3px; background: #1f6feb; min-width: 1px; }
.faint { color: #9ca3af; }
@media (max-width: 700px) { dl { grid-template-columns: 1fr; } table { display: block; overflow-x: auto; } }
"""
