"""A model card as one HTML file that needs nothing else and calls nobody."""

import re

from ml_assets.pages.html import page
from ml_assets.registry.card import Section, headline, sections, verdict
from ml_assets.registry.compare import UNKNOWN
from ml_assets.registry.facts import ModelFacts

NUMBER = re.compile(r"[-+]?[\d.,]+%?|undefined|" + UNKNOWN)


def card_html(facts: ModelFacts) -> str:
    """The card as one HTML page."""
    word, why = verdict(facts)
    parts = sections(facts)
    return page(
        "card.html",
        name=facts.declared.name,
        version=facts.version,
        aliases=facts.aliases,
        headline=headline(facts),
        word=word,
        why=why,
        sections=parts,
        numeric={part.title: _numeric(part) for part in parts},
        unknown=UNKNOWN,
    )


def _numeric(section: Section) -> list[bool]:
    """Which columns are set to the right: of numbers, behind the first."""
    return [
        n > 0 and all(NUMBER.fullmatch(row[n]) is not None for row in section.rows)
        for n in range(len(section.head))
    ]
