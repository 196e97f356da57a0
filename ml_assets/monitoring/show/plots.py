"""Pictures of drift: by day against the limit, by feature against its threshold, and histograms. PNG, under 60 kB."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.monitoring.loss.reference import Reference
from ml_assets.monitoring.measure.drift import FeatureDrift
from ml_assets.pages.figures import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VALUE = "#1f6feb"
WARN = "#d97706"
BREACH = "#dc2626"
NEUTRAL = "#9ca3af"
STATES = (
    ("within the limit", "o", VALUE),
    ("breached", "o", BREACH),
    ("broken data", "X", WARN),
    ("too few rows", "o", NEUTRAL),
)
MOST_DATES = 8
SHOWN_FEATURES = 25
SHOWN_HISTOGRAMS = 12
HISTOGRAMS_A_ROW = 4
LONGEST_NAME = 30
LONGEST_BAR = 5.0
"""Bars end at 5 times the threshold, so that one runaway feature doesn't hide the others."""


@dataclass(frozen=True)
class FeatureBars:
    """One feature: the shares of the training rows and of the current rows by bin.

    ``bins`` are the names of categories, one per share, or the inner edges of a number, one fewer.
    """

    name: str
    bins: Sequence[str] | Sequence[float]
    reference: Sequence[float]
    current: Sequence[float]
    breached: bool


def drift_over_time(rows: Sequence[Mapping[str, Any]], limit: float) -> bytes:
    """The weighted share of breached features by day, with the limit and the breached and broken days marked.

    ``rows`` have as_of, share, breached, broken and enough_rows, as in the table ``drift_days``.
    """
    days = sorted(rows, key=lambda row: row["as_of"])
    figure, axes = plain_figure(8.0, 2.8)
    axes.set_title("Model weight in features that moved, by day", loc="left", fontsize=10)
    if not days:
        empty(axes, "No day was measured")
        return png(figure)
    axes.axhline(limit, color=WARN, linewidth=1, linestyle="--")
    beside(axes, f"limit {limit:.0%}", (1, limit), coordinates=("axes fraction", "data"), color=WARN)
    axes.plot([d["as_of"] for d in days], [d["share"] for d in days], color=VALUE, linewidth=1.2, zorder=2)
    for words, marker, color in STATES:
        marked = [day for day in days if _state(day) == words]
        x, y = [day["as_of"] for day in marked], [day["share"] for day in marked]
        size = 14 if words == "within the limit" else 40
        if marked:
            axes.scatter(x, y, s=size, marker=marker, color=color, label=words, zorder=3)
    highest = max([limit, *(day["share"] for day in days)])
    axes.set_ylim(-0.03, min(1.05, highest * 1.25 + 0.05))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ticks = [day["as_of"] for day in days[:: -(-len(days) // MOST_DATES)]]
    axes.set_xticks(ticks, [f"{tick:%Y-%m-%d}" for tick in ticks])
    figure.legend(loc="outside lower center", ncols=len(STATES), frameon=False, fontsize=8)
    return png(figure)


def feature_shift_plot(drifts: Sequence[FeatureDrift]) -> bytes:
    """How far every feature is from its threshold, by PSI or by shift, the farthest on top, breached ones highlighted.

    The 25 largest are shown; bars end at 5 times the threshold.
    """
    ranked = sorted(drifts, key=lambda d: (-_farthest(d)[0], d.feature))[:SHOWN_FEATURES][::-1]
    figure, axes = plain_figure(8.0, 1.1 + 0.26 * max(len(ranked), 3))
    ratios = [_farthest(drift)[0] for drift in ranked]
    lengths = [min(ratio, LONGEST_BAR) for ratio in ratios]
    colors = [BREACH if drift.breached else VALUE if drift.weight else NEUTRAL for drift in ranked]
    axes.barh(range(len(ranked)), lengths, color=colors, height=0.65)
    for place, (drift, length) in enumerate(zip(ranked, lengths, strict=True)):
        beside(axes, _bar_words(drift), (length, place))
    axes.axvline(1, color=WARN, linewidth=1, linestyle="--", zorder=0)
    axes.set_yticks(range(len(ranked)), [_short(drift.feature, LONGEST_NAME) for drift in ranked])
    axes.set_ylim(-0.7, max(len(ranked), 3) - 0.3)
    axes.set_xlim(0, max([1.2, *lengths]) * 1.35)
    axes.set_xlabel("PSI or shift, whichever is farther, as a multiple of its threshold", fontsize=8)
    left_out = len(drifts) - len(ranked)
    more = f" (the {len(ranked)} largest of {len(drifts)})" if left_out else ""
    words = f"Features against the training profile{more}: red breached, grey without weight"
    figure.suptitle(words, x=0.01, ha="left", fontsize=10)
    if not ranked:
        empty(axes, "No feature was measured")
    return png(figure)


def feature_histograms(features: Sequence[FeatureBars]) -> bytes:
    """The histograms of the first 12 features, training against now, small and side by side."""
    shown = features[:SHOWN_HISTOGRAMS]
    rows = max(1, -(-len(shown) // HISTOGRAMS_A_ROW))
    figure, axes = plain_figure(8.0, 0.7 + 1.5 * rows)
    axes.remove()
    more = f" (the first {len(shown)} of {len(features)})" if len(features) > len(shown) else ""
    words = f"Share of rows by bin{more}: training grey, now blue, breached red"
    figure.suptitle(words, x=0.01, ha="left", fontsize=10)
    if not shown:
        empty(figure.add_subplot(), "No feature was measured")
    for place, feature in enumerate(shown, start=1):
        _draw_histogram(figure.add_subplot(rows, HISTOGRAMS_A_ROW, place), feature, ticks=2)
    return png(figure)


def score_distribution(reference: Reference, scores: Floats) -> bytes:
    """The scores of now against those of the holdout, by the holdout's bins; all that lies outside in two bins more."""
    figure, axes = plain_figure(8.0, 2.6)
    words = f"Share of scores by bin: holdout of version {reference.model_version} grey, now blue"
    if reference.lowest is None or reference.highest is None or not len(scores):
        axes.set_title(words, loc="left", fontsize=10)
        empty(axes, "There are no scores to compare")
        return png(figure)
    edges = [math.nextafter(reference.lowest, -math.inf), *reference.edges, reference.highest]
    counts = np.bincount(np.searchsorted(edges, scores), minlength=len(edges) + 1)
    shares = [float(share) for share in counts / len(scores)]
    _draw_histogram(axes, FeatureBars(words, edges, [0.0, *reference.shares, 0.0], shares, False), ticks=8)
    axes.title.set_fontsize(10)
    return png(figure)


def _draw_histogram(axes: "Axes", feature: FeatureBars, ticks: int) -> None:
    bins = len(feature.reference)
    axes.stairs(feature.reference, range(bins + 1), fill=True, color="#d1d5db")
    axes.stairs(feature.current, range(bins + 1), color=BREACH if feature.breached else VALUE, linewidth=1.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.set_ylim(0, max([0.01, *feature.reference, *feature.current]) * 1.1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    axes.locator_params(axis="y", nbins=3)
    axes.set_title(
        _short(feature.name, 100 if ticks > 2 else LONGEST_NAME),
        loc="left",
        fontsize=8,
        color=BREACH if feature.breached else "black",
    )
    places = range(0, len(feature.bins), max(1, -(-len(feature.bins) // ticks)))
    named = len(feature.bins) == bins
    axes.set_xticks(
        [place + (0.5 if named else 1) for place in places],
        [_bin_words(feature.bins[place]) for place in places],
    )


def _bin_words(value: str | float) -> str:
    return _short(value, 12) if isinstance(value, str) else f"{value:.3g}"


def _short(words: str, longest: int) -> str:
    return words if len(words) <= longest else words[: longest - 1] + "…"


def _state(day: Mapping[str, Any]) -> str:
    if not day["enough_rows"]:
        return "too few rows"
    if day["broken"]:
        return "broken data"
    return "breached" if day["breached"] else "within the limit"


def _farthest(drift: FeatureDrift) -> tuple[float, str]:
    """How many times its threshold PSI or shift is, and which of the two that is: the one that is farther."""
    shift = drift.shift / drift.shift_threshold if drift.shift is not None and drift.shift_threshold else 0.0
    return max((drift.psi / drift.psi_threshold, "PSI"), (shift, "shift"), key=lambda found: found[0])


def _bar_words(drift: FeatureDrift) -> str:
    ratio, measure = _farthest(drift)
    words = f"{measure} {ratio:.1f}x"
    if drift.weight:
        words += f", weight {drift.weight:.0%}"
    return words + (", broken" if drift.broken else "")


def plain_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of one plain panel; width and height in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def beside(
    axes: "Axes",
    words: str,
    place: tuple[Any, float],
    coordinates: str | tuple[str, str] = "data",
    color: str = "black",
) -> None:
    """Words to the right of a place in a panel."""
    axes.annotate(
        words,
        place,
        xycoords=coordinates,
        xytext=(4, 0),
        textcoords="offset points",
        color=color,
        fontsize=8,
        va="center",
        bbox={"color": "white", "pad": 0.5},
    )


def empty(axes: "Axes", words: str) -> None:
    """Say that there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color=NEUTRAL)
