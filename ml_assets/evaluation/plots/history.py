"""Pictures of more than one holdout: metrics over cutoffs, and what a model leans on."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_assets.evaluation.plots.canvas import COLOURS, legend
from ml_assets.pages.figures import figure_of, png, titles

_BARS = 20
"""Features whose importance is drawn: the greatest."""


def walk_forward_plot(
    rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, str], compared_by: str
) -> bytes:
    """Metrics over cutoffs, one panel per metric and one line per role, as one PNG.

    ``rows`` have cutoff (a date), role and numbers by name; ``metrics`` are those to draw, with their titles.
    Around the candidate's ``compared_by`` lies a band, its interval: the numbers low and high. Undefined and missing
    numbers leave a gap. Raises ValueError without rows or metrics.
    """
    if not rows or not metrics:
        raise ValueError(f"there are no metrics to draw: {'metrics' if rows else 'rows'} is empty")
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    figure, panels = figure_of(len(metrics), height=3.2)
    for axes, (metric, title) in zip(panels, metrics.items(), strict=True):
        for role in reversed(COLOURS):
            found = sorted((row for row in rows if row["role"] == role), key=lambda row: row["cutoff"])
            if found:
                moments: Any = [row["cutoff"] for row in found]
                values = _numbers(found, metric)
                axes.plot(moments, values, color=COLOURS[role], label=role, lw=1.6, marker="o", ms=3)
                if (role, metric) == ("candidate", compared_by):
                    low, high = _numbers(found, "low"), _numbers(found, "high")
                    axes.fill_between(moments, low, high, color=COLOURS[role], alpha=0.12, lw=0)
        titles(axes, f"{title} by cutoff", "", "")
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    legend(panels[0])
    return png(figure)


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    numbers = (row.get(name) for row in rows)
    return [float("nan") if number is None else float(number) for number in numbers]


def importance_plot(importance: Mapping[str, float]) -> bytes:
    """The greatest shares of importance as bars, the greatest on top. Raises ValueError without a feature."""
    if not importance:
        raise ValueError("there is no importance to draw: the mapping is empty")
    shown = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:_BARS]
    figure, (axes,) = figure_of(1, width=7.6, height=0.7 + 0.24 * len(shown))
    names, values = zip(*reversed(shown), strict=True)
    axes.barh(range(len(shown)), values, color=COLOURS["candidate"], height=0.65)
    axes.set_yticks(range(len(shown)), names)
    axes.grid(False, axis="y")
    rest = len(importance) - len(shown)
    titles(axes, "Importance" + (f", without {rest} lesser features" if rest else ""), "", "")
    return png(figure)
